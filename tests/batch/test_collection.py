from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import dask
import numpy as np
import pandas.testing as pdt
import pytest
import xarray as xr
from distributed import Client

from hrtem_dask import (
    Collection,
    classify,
    label,
    loading,
    measure,
    open_micrographs,
    open_results,
    run,
    segment,
    summarize,
)
from hrtem_dask.segmentation.segmenters import OtsuSegmenter, Segmentation
from hrtem_dask.settings import Settings
from hrtem_dask.tables import REGION_CLASSES


@contextmanager
def nothing_is_computed() -> Iterator[None]:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a lazy step has computed something")

    with dask.config.set(scheduler=refuse):
        yield


def test_every_step_is_lazy(folder: Path, settings: Settings) -> None:
    with nothing_is_computed():
        labelled = label(segment(open_micrographs(folder, settings=settings)))
        table = measure(labelled)
    assert table.npartitions == 3


def test_images_of_one_shape_are_stacked(folder: Path, settings: Settings) -> None:
    collection = open_micrographs(folder, settings=settings)
    assert {name: node.intensity.shape for name, node in collection.tree.children.items()} == {
        "200x240": (2, 200, 240),
        "260x240": (1, 260, 240),
    }
    node = collection.tree["200x240"]
    assert node.intensity.data.chunksize == (1, 200, 240)
    np.testing.assert_allclose(node.pixel_size_y_nm, 0.05)
    assert list(collection.index["sample"]) == ["as made", "as made", "gealtert µ"]


@pytest.mark.parametrize("table", ["particles", "regions"])
def test_lazy_and_batch_give_the_same_rows(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, table: str
) -> None:
    run(folder, tmp_path / "out", settings=settings, cluster=client)
    lazily = measure(label(segment(open_micrographs(folder, settings=settings))), table)
    batch = open_results(tmp_path / "out").table(table)
    pdt.assert_frame_equal(lazily.compute().reset_index(drop=True), batch)


def test_lazy_labels_are_those_of_the_batch(folder: Path, tmp_path: Path, settings: Settings, client: Client) -> None:
    run(folder, tmp_path / "out", settings=settings, cluster=client)
    labelled = label(segment(open_micrographs(folder, settings=settings)))
    for name in labelled.index["micrograph_id"]:
        lazily = labelled.micrograph(name, "labels")
        assert lazily.y.attrs["units"] == "nm"
        np.testing.assert_array_equal(lazily.compute(), open_results(tmp_path / "out").labels(name))


def test_lazy_and_batch_find_the_same_burnt_in_marks(
    tmp_path: Path, settings: Settings, client: Client, make_disks: Callable[..., np.ndarray],
    make_tiff: Callable[..., Path], rng: np.random.Generator,
) -> None:  # fmt: skip
    image = make_disks(rng, 6)
    ink = np.zeros(image.shape, np.uint8)
    ink[185:190, 20:120] = 255
    cv2.putText(ink, "5 nm", (124, 192), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
    image[140:200, 190:] = 0
    cv2.putText(ink, "(a)", (194, 180), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 1)
    image[ink > 0] = 4000
    make_tiff(tmp_path / "in" / "marked.tif", image)
    run(tmp_path / "in", tmp_path / "out", settings=settings, cluster=client)
    batch = open_results(tmp_path / "out")
    labelled = label(segment(open_micrographs(tmp_path / "in", settings=settings)))
    pdt.assert_frame_equal(measure(labelled).compute().reset_index(drop=True), batch.table("particles"))
    row = measure(labelled, "micrographs").compute().iloc[0]
    assert row["marked_fraction"] == batch.table("micrographs").iloc[0]["marked_fraction"] > 0.06
    # the sixth disk lies half below the box: what is left of it is cut
    assert list(batch.table("particles")["exclusion_reason"].fillna("counted")) == ["counted"] * 5 + ["mark"]


def test_steps_out_of_order_are_told_apart(folder: Path, settings: Settings) -> None:
    opened = open_micrographs(folder, settings=settings)
    with pytest.raises(ValueError, match=r"call segment\(micrographs\) first"):
        label(opened)
    with pytest.raises(ValueError, match=r"call label\(micrographs\) first"):
        measure(segment(opened))


def test_a_bad_image_is_a_row_here_too(folder: Path, tmp_path: Path, settings: Settings, client: Client) -> None:
    (folder / "as made" / "0 bad.tif").write_bytes((folder / "as made" / "a.tif").read_bytes())
    broken = folder / "as made" / "0 bad.tif"
    opened = open_micrographs(folder, settings=settings)
    broken.write_bytes(b"no longer a micrograph")
    labelled = label(segment(opened))
    rows = measure(labelled, "micrographs").compute()
    assert rows["status"].tolist() == ["failed", "done", "done", "done"]
    assert len(measure(labelled).compute()) == 3 + 6 + 2


def test_covariates_and_summary_come_along(folder: Path, tmp_path: Path, settings: Settings) -> None:
    table = tmp_path / "samples.csv"
    table.write_text("path,sample,anneal_c\n*.tif,gold,300\n")
    opened = open_micrographs(folder, settings=settings, metadata=table)
    particles = measure(label(segment(opened)))
    assert set(particles.compute()["anneal_c"]) == {300}
    assert summarize(particles)["samples"]["gold"]["n_counted"] == 11


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often images were read and segmented."""
    counted: Counter[str] = Counter()
    read_image, call = loading.read_image, OtsuSegmenter.__call__

    def reading(record: loading.MicrographRecord) -> np.ndarray:
        counted["read"] += 1
        return read_image(record)

    def segmenting(self: OtsuSegmenter, image: Any, **arguments: Any) -> Segmentation:
        counted["segmented"] += 1
        return call(self, image, **arguments)

    monkeypatch.setattr(loading, "read_image", reading)
    monkeypatch.setattr(OtsuSegmenter, "__call__", segmenting)
    return counted


def stacked(collection: Collection, variable: str) -> list[xr.DataArray]:
    return [node[variable] for node in collection.tree.children.values()]


def test_labels_read_and_segment_each_micrograph_once(folder: Path, settings: Settings, counts: Counter[str]) -> None:
    dask.compute(*stacked(label(segment(open_micrographs(folder, settings=settings))), "labels"))
    assert counts == {"read": 3, "segmented": 3}


def test_all_images_and_rows_together_need_one_pass(folder: Path, settings: Settings, counts: Counter[str]) -> None:
    labelled = label(segment(open_micrographs(folder, settings=settings)))
    variables = ("intensity", "probability", "mask", "labels")
    dask.compute(*(image for variable in variables for image in stacked(labelled, variable)))
    assert counts == {"read": 3, "segmented": 3}
    counts.clear()
    dask.compute(measure(labelled), classify(labelled), measure(labelled, "micrographs"))
    assert counts == {"read": 3, "segmented": 3}


def test_labels_are_made_from_the_probability_of_the_collection(folder: Path, settings: Settings) -> None:
    bright = settings.updated({"segmentation": {"particles_are": "bright"}, "particles": {"fill_holes": False}})
    for chosen in (settings, bright):
        labelled = label(segment(open_micrographs(folder), settings=chosen))
        masks, labels = dask.compute(stacked(labelled, "mask"), stacked(labelled, "labels"))
        for mask, found in zip(masks, labels, strict=True):
            assert mask.values[found.values > 0].mean() > 0.98
            assert (found.values > 0).mean() > 0.9 * mask.values.mean()


def test_a_micrograph_set_aside_has_a_probability_and_no_labels(folder: Path, settings: Settings) -> None:
    strict = settings.updated({"quality": {"max_gradient": -1.0, "set_aside": ["gradient"]}})
    labelled = label(segment(open_micrographs(folder, settings=strict)))
    masks, labels = dask.compute(stacked(labelled, "mask"), stacked(labelled, "labels"))
    assert all(mask.any().item() for mask in masks)
    assert not any(found.any().item() for found in labels)
    assert set(measure(labelled, "micrographs").compute()["status"]) == {"set_aside"}


def test_classify_gives_the_classified_regions(folder: Path, settings: Settings) -> None:
    labelled = label(segment(open_micrographs(folder, settings=settings)))
    pdt.assert_frame_equal(classify(labelled).compute(), measure(labelled, "regions").compute())
    assert set(classify(labelled).compute()["region_class"]) <= {*REGION_CLASSES, "unsure"}


def test_a_collection_is_a_mapping_of_micrographs(folder: Path, settings: Settings) -> None:
    collection = open_micrographs(folder, settings=settings)
    names = list(collection)
    assert len(names) == len(collection) == 3
    xr.testing.assert_identical(collection[names[1]], collection.micrograph(names[1]))
    with pytest.raises(KeyError, match=f"did you mean '{names[0]}'"):
        collection[names[0][:-1]]


def test_settings_can_be_given_by_name_and_as_a_dictionary(folder: Path, settings: Settings) -> None:
    by_name = open_micrographs(folder, pixel_size_nm=0.07, method="otsu", material="Au").settings
    as_tables = {"segmentation": {"method": "otsu"}, "fourier": {"material": "Au"}, "loading": {"pixel_size_nm": 0.07}}
    assert by_name == open_micrographs(folder, settings=as_tables).settings
    opened = open_micrographs(folder, settings=settings)
    assert segment(opened, settings=as_tables).settings == by_name
    assert segment(opened).settings == settings


@pytest.mark.parametrize("step", [segment, label, measure, classify])
def test_what_is_no_collection_is_refused_with_the_remedy(step: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"need a Collection, got str: open files with open_micrographs"):
        step("folder")
