import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pandas.testing as pdt
import pytest
from distributed import Client

from hrtem_dask import crop, open_results, run
from hrtem_dask.batch.run import task
from hrtem_dask.errors import NothingToAnalyseError, SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import simulate_scene

MakeDisks = Callable[..., np.ndarray]
MakeTiff = Callable[..., Path]


def test_disks_come_out_as_they_were_drawn(folder: Path, tmp_path: Path, settings: Settings, client: Client) -> None:
    summary = run(folder, tmp_path / "out", settings=settings, cluster=client)
    results = open_results(tmp_path / "out")
    assert summary.counts == {"done": 3, "empty": 0, "set_aside": 0, "failed": 0}
    assert list(results.micrographs["n_particles"]) == [3, 6, 2]
    assert set(results.particles["sample"]) == {"as made", "gealtert µ"}
    # radius 30 px at 0.05 nm
    np.testing.assert_allclose(results.particles["equivalent_diameter_nm"].astype(float), 3.0, rtol=0.02)
    first = results.micrographs["micrograph_id"].iloc[0]
    assert np.unique(results.labels(first)).tolist() == [0, 1, 2, 3]
    assert len(list((tmp_path / "out" / "overlays").glob("*.jpg"))) == 3


def test_a_second_run_does_nothing_and_changes_nothing(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    out = tmp_path / "out"
    run(folder, out, settings=settings, cluster=client)
    names = ["micrographs.parquet", "regions.parquet", "particles.parquet", "execution.parquet", "summary.json"]
    before = {name: (out / name).read_bytes() for name in names}
    assert run(folder, out, settings=settings, cluster=client).n_skipped == 3
    assert {name: (out / name).read_bytes() for name in names} == before


def test_two_runs_give_equal_tables_however_they_are_grouped(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    run(folder, tmp_path / "one", settings=settings, cluster=client)
    together = settings.updated({"execution": {"group_megapixels": 10.0}})
    run(folder, tmp_path / "two", settings=together, cluster=client)
    one, two = open_results(tmp_path / "one"), open_results(tmp_path / "two")
    for name in ("micrographs", "regions", "particles"):
        pdt.assert_frame_equal(one.table(name), two.table(name))


def test_only_what_changed_is_done_again(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, make_disks: MakeDisks, make_tiff: MakeTiff,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    run(folder, out, settings=settings, cluster=client)
    os.utime(folder / "as made" / "a.tif", (1, 1))
    assert run(folder, out, settings=settings, cluster=client).n_skipped == 3, "a new date is no new content"
    make_tiff(folder / "as made" / "a.tif", make_disks(rng, 1))
    assert run(folder, out, settings=settings, cluster=client).n_skipped == 2
    assert list(open_results(out).micrographs["n_particles"]) == [1, 6, 2]
    other = settings.updated({"particles": {"min_area_px": 10}})
    assert run(folder, out, settings=other, cluster=client).n_skipped == 0
    faster = other.updated({"execution": {"tile_px": 512}})
    assert run(folder, out, settings=faster, cluster=client).n_skipped == 3, "speed is no science"


def test_new_files_join_and_absent_ones_leave(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, make_disks: MakeDisks, make_tiff: MakeTiff,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    run(folder, out, settings=settings, cluster=client)
    make_tiff(folder / "as made" / "0.tif", make_disks(rng, 4))
    (folder / "as made" / "b.tif").rename(tmp_path / "b.tif")
    assert run(folder, out, settings=settings, cluster=client).n_skipped == 2
    assert list(open_results(out).micrographs["n_particles"]) == [4, 3, 2]
    (tmp_path / "b.tif").rename(folder / "as made" / "b.tif")
    assert run(folder, out, settings=settings, cluster=client).n_skipped == 4, "its rows were kept"


def test_bad_files_become_rows_and_the_batch_goes_on(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, make_disks: MakeDisks, make_tiff: MakeTiff,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    good = folder / "as made" / "a.tif"
    (folder / "empty.tif").write_bytes(b"")
    (folder / "cut.tif").write_bytes(good.read_bytes()[:5000])
    (folder / "picture.dm3").write_bytes(good.read_bytes())
    (folder / "notes.txt").write_text("grid 3, hole 7")
    make_tiff(folder / "no scale.tif", make_disks(rng, 2), None)
    make_tiff(folder / "constant.tif", np.full((64, 64), 7, np.uint16))
    make_tiff(folder / "dot.tif", np.array([[5]], np.uint16))
    make_tiff(folder / "ribbon.tif", rng.integers(0, 9, (20000, 100)).astype(np.uint16))
    holes = make_disks(rng, 3).astype(np.float32)
    holes[0, :50] = np.nan
    holes[5, 5] = np.inf
    make_tiff(folder / "holes.tif", holes)
    make_tiff(folder / "nothing.tif", np.full((64, 64), np.nan, np.float32))
    out = tmp_path / "out"
    run(folder, out, settings=settings, cluster=client)
    rows = open_results(out).micrographs
    rows["file"] = [Path(source).name for source in rows["source"]]
    assert len(rows) == 12, "notes.txt is counted in a message and gets no row"
    assert rows["micrograph_id"].is_unique
    ended = rows.set_index("file")
    assert ended.loc["empty.tif", "status"] == "failed"
    assert ended.loc["cut.tif", "status"] == "failed"
    assert "notes.txt" not in ended.index
    assert ended.loc["no scale.tif", "status"] == "set_aside"
    assert "pixel size" in ended.loc["no scale.tif", "reason"]
    assert ended.loc["constant.tif", "status"] == "empty"
    assert ended.loc["dot.tif", "status"] == "set_aside"  # a single pixel
    assert ended.loc["ribbon.tif", "status"] in {"done", "empty"}
    assert ended.loc["holes.tif", "n_nonfinite"] == 51
    assert ended.loc["holes.tif", "n_particles"] == 3
    assert ended.loc["nothing.tif", "status"] == "failed"
    bad = rows[rows["status"].isin(["failed", "set_aside"])]
    assert bad["reason"].notna().all()
    assert (rows["status"] != "ok").all()
    repeated = run(folder, out, settings=settings, cluster=client)
    analyzed = rows["status"].isin(["done", "empty"]) | rows["duplicate_of"].notna()
    assert repeated.n_skipped == analyzed.sum(), "failed ones are tried again"


def test_pixels_leave_nm_null(
    tmp_path: Path, settings: Settings, client: Client, make_disks: MakeDisks, make_tiff: MakeTiff,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    make_tiff(tmp_path / "in" / "raw.tif", make_disks(rng, 2), None)
    in_pixels = settings.updated({"loading": {"pixels": True}})
    run(tmp_path / "in", tmp_path / "out", settings=in_pixels, cluster=client)
    particles = open_results(tmp_path / "out").particles
    assert len(particles) == 2
    np.testing.assert_allclose(particles["equivalent_diameter_px"].astype(float), 60, rtol=0.02)
    assert particles[[c for c in particles if c.endswith(("_nm", "_nm2"))]].isna().all(axis=None)


def test_a_pixel_size_given_redoes_and_scales(folder: Path, tmp_path: Path, settings: Settings, client: Client) -> None:
    out = tmp_path / "out"
    run(folder, out, settings=settings, cluster=client)
    one = open_results(out).particles["equivalent_diameter_nm"].astype(float)
    given = settings.updated({"loading": {"pixel_size_nm": 0.1}})
    assert run(folder, out, settings=given, cluster=client).n_skipped == 0
    results = open_results(out)
    assert set(results.micrographs["pixel_size_source"]) == {"user"}
    np.testing.assert_allclose(results.particles["equivalent_diameter_nm"].astype(float), 2 * one)


def test_covariates_reach_every_table(folder: Path, tmp_path: Path, settings: Settings, client: Client) -> None:
    table = tmp_path / "samples.csv"
    table.write_text("path,sample,anneal_c\nas made/*.tif,fresh,25\ngealtert µ/a.tif,aged,300\n", encoding="utf-8")
    out = tmp_path / "out"
    run(folder, out, settings=settings, cluster=client, metadata=table)
    results = open_results(out)
    for name in ("micrographs", "regions", "particles"):
        pairs = set(results.table(name)[["sample", "anneal_c"]].itertuples(index=False, name=None))
        assert pairs == {("fresh", 25), ("aged", 300)}, name
    table.write_text("path,sample,anneal_c\n*.tif,all,30\n", encoding="utf-8")
    again = run(folder, out, settings=settings, cluster=client, metadata=table)
    assert again.n_skipped == 3, "a covariate is no reason to compute"
    assert set(open_results(out).particles["anneal_c"]) == {30}


def test_duplicates_are_named_and_flagged_where_asked(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    copy = folder / "as made" / "z copy.tif"
    copy.write_bytes((folder / "as made" / "a.tif").read_bytes())
    keep = settings.updated({"loading": {"duplicates": "keep"}})
    run(folder, tmp_path / "out", settings=keep, cluster=client)
    rows = open_results(tmp_path / "out").micrographs
    (duplicate,) = rows[rows["duplicate_of"].notna()].itertuples()
    assert duplicate.source.endswith("z copy.tif")
    assert duplicate.duplicate_of == rows["micrograph_id"].iloc[0]
    assert duplicate.status == "done"
    for strict in (settings, keep.updated({"quality": {"set_aside": ["duplicate"]}})):
        run(folder, tmp_path / "out", settings=strict, cluster=client)
        results = open_results(tmp_path / "out")
        assert (results.micrographs["status"] == "set_aside").sum() == 1
        assert len(results.particles) == 3 + 6 + 2


def test_from_a_row_back_to_its_pixels(folder: Path, tmp_path: Path, settings: Settings, client: Client) -> None:
    run(folder, tmp_path / "out", settings=settings, cluster=client)
    row = open_results(tmp_path / "out").particles.iloc[5]
    cut = crop(tmp_path / "out", row["micrograph_id"], row["particle_id"], margin_px=4)
    inside = cut.intensity.where(cut.labels == row["particle_id"])
    assert float(inside.mean()) == pytest.approx(row["mean_intensity"], rel=1e-5)
    assert int((cut.labels == row["particle_id"]).sum()) == row["area_px"]
    assert cut.y.attrs["units"] == "nm"
    assert float(cut.x[0]) == pytest.approx((row["bbox_x0_px"] - 4) * 0.05)
    with pytest.raises(KeyError, match="no particle 99"):
        crop(tmp_path / "out", row["micrograph_id"], 99)


def test_what_a_run_leaves_says_how_it_was_made(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    import tomllib

    out = tmp_path / "out"
    run(folder, out, settings=settings, cluster=client)
    written = tomllib.loads((out / "run.toml").read_text())
    assert Settings().updated(written["settings"]) == settings
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events] == ["start", "done", "done", "done", "end"]
    assert json.loads((out / "summary.json").read_text())["micrographs"]["done"] == 3
    execution = open_results(out).table("execution")
    assert (execution["attempts"] == 1).all()
    assert execution["seconds_segment"].notna().all()


def test_no_file_is_an_error(tmp_path: Path, settings: Settings, client: Client) -> None:
    with pytest.raises(NothingToAnalyseError, match="no file"):
        run(tmp_path, tmp_path / "out", settings=settings, cluster=client)


def test_results_inside_the_input_folder_are_no_input(folder: Path, settings: Settings, client: Client) -> None:
    for _ in range(2):
        assert run(folder, folder / "results", settings=settings, cluster=client).counts["done"] == 3
    assert len(open_results(folder / "results").micrographs) == 3


def test_labels_never_contradict_the_tables(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(folder, out, settings=settings, cluster=client)

    def die(*_: object) -> None:
        raise RuntimeError("the machine went down before the commit")

    bright = settings.updated({"segmentation": {"particles_are": "bright"}})
    with monkeypatch.context() as patch:
        patch.setattr(task.ledger, "write_part", die)
        with pytest.raises(RuntimeError, match="went down"):
            run(folder, out, settings=bright, cluster=client)
    assert run(folder, out, settings=settings, cluster=client).n_skipped < 3
    results = open_results(out)
    for name, rows in results.particles.groupby("micrograph_id"):
        assert (results.labels(str(name)) > 0).sum() == rows["area_px"].sum()
    assert (results.table("execution")["attempts"] > 1).any()


def test_a_file_that_changes_while_it_is_read_fails_and_is_tried_again(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = task.loading.read_image

    def read_while_it_grows(record: object) -> np.ndarray:
        image = honest(record)
        os.utime(folder / "as made" / "a.tif", (5, 5))
        return image

    with monkeypatch.context() as patch:
        patch.setattr("hrtem_dask.loading.signals.read_image", read_while_it_grows)
        run(folder / "as made" / "a.tif", tmp_path / "out", settings=settings, cluster=client)
    row = open_results(tmp_path / "out").micrographs.iloc[0]
    assert row["status"] == "failed"
    assert "changed while it was read" in row["reason"]
    again = run(folder / "as made" / "a.tif", tmp_path / "out", settings=settings, cluster=client)
    assert again.counts["done"] == 1


def test_a_folder_that_moved_is_not_done_again_and_its_rows_say_where_it_is(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    run(folder, tmp_path / "out", settings=settings, cluster=client)
    moved = folder.rename(tmp_path / "moved")
    assert run(moved, tmp_path / "out", settings=settings, cluster=client).n_skipped == 3
    row = open_results(tmp_path / "out").particles.iloc[0]
    assert "moved" in open_results(tmp_path / "out").micrographs["source"].iloc[0]
    assert crop(tmp_path / "out", row["micrograph_id"], 1).intensity.size


def test_crop_reads_archives_and_refuses_changed_files(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff, make_disks: MakeDisks,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    archive = tmp_path / "zipped" / "all.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "as made" / "a.tif", "a.tif")
    run(archive, tmp_path / "out", settings=settings, cluster=client)
    row = open_results(tmp_path / "out").particles.iloc[0]
    cut = crop(tmp_path / "out", row["micrograph_id"], row["particle_id"])
    assert int((cut.labels == row["particle_id"]).sum()) == row["area_px"]
    with zipfile.ZipFile(archive, "w") as file:
        file.write(make_tiff(tmp_path / "b.tif", make_disks(rng, 1)), "a.tif")
    with pytest.raises(ValueError, match="has changed since"):
        crop(tmp_path / "out", row["micrograph_id"], row["particle_id"])


def test_overlays_asked_for_later_are_drawn_without_computing(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    out = tmp_path / "out"
    run(folder, out, settings=settings.updated({"execution": {"overlays": "none"}}), cluster=client)
    assert not list(out.glob("overlays/*.jpg"))
    assert run(folder, out, settings=settings, cluster=client).n_skipped == 3
    assert len(list(out.glob("overlays/*.jpg"))) == 3


def test_what_cannot_work_is_refused_before_anything_is_read(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    for changes, words in (
        ({"loading": {"pixels": True}, "segmentation": {"method": "fourier"}}, "needs pixel sizes"),
        ({"fourier": {"material": "Unobtainium"}}, "fourier.material"),
        ({"segmentation": {"method": "unet", "threshold": 0.0}}, "threshold"),
    ):
        with pytest.raises(SettingsError, match=words):
            run(folder, tmp_path / "out", settings=settings.updated(changes), cluster=client)
    assert not (tmp_path / "out").exists()


def test_a_lattice_too_fine_for_the_pixels_sets_aside_and_keeps_the_quality(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    coarse = settings.updated({"loading": {"pixel_size_nm": 0.5}, "segmentation": {"method": "fourier"}})
    summary = run(folder, tmp_path / "out", settings=coarse, cluster=client)
    assert summary.counts["set_aside"] == 3
    rows = open_results(tmp_path / "out").micrographs
    assert rows["reason"].str.contains("too coarse").all()
    assert rows["gradient"].notna().all()


def test_settings_of_a_finished_run_are_settings(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    run(folder, tmp_path / "out", settings=settings, cluster=client)
    assert Settings.from_file(tmp_path / "out" / "run.toml") == settings


def test_results_on_an_object_store(folder: Path, settings: Settings, client: Client) -> None:
    out = "memory://bucket/results"
    assert run(folder, out, settings=settings, cluster=client).counts["done"] == 3
    assert run(folder, out, settings=settings, cluster=client).n_skipped == 3
    results = open_results(out)
    assert len(results.particles) == 3 + 6 + 2
    assert results.labels(results.micrographs["micrograph_id"].iloc[0]).max() == 3


def test_a_wrong_pixel_size_is_found_by_the_lattice_of_a_known_material(
    tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff
) -> None:
    scene = simulate_scene(seed=(2021, 0))
    make_tiff(tmp_path / "in" / "au.tif", scene.image, scene.pixel_size_nm[0])
    gold = settings.updated({"segmentation": {"method": "fourier"}, "fourier": {"material": "Au"}})
    for given, ratio, flags in ((None, 1.0, None), (scene.pixel_size_nm[0] * 1.05, 1.05, "off_lattice")):
        run(
            tmp_path / "in",
            tmp_path / "out",
            settings=gold.updated({"loading": {"pixel_size_nm": given}}),
            cluster=client,
        )
        results = open_results(tmp_path / "out")
        row = results.micrographs.iloc[0]
        assert row["n_particles"] == len(scene.truth)
        assert row["lattice_scale_ratio"] == pytest.approx(ratio, abs=0.01)
        assert (None if pd.isna(row["calibration_flags"]) else row["calibration_flags"]) == flags


def test_two_unicode_forms_of_one_name_are_two_micrographs(
    tmp_path: Path, settings: Settings, client: Client, make_disks: MakeDisks, make_tiff: MakeTiff,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    for n, name in enumerate(("ne\u0301.tif", "n\u00e9.tif", "other.tif"), start=1):
        make_tiff(tmp_path / "in" / name, make_disks(rng, n))
    out = tmp_path / "out"
    assert run(tmp_path / "in", out, settings=settings, cluster=client).counts["done"] == 3
    results = open_results(out)
    assert results.micrographs["micrograph_id"].is_unique
    for row in results.micrographs.itertuples():
        assert results.labels(row.micrograph_id).max() == row.n_particles
    assert sorted(results.micrographs["n_particles"]) == [1, 2, 3]
    assert run(tmp_path / "in", out, settings=settings, cluster=client).n_skipped == 3


def test_a_line_profile_and_a_pipe_do_not_end_a_run(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, make_tiff: MakeTiff, rng: np.random.Generator
) -> None:
    for name, shape in (("tall.tif", (600, 1)), ("wide.tif", (1, 600)), ("ribbon.tif", (2, 2000))):
        make_tiff(folder / name, rng.integers(0, 999, shape).astype(np.uint16))
    os.mkfifo(folder / "pipe.tif")
    (folder / "linked.mrc").symlink_to(folder / "pipe.tif")
    summary = run(folder, tmp_path / "out", settings=settings, cluster=client)
    assert sum(summary.counts.values()) == 3 + 3 + 2
    rows = open_results(tmp_path / "out").micrographs
    assert (rows["reason"].str.contains("named pipe").fillna(False)).sum() == 2
    lines = rows[rows["reason"].str.contains("a line profile, not an image").fillna(False)]
    assert set(lines["status"]) == {"set_aside"}
    assert {Path(source).name for source in lines["source"]} == {"tall.tif", "wide.tif"}
    assert summary.counts["done"] >= 3


def test_a_page_that_fails_costs_no_micrograph(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr(task, "summarize_micrograph", fail)
    monkeypatch.setattr(task.overlays, "write_overlay", fail)
    assert run(folder, tmp_path / "out", settings=settings, cluster=client).counts["done"] == 3
    results = open_results(tmp_path / "out")
    assert results.labels(results.micrographs["micrograph_id"].iloc[0]).max() == 3
