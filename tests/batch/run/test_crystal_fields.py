"""A field that one crystal fills, through a batch: tables, ledger, overlay, lazy rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pandas.testing as pdt
from distributed import Client

import hrtem_dask as hd
from hrtem_dask.settings import Settings
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.overlays import remove_overlay


def magenta(picture: Path) -> int:
    """Number of pixels in the color of fault traces."""
    red, green, blue = np.moveaxis(iio.imread(picture).astype(int), -1, 0)
    return int(((red > 150) & (green < 110) & (blue > 120)).sum())


def test_a_crystal_among_particles(
    tmp_path: Path,
    client: Client,
    make_crystal: Callable[..., Any],
    make_tiff: Callable[..., Path],
    make_disks: Callable[..., np.ndarray],
    rng: np.random.Generator,
) -> None:
    crystal = make_crystal("Au", "intrinsic")
    make_tiff(tmp_path / "in" / "crystal.tif", crystal.image, 0.03)
    make_tiff(tmp_path / "in" / "disks.tif", make_disks(rng, 2))
    settings = Settings().updated(
        {"segmentation": {"method": "fourier"}, "execution": {"device": "cpu", "overlays": "all"}}
    )
    out = tmp_path / "out"
    hd.run(tmp_path / "in", out, settings=settings, cluster=client)
    results = hd.open_results(out)
    row = results.micrographs.set_index("source").filter(like="crystal", axis=0).iloc[0]
    assert (row["status"], row["field_kind"], row["n_particles"]) == ("done", "one_crystal", 0)
    windows, traces = results.windows, results.fault_traces
    assert set(windows["micrograph_id"]) == set(traces["micrograph_id"]) == {row["micrograph_id"]}
    assert row["reason"] == f"one crystal: {len(windows)} windows, {windows['fault_kind'].notna().sum()} with a fault"
    assert len(traces) == 1
    picture = out / "overlays" / f"{row['micrograph_id']}.jpg"
    assert magenta(picture) > 50
    # a part without a crystal has no file of windows
    assert len(list((out / "parts").glob("*.windows.parquet"))) == 1

    # the rows of the lazy collection are the same
    labelled = hd.label(hd.segment(hd.open_micrographs(tmp_path / "in", settings=settings)))
    for name, table in (("windows", windows), ("fault_traces", traces)):
        pdt.assert_frame_equal(hd.measure(labelled, name).compute().reset_index(drop=True), table)

    # a second run skips both, and draws a missing overlay again
    remove_overlay(Location.of(out), row["micrograph_id"])
    assert hd.run(tmp_path / "in", out, settings=settings, cluster=client).n_skipped == 2
    pdt.assert_frame_equal(hd.open_results(out).windows, windows)
    assert magenta(picture) > 50
    # exporting covers the new tables, and results of older runs, without these tables, still open
    for name in ("windows", "fault_traces"):
        (out / f"{name}.parquet").unlink()
    older = hd.open_results(out)
    assert len(older.windows) == len(older.fault_traces) == 0
    assert list(older.windows) == list(windows)
