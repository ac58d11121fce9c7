from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas.testing as pdt
import pytest
from distributed import Client

from hrtem_dask import label, measure, open_micrographs, open_results, run, segment, summarize
from hrtem_dask.settings import Settings


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
