"""Scores of whole runs against truth; nothing that could not be analysed or paired is lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from distributed import Client

from hrtem_dask.batch.evaluation.evaluate import Evaluation, SummaryOptions, evaluate
from hrtem_dask.batch.evaluation.methods import choose_methods
from hrtem_dask.batch.run.run import run
from hrtem_dask.batch.simulate import simulate
from hrtem_dask.errors import ModelError, NothingToAnalyseError, SettingsError
from hrtem_dask.evaluation import dice
from hrtem_dask.settings import Settings
from hrtem_dask.simulation.contrast import ContrastRanges
from hrtem_dask.storage.results import open_results
from hrtem_dask.storage.simulated import open_simulated

Make = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path, client: Client, make_toy: Make, toy_ranges: Any) -> Path:
    """Six micrographs of which two are empty."""
    simulate(tmp_path / "sim", ranges=toy_ranges(), n=6, cluster=client, make=make_toy)
    return tmp_path / "sim"


@pytest.fixture
def masked(tmp_path: Path, make_disks: Make, make_tiff: Make, rng: np.random.Generator) -> Path:
    """Images with and without masks, and a mask without an image; Otsu finds the disks exactly."""
    y, x = np.indices((200, 240))
    for name, n in (("a", 3), ("b", 0), ("c", 2), ("d", 1)):
        make_tiff(tmp_path / "real" / "images" / f"{name}.tif", make_disks(rng, n), None if name == "c" else 0.05)
        truth = np.zeros((200, 240), np.uint8)
        for cy, cx in [(50, 50), (50, 120), (50, 190)][:n]:
            truth[(y - cy) ** 2 + (x - cx) ** 2 <= 30**2] = 255
        (tmp_path / "real" / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "real" / "masks" / f"{name}.png"), truth)
    (tmp_path / "real" / "images" / "d.tif").rename(tmp_path / "real" / "images" / "other.tif")
    return tmp_path / "real"


def value(evaluation: Evaluation, statistic: str, method: str = "otsu", group: str = "all") -> float:
    table = evaluation.summary.set_index(["method", "group", "statistic"])["value"]
    return float(table[method, group, statistic])


def test_a_store_is_run_and_scored(
    store: Path, tmp_path: Path, client: Client, settings: Settings, messages: Callable[[], list[str]]
) -> None:
    evaluation = evaluate(
        store, out=tmp_path / "out", settings=settings, summary=SummaryOptions(n_resamples=50), cluster=client
    )
    assert list(dict.fromkeys(evaluation.micrographs["method"])) == ["unet", "otsu", "fourier", "fourier_pixels"]
    assert "running fourier_pixels: one annulus for all, 0.12 to 0.3 cycles per pixel" in messages()
    # every toy micrograph has the same pixel size: one annulus is then the same in both units
    rows = evaluation.micrographs.set_index(["method", "truth_id"])
    columns = ["true_positive_px", "mask_false_positive_px", "n_matched_iou50"]
    pd.testing.assert_frame_equal(rows.loc["fourier", columns], rows.loc["fourier_pixels", columns])
    for method in ("otsu", "fourier"):
        results, truth = open_results(tmp_path / "out" / method), open_simulated(store)
        table = results.micrographs
        expected = {
            str(row.title): dice(results.labels(str(row.micrograph_id)) > 0, truth.labels(str(row.title)) > 0)
            for row in table.itertuples()
        }
        assert dict(rows.loc[method, "dice"]) == pytest.approx(expected, nan_ok=True)
    assert (value(evaluation, "n_micrographs"), value(evaluation, "n_empty")) == (6, 2)
    assert value(evaluation, "n_micrographs", "fourier", "Au") == 4
    assert value(evaluation, "mask_dice_mean") < value(evaluation, "dice_mean")
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["scores"]["otsu"]["all"]["all"]["dice_mean"]["value"] == value(evaluation, "dice_mean")
    assert scores["scores"]["otsu"]["all"]["all"]["average_precision"]["value"] is None
    assert set(scores["scores"]["otsu"]["all"]["all"]) == set(scores["statistics"])
    written = pd.read_csv(tmp_path / "out" / "micrographs.csv")
    assert len(written) == 24
    assert (tmp_path / "out" / "scores.svg").read_text().startswith("<svg")


def test_results_are_scored_as_they_are(store: Path, tmp_path: Path, client: Client, settings: Settings) -> None:
    run(store, tmp_path / "results", settings=settings, cluster=client)
    options: dict[str, Any] = {
        "results": tmp_path / "results",
        "cluster": client,
    }
    few = SummaryOptions(n_resamples=5)
    whole = evaluate(store, out=tmp_path / "one", summary=few, **options)
    assert value(whole, "mask_recall_pooled") > 0
    grouped = SummaryOptions(by=["dose_per_nm2", "pixel_size_nm"], n_resamples=5)
    bare = evaluate(store, out=tmp_path / "two", segment_again=False, summary=grouped, **options)
    assert value(bare, "dice_mean") == value(whole, "dice_mean")
    assert np.isnan(value(bare, "mask_dice_mean"))
    assert value(bare, "n_micrographs", group="0.05") == 6
    part = evaluate(store, out=tmp_path / "three", only="*[12]", summary=few, **options)
    assert list(part.micrographs["truth_id"]) == ["sim-0-000001", "sim-0-000002"]
    with pytest.raises(SettingsError, match="no column 'colour'"):
        evaluate(store, out=tmp_path / "four", summary=SummaryOptions(by=["colour"]), **options)
    with pytest.raises(SettingsError, match="no column 'colour'"):
        evaluate(store, out=tmp_path / "four", methods=["otsu"], summary=SummaryOptions(by=["colour"]))
    assert not (tmp_path / "four").exists(), "it is refused before a method runs"
    with pytest.raises(SettingsError, match="not both"):
        evaluate(store, out=tmp_path / "four", methods=["otsu"], **options)


def test_missing_results_are_named_and_count_as_empty_masks(
    masked: Path, tmp_path: Path, client: Client, settings: Settings
) -> None:
    run(masked / "images", tmp_path / "results", settings=settings, cluster=client)
    evaluation = evaluate(
        masked,
        results=tmp_path / "results",
        out=tmp_path / "out",
        summary=SummaryOptions(n_resamples=5),
        cluster=client,
    )
    rows = evaluation.micrographs.set_index("truth_id")
    assert dict(rows["status"]) == {
        "a.tif": "done",
        "b.tif": rows.loc["b.tif", "status"],
        "c.tif": "set_aside",
        "d.png": "missing",
    }
    assert list(rows["analysed"]) == [True, True, False, False]
    assert rows.loc["a.tif", "dice"] > 0.99
    assert (rows.loc["c.tif", "dice"], rows.loc["d.png", "dice"]) == (0, 0)
    assert value(evaluation, "dice_mean") > 0.99
    assert (value(evaluation, "n_micrographs"), value(evaluation, "n_empty")) == (2, 1)
    assert value(evaluation, "dice_mean", group="unanalysed as empty") == pytest.approx(rows.loc["a.tif", "dice"] / 3)
    assert value(evaluation, "object_recall", group="unanalysed as empty") == pytest.approx(3 / 6)
    notes = "\n".join(evaluation.notes)
    assert "1 images have no mask and are not scored: other.tif" in notes
    assert "1 micrographs with a truth are not among the results: d.png" in notes
    assert "1 set_aside (no pixel size" in notes
    assert "c.tif" in notes


def test_a_mask_that_fits_not_is_named(masked: Path, tmp_path: Path, client: Client, settings: Settings) -> None:
    cv2.imwrite(str(masked / "masks" / "b.png"), np.zeros((20, 20), np.uint8))
    (masked / "masks" / "d.png").write_bytes(b"no picture")
    evaluation = evaluate(
        masked,
        methods=["otsu"],
        out=tmp_path / "out",
        settings=settings,
        summary=SummaryOptions(n_resamples=5),
        cluster=client,
    )
    assert list(evaluation.micrographs["truth_id"]) == ["a.tif", "c.tif"]
    assert any("not scored: b.tif: ValueError" in note and "(20, 20)" in note for note in evaluation.notes)
    assert any("not scored: d.png" in note for note in evaluation.notes)


def test_an_image_that_changed_is_not_segmented_again(
    masked: Path, tmp_path: Path, client: Client, settings: Settings, make_tiff: Make, make_disks: Make
) -> None:
    run(masked / "images", tmp_path / "results", settings=settings, cluster=client)
    make_tiff(masked / "images" / "a.tif", make_disks(np.random.default_rng(1), 2))
    evaluation = evaluate(
        masked,
        results=tmp_path / "results",
        out=tmp_path / "out",
        summary=SummaryOptions(n_resamples=5),
        cluster=client,
    )
    assert value(evaluation, "dice_mean") > 0.99
    assert np.isnan(value(evaluation, "mask_dice_mean"))
    assert any("a.tif: UnreadableMicrographError" in note and "changed" in note for note in evaluation.notes)


def test_other_results_are_refused(
    store: Path, masked: Path, tmp_path: Path, client: Client, settings: Settings
) -> None:
    run(masked / "images", tmp_path / "results", settings=settings, cluster=client)
    with pytest.raises(NothingToAnalyseError, match="none of the 4 micrographs"):
        evaluate(store, results=tmp_path / "results", out=tmp_path / "out", cluster=client)


def test_no_cluster_starts_for_what_cannot_be_scored(
    store: Path, masked: Path, tmp_path: Path, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(masked / "images", tmp_path / "results", settings=settings, cluster=client)
    monkeypatch.setattr("hrtem_dask.batch.evaluation.evaluate.connect", None)
    with pytest.raises(NothingToAnalyseError, match="none of the 4 micrographs"):
        evaluate(store, results=tmp_path / "results", out=tmp_path / "out")
    (tmp_path / "net.safetensors").write_text("no network")
    with pytest.raises(ModelError, match="is neither a safetensors file"):
        evaluate(store, models=[tmp_path / "net.safetensors"], methods=["unet"], out=tmp_path / "out")
    with pytest.raises(SettingsError, match="holds the truth"):
        evaluate(store, methods=["otsu"], out=store)
    with pytest.raises(SettingsError, match="no method is named"):
        evaluate(store, methods=[], out=tmp_path / "out")


def test_methods_are_chosen_by_what_there_is(tmp_path: Path) -> None:
    model = str(tmp_path / "net.safetensors")
    plain = Settings()

    def names(*arguments: Any) -> list[str]:
        return [m.name for m in choose_methods(*arguments)]

    assert names(None, [], plain, None) == ["unet", "otsu"]
    assert names(None, [model], plain, 0.04) == ["unet", "otsu", "fourier", "fourier_pixels"]
    assert names(["unet", "otsu"], [model, "b.h5"], plain, None) == ["net", "b", "otsu"]
    assert names(None, [], plain.updated({"segmentation": {"model": model}}), None) == ["unet", "otsu"]
    pixels = choose_methods(["fourier_pixels"], [], plain, 0.04)[0].settings.segmentation
    assert pixels.annulus_per_px == pytest.approx((0.096, 0.24))
    assert pixels.fourier_sigma_px == pytest.approx(20)
    own = plain.updated({"segmentation": {"annulus_per_px": (0.1, 0.2)}})
    assert choose_methods(["fourier_pixels"], [], own, None)[0].settings.segmentation.annulus_per_px == (0.1, 0.2)
    assert choose_methods(["fourier"], [], own, None)[0].settings.segmentation.annulus_per_px is None
    for arguments, message in (
        ((["magic"], [], plain, None), "unknown method 'magic'"),
        ((["otsu"], [model], plain, None), "add unet"),
        ((["fourier_pixels"], [], plain, None), "annulus_per_px"),
        ((None, ["a/net.h5", "b/net.h5"], plain, None), "two models or methods"),
    ):
        with pytest.raises(SettingsError, match=message):
            choose_methods(*arguments)


def test_a_contrast_store_is_run_and_scored(tmp_path: Path, client: Client, settings: Settings) -> None:
    ranges = ContrastRanges(
        size_px=128, empty_fraction=0, bright_fraction=0, optical_depth=(0.8, 1.2), supports={"vacuum": 1},
        shapes={"sphere": 1}, arrangements={"isolated": 1}, coverage=(0.1, 0.2), median_diameter_px=(20, 30),
        contaminated_fraction=0, dirt_fraction=0, annotated_fraction=0, electrons_per_px=(400, 500), vignette=(0, 0),
        gradient=(0, 0), n_spikes=(0, 0), interiors={"plain": 1},
    )  # fmt: skip
    simulate(tmp_path / "con", ranges=ranges, n=4, seed=3, cluster=client)
    evaluation = evaluate(
        tmp_path / "con",
        methods=["otsu"],
        out=tmp_path / "out",
        settings=settings.updated({"loading": {"pixels": True}}),
        summary=SummaryOptions(by=["support", "is_8_bit", "electrons_per_px"], n_resamples=20),
        cluster=client,
    )
    rows = evaluation.micrographs
    assert list(rows["truth_id"]) == [f"con-3-00000{i}" for i in range(4)]
    assert rows["analysed"].all()
    truth, results = open_simulated(tmp_path / "con"), open_results(tmp_path / "out" / "otsu")
    for row in rows.itertuples():
        found = results.labels(str(row.micrograph_id)) > 0
        assert row.dice == dice(found, truth.labels(str(row.truth_id)) > 0)
    assert value(evaluation, "dice_mean") > 0.7
    assert value(evaluation, "dice_mean", group="vacuum") == value(evaluation, "dice_mean")
    known = evaluation.objects[evaluation.objects["side"] == "true"]
    assert len(known) == (truth.particles["visible_area_px"] > 0).sum()
    assert set(evaluation.summary["by"]) == {"all", "support", "is_8_bit", "electrons_per_px"}
    assert evaluation.regions.empty
    assert evaluation.classes.empty
