"""The way out and back: exported labels, edited or not, and what becomes of the results."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pandas.testing as pdt
import pytest
import tifffile
import zarr
from distributed import Client
from skimage.measure import regionprops

from hrtem_dask import correct, export, open_results, run, undo_corrections
from hrtem_dask.batch.correction.export import choose_micrographs
from hrtem_dask.errors import NothingToAnalyseError, SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.storage.corrections import read_corrections
from hrtem_dask.storage.exchange.ro_crate import CRATE_FILE
from hrtem_dask.storage.location import Location

TABLES = ("micrographs", "regions", "particles")
SAMPLES = "path,operator,hours\n*a.tif,Ada,1\n*b.tif,Bo,\n"


@pytest.fixture
def results(folder: Path, tmp_path: Path, settings: Settings, client: Client) -> Path:
    (tmp_path / "samples.csv").write_text(SAMPLES)
    (folder / "notes.txt").write_text("grid 3")
    run(folder, tmp_path / "out", settings=settings, cluster=client, metadata=tmp_path / "samples.csv")
    return tmp_path / "out"


def ids(results: Path) -> list[str]:
    rows = open_results(results).micrographs
    return [str(name) for name in rows.loc[rows["status"] == "done", "micrograph_id"]]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the log and the corrections."""
    dated = {"log.jsonl", CRATE_FILE}
    files = [p for p in folder.rglob("*") if p.is_file() and "corrections" not in p.parts and p.name not in dated]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def tables_of(results: Path) -> dict[str, pd.DataFrame]:
    opened = open_results(results)
    return {name: opened.table(name) for name in TABLES}


def without(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["micrograph_id"] != name].reset_index(drop=True)


def edit_files(exported: Path, form: str, name: str, change: Callable[[np.ndarray], None]) -> None:
    """Edit labels as another program would."""
    if form == "labels":
        path = exported / "labels" / f"{name}.png"
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert labels.dtype == np.uint16
        change(labels)
        cv2.imwrite(str(path), labels)
    elif form == "tiff":
        path = exported / "labels" / f"{name}.tif"
        labels = tifffile.imread(path)
        change(labels)
        tifffile.imwrite(path, labels)
    else:
        array = zarr.open_group(exported / "micrographs.zarr", mode="r+")[f"{name}/labels/particles/0"]
        labels = array[:]
        change(labels)
        array[:] = labels


def redraw(labels: np.ndarray) -> None:
    """Remove particle 1, add a square far from the others, and cut particle 2 in two."""
    labels[labels == 1] = 0
    labels[172:197, 2:27] = 900
    rows = np.flatnonzero((labels == 2).any(axis=1))
    lower = labels[rows[0] + 20 :]
    lower[lower == 2] = 901


@pytest.mark.parametrize("form", ["coco", "labels", "tiff", "zarr"])
def test_labels_that_were_not_edited_change_nothing(results: Path, tmp_path: Path, client: Client, form: str) -> None:
    before = contents(results)
    export(results, tmp_path / "ex", formats=form, cluster=client)
    for use_manifest in (True, False):
        summary = correct(results, tmp_path / "ex", cluster=client)
        assert [one.state for one in summary.files] == ["unchanged"] * 3
        assert contents(results) == before
        if use_manifest:
            (tmp_path / "ex" / "export.json").unlink()


@pytest.mark.parametrize("form", ["labels", "tiff", "zarr"])
def test_only_the_edited_micrograph_changes(results: Path, tmp_path: Path, client: Client, form: str) -> None:
    before, name = tables_of(results), ids(results)[1]
    export(results, tmp_path / "ex", formats=form, cluster=client)
    edit_files(tmp_path / "ex", form, name, redraw)
    summary = correct(results, tmp_path / "ex", cluster=client)
    assert {one.micrograph_id: one.state for one in summary.files}[name] == "corrected"
    assert (summary.count("corrected"), summary.count("unchanged"), summary.n_corrected) == (1, 2, 1)
    after = tables_of(results)
    for table in TABLES:
        pdt.assert_frame_equal(without(after[table], name), without(before[table], name))
    assert list(after["micrographs"]["micrograph_id"]) == list(before["micrographs"]["micrograph_id"])
    row = after["micrographs"].set_index("micrograph_id").loc[name]
    assert row["corrected"]
    assert (row["status"], row["n_particles"], row["operator"]) == ("done", 7, "Bo")
    assert json.loads((results / "summary.json").read_bytes())["corrected"] == 1
    # an independent measurement
    labels = open_results(results).labels(name)
    wanted = labels.copy()
    rows = after["particles"][after["particles"]["micrograph_id"] == name].set_index("particle_id")
    found = {one.label: one for one in regionprops(wanted)}
    assert list(rows.index) == sorted(found) == list(range(1, 8))
    for number, one in found.items():
        assert rows.loc[number, "area_px"] == one.area
        assert rows.loc[number, "equivalent_diameter_nm"] == pytest.approx(0.05 * one.equivalent_diameter_area)
        assert rows.loc[number, "centroid_y_px"] == pytest.approx(one.centroid[0])
        assert rows.loc[number, "eccentricity"] == pytest.approx(one.eccentricity, abs=0.05)
    new = int(labels[180, 15])
    assert rows.loc[new, "area_px"] == 625
    assert rows.loc[new, "area_nm2"] == pytest.approx(625 * 0.05**2)
    assert (rows["sample"] == "as made").all()
    assert (row["coverage"], row["n_regions"]) == (np.count_nonzero(labels) / labels.size, 6)
    # the cut particle is two of one region, numbered as a run does
    first = [int(np.flatnonzero(labels.ravel() == number)[0]) for number in rows.index]
    assert first == sorted(first)
    pair = rows.groupby("region_id").size()
    assert sorted(pair) == [1, 1, 1, 1, 1, 2]


def test_particles_that_were_left_alone_measure_as_before(results: Path, tmp_path: Path, client: Client) -> None:
    before, name = tables_of(results)["particles"], ids(results)[0]
    export(results, tmp_path / "ex", formats="labels", cluster=client)
    edit_files(tmp_path / "ex", "labels", name, lambda labels: labels.__setitem__(labels == 1, 0))
    correct(results, tmp_path / "ex", cluster=client)
    after = tables_of(results)["particles"]
    old = before[(before["micrograph_id"] == name) & (before["particle_id"] > 1)].reset_index(drop=True)
    new = after[after["micrograph_id"] == name].reset_index(drop=True)
    assert (old["particle_id"].astype(int) - 1).tolist() == new["particle_id"].tolist()
    old, new = (table.drop(columns=["particle_id", "region_id"]) for table in (old, new))
    pdt.assert_frame_equal(old.iloc[1:], new.iloc[1:])
    # the neighbour's surroundings now hold what has been removed
    pdt.assert_frame_equal(old.drop(columns="contrast"), new.drop(columns="contrast"))


def test_all_formats_give_the_same_rows(results: Path, tmp_path: Path, client: Client) -> None:
    name, ended = ids(results)[0], {}
    for form in ("coco", "labels", "tiff", "zarr"):
        copy = tmp_path / form
        shutil.copytree(results, copy)
        export(copy, tmp_path / f"{form} ex", formats=form, cluster=client)
        if form == "coco":
            path = tmp_path / "coco ex" / "annotations.json"
            content = json.loads(path.read_bytes())
            image = next(i["id"] for i in content["images"] if i["micrograph_id"] == name)
            of_image = [a for a in content["annotations"] if a["image_id"] == image]
            content["annotations"].remove(of_image[0])
            square = [2, 172, 27, 172, 27, 197, 2, 197]
            content["annotations"].append({"id": 900, "image_id": image, "category_id": 6, "segmentation": [square]})
            for one in content["annotations"]:
                one.pop("micrograph_id", None)  # as programs do that know COCO's own fields only
                one.pop("particle_id", None)
            path.write_text(json.dumps(content))
        else:

            def draw(labels: np.ndarray) -> None:
                labels[labels == 1] = 0
                labels[172:197, 2:27] = 99

            edit_files(tmp_path / f"{form} ex", form, name, draw)
        assert correct(copy, tmp_path / f"{form} ex", cluster=client).count("corrected") == 1
        ended[form] = tables_of(copy)
    for form in ("coco", "tiff", "zarr"):
        for table in TABLES:
            pdt.assert_frame_equal(ended[form][table], ended["labels"][table])


def test_later_runs_keep_corrections(
    results: Path, folder: Path, tmp_path: Path, settings: Settings, client: Client,
    make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path], rng: np.random.Generator,
    messages: Callable[[], list[str]],
) -> None:  # fmt: skip
    name, samples = ids(results)[0], tmp_path / "samples.csv"
    export(results, tmp_path / "ex", formats="labels", cluster=client)
    edit_files(tmp_path / "ex", "labels", name, redraw)
    correct(results, tmp_path / "ex", cluster=client)
    after, labels = contents(results), open_results(results).labels(name)
    assert run(folder, results, settings=settings, cluster=client, metadata=samples).n_skipped == 3
    assert contents(results) == after, "tables made by correct are those that a run makes"
    # other settings: the labels stay, and are judged by them
    stricter = settings.updated({"particles": {"min_area_px": 1000}})
    run(folder, results, settings=stricter, cluster=client, metadata=samples)
    assert any("1 micrographs keep their corrected labels" in line for line in messages())
    np.testing.assert_array_equal(open_results(results).labels(name), labels)
    particles = open_results(results).particles
    square = particles[(particles["micrograph_id"] == name) & (particles["area_px"] == 625)]
    assert square["exclusion_reason"].tolist() == ["too_small"]
    # another file: analysed anew, the correction kept and named
    source = Path(open_results(results).micrographs.set_index("micrograph_id").loc[name, "source"])
    make_tiff(source, make_disks(rng, 1))
    messages()
    run(folder, results, settings=stricter, cluster=client, metadata=samples)
    assert any("files have changed since" in line and name in line for line in messages())
    rows = open_results(results).micrographs.set_index("micrograph_id")
    assert (rows.loc[name, "n_particles"], bool(rows.loc[name, "corrected"])) == (1, False)
    kept = read_corrections(Location.of(results))[name].read()
    np.testing.assert_array_equal(kept > 0, labels > 0)


def test_a_correction_can_be_undone(results: Path, tmp_path: Path, client: Client) -> None:
    before, name = tables_of(results), ids(results)[0]
    export(results, tmp_path / "ex", formats="labels", cluster=client)
    edit_files(tmp_path / "ex", "labels", name, redraw)
    correct(results, tmp_path / "ex", cluster=client)
    summary = undo_corrections(results, "*", cluster=client)
    assert (summary.count("undone"), summary.n_corrected) == (1, 0)
    for table in TABLES:
        pdt.assert_frame_equal(tables_of(results)[table], before[table])
    with pytest.raises(NothingToAnalyseError, match="no corrected micrograph"):
        undo_corrections(results, "*", cluster=client)


def test_nothing_left_is_empty(results: Path, tmp_path: Path, client: Client) -> None:
    name = ids(results)[2]
    export(results, tmp_path / "ex", formats="tiff", cluster=client)
    edit_files(tmp_path / "ex", "tiff", name, lambda labels: labels.fill(0))
    correct(results, tmp_path / "ex", cluster=client)
    row = open_results(results).micrographs.set_index("micrograph_id").loc[name]
    assert (row["status"], row["n_particles"], row["coverage"]) == ("empty", 0, 0.0)
    assert name not in set(open_results(results).particles["micrograph_id"])
    export(results, tmp_path / "again", formats=["tiff", "coco"], cluster=client)
    assert correct(results, tmp_path / "again", cluster=client).count("unchanged") == 3


def test_bad_files_are_named_and_the_others_go_on(
    results: Path, tmp_path: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    good, other, third = ids(results)
    ex = tmp_path / "ex" / "labels"
    export(results, tmp_path / "ex", formats="tiff", cluster=client)
    edit_files(tmp_path / "ex", "tiff", good, redraw)
    tifffile.imwrite(ex / f"{other}.tif", tifffile.imread(ex / f"{other}.tif")[:-1])
    (ex / f"{third}.tif").write_bytes(b"II*\0 no more")
    tifffile.imwrite(ex / "stranger.tif", np.ones((5, 5), np.uint16))
    summary = correct(results, tmp_path / "ex", cluster=client)
    reasons = {one.micrograph_id: one.reason for one in summary.files if one.state == "failed"}
    assert summary.count("corrected") == 1
    assert reasons.keys() == {other, third, "stranger"}
    assert "(199, 240)" in reasons[other]
    assert "no micrograph 'stranger'" in reasons["stranger"]
    assert len([r for r in caplog.records if r.name.startswith("hrtem_dask") and r.levelname == "WARNING"]) == 3
    wrong = {
        "float32": np.zeros((200, 240), np.float32),
        "label -1": np.full((200, 240), -1, np.int32),
        "shape (3, 200, 240)": np.zeros((3, 200, 240), np.uint16),
        "a mask of 0 and 255": np.where(np.indices((200, 240))[0] // 50 % 2, 255, 0).astype(np.uint8),
    }
    for text, labels in wrong.items():
        store = zarr.open_group(tmp_path / text / "labels.zarr", mode="w")
        store.create_group(other).create_array("labels", data=labels)
        (one,) = correct(results, tmp_path / text / "labels.zarr", cluster=client).files
        assert one.state == "failed"
        assert text in one.reason


def test_a_changed_file_is_not_measured_with_labels_of_another(results: Path, tmp_path: Path, client: Client) -> None:
    name = ids(results)[0]
    export(results, tmp_path / "ex", formats="labels", cluster=client)
    edit_files(tmp_path / "ex", "labels", name, redraw)
    source = Path(open_results(results).micrographs.set_index("micrograph_id").loc[name, "source"])
    image = tifffile.imread(source)
    image[0, 0] += 1
    tifffile.imwrite(source, image)
    os.utime(source, (1, 1))
    before = contents(results)
    summary = correct(results, tmp_path / "ex", cluster=client)
    assert "has changed since" in next(one.reason for one in summary.files if one.micrograph_id == name)
    assert contents(results) == before


def test_what_was_not_edited_is_no_correction_of_what_a_later_run_finds(
    results: Path, folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    export(results, tmp_path / "ex", formats="labels", cluster=client)
    other = settings.updated({"particles": {"opening_radius_px": 6}})
    run(folder, results, settings=other, cluster=client)
    assert correct(results, tmp_path / "ex", cluster=client).count("unchanged") == 3


def test_an_unfinished_run_is_refused(results: Path, tmp_path: Path, client: Client) -> None:
    export(results, tmp_path / "ex", formats="labels", cluster=client)
    (results / "parts" / "abc.intent.json").write_text(json.dumps({ids(results)[0]: 2}))
    with pytest.raises(SettingsError, match="was cut off"):
        correct(results, tmp_path / "ex", cluster=client)


def test_an_export_is_not_written_over(results: Path, tmp_path: Path, client: Client) -> None:
    export(results, tmp_path / "ex", formats="labels", cluster=client)
    with pytest.raises(SettingsError, match="holds an export already"):
        export(results, tmp_path / "ex", formats="labels", cluster=client)
    with pytest.raises(SettingsError, match="is a results folder"):
        export(results, results, formats="labels", cluster=client)
    with pytest.raises(SettingsError, match="got pdf"):
        export(results, tmp_path / "ex2", formats="pdf", cluster=client)
    with pytest.raises(NothingToAnalyseError, match="no micrograph of the name 'zzz'"):
        export(results, tmp_path / "ex3", formats="labels", only="zzz", cluster=client)


def test_the_most_doubtful_come_first() -> None:
    rows = pd.DataFrame(
        {
            "micrograph_id": list("abcdef"),
            "source": [f"/x/{name}.dm4" for name in "abcdef"],
            "status": ["done", "done", "done", "done", "set_aside", "empty"],
            "corrected": [False, False, True, False, None, False],
            "predicted_dice": [0.9, None, 0.1, 0.5, 0.0, None],
            "quality_flags": [None, "blur", "blur,drift", None, None, "blur"],
            "calibration_flags": [None, None, None, None, None, "off_lattice"],
        }
    )
    assert choose_micrographs(rows, doubtful=9)["micrograph_id"].tolist() == ["d", "a", "f", "b", "c"]
    assert choose_micrographs(rows, doubtful=2)["micrograph_id"].tolist() == ["d", "a"]
    rows["verdict"] = ["doubtful", "trusted", "doubtful", "trusted", "doubtful", "doubtful"]
    assert choose_micrographs(rows, doubtful=9)["micrograph_id"].tolist() == ["a", "f", "d", "b", "c"]
    assert choose_micrographs(rows, only="b.dm?")["micrograph_id"].tolist() == ["b"]
