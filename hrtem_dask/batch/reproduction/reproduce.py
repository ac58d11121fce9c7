"""The paper's Table 1, Figure 2 and Figure 5f from its published files, beside ours."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.reproduction.forest_scores import forest_rows
from hrtem_dask.batch.reproduction.segmentation_scores import segmentation_rows
from hrtem_dask.evaluation.region_classes import RegionConfusion
from hrtem_dask.provenance import WHOLE_PACKAGE, code_version
from hrtem_dask.reproduction.comparison import (
    ForestRow,
    SegmentationRow,
    TextTable,
    figure_2,
    figure_5f,
    forest_scores,
    table_1,
    to_markdown,
)
from hrtem_dask.reproduction.confusion_figure import Matrix, draw_matrices
from hrtem_dask.reproduction.published_files import PublishedFiles, find_published
from hrtem_dask.reproduction.published_scores import PUBLISHED, PUBLISHED_FOREST
from hrtem_dask.storage.location import Location
from hrtem_dask.tables import REGION_CLASSES

__all__ = ["N_TRAINING", "Reproduction", "reproduce_groschner2021"]

N_TRAINING = 129
"""The authors' scripts train on the first 129 images of each stack; those after them are the test set."""


@dataclass(frozen=True)
class Reproduction:
    """What was reproduced, and what could not be."""

    found: tuple[str, ...]
    """The published files that are there."""
    lacking: tuple[str, ...]
    """Those that are not, and what each would give."""
    segmentation: tuple[SegmentationRow, ...]
    """Networks on test sets."""
    forests: tuple[ForestRow, ...]
    """Forests; the first is the notebook's way."""
    notes: tuple[str, ...]
    """Files, images and regions that could not be used, and what was done otherwise than usual; a line each."""
    place: Location
    """Where it was written."""

    def tables(self) -> list[TextTable]:
        """Return what the paper shows beside ours, without what there are no files for."""
        tables = [table_1(self.segmentation), figure_2(self.segmentation)] if self.segmentation else []
        if self.forests:
            tables += [figure_5f(self.forests[0]), forest_scores(self.forests)]
        return tables


def reproduce_groschner2021(
    data: str | Path,
    *,
    out: str | Path = "reproduction",
    weights: Iterable[str | Path] = (),
    n_training: int = N_TRAINING,
    bundled: bool = True,
    pixel_sizes_nm: Mapping[str, float] | None = None,
    n_orders: int = 10,
    scheduler: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    client: Client | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Score the paper's networks and its random forest on the paper's published files.

    Parameters
    ----------
    data : str or path-like
        Folder with the published files, or some of them, see `find_published`.
    out : str or path-like
        Folder to write ``reproduction.json``, ``reproduction.md``, ``figure2.svg`` and ``figure5f.svg`` to.
    weights : iterable of str or path-like
        Where the networks lie, if not in `data`.
    n_training : int
        Images at the start of each stack that the networks were trained on and that are not scored.
    bundled : bool
        Whether to score our own network too.
    pixel_sizes_nm : mapping of str to float, optional
        Pixel size (nm) by ``all``, ``CdSe`` and ``Au``, for our own network: the stacks state none, and it then sees
        images as they are.
    n_orders : int
        Orders of the regions for which the forest is fitted, since its own split cannot be had; the first is shown.
    scheduler : str, optional
        As for `run`.
    workers : int, optional
        Workers on this machine.
    device : {"auto", "cpu", "cuda"}
        Where images are processed.
    client : distributed.Client, optional
        A connected client, used and left open.
    say : callable
        Takes lines for the user.

    Returns
    -------
    Reproduction
        Also written to `out`.

    Raises
    ------
    NothingToAnalyseError
        If `data` holds none of the published files.
    """
    files = find_published(data, weights=weights)
    for line in files.found():
        say(f"found: {line}")
    for line in (*(f"lacking: {line}" for line in files.lacking()), *files.complaints):
        say(line)
    notes = list(files.complaints)

    def work(on: Client) -> tuple[list[SegmentationRow], list[ForestRow]]:
        rows = segmentation_rows(
            on, files, n_training=n_training, bundled=bundled, pixel_sizes_nm=pixel_sizes_nm or {}, device=device,
            notes=notes, say=say,
        )  # fmt: skip
        return rows, forest_rows(on, files, n_orders=n_orders, notes=notes, say=say)

    if client is not None:
        segmentation, forests = work(client)
    else:
        with connect(scheduler, workers=workers, device=device) as own:
            segmentation, forests = work(own)
    reproduction = Reproduction(
        found=tuple(files.found()),
        lacking=tuple(files.lacking()),
        segmentation=tuple(segmentation),
        forests=tuple(forests),
        notes=tuple(notes),
        place=Location.of(out),
    )
    _write(reproduction, files)
    return reproduction


def _write(reproduction: Reproduction, files: PublishedFiles) -> None:
    """Write numbers, tables and figures."""
    place = reproduction.place
    place.write_json(
        "reproduction.json",
        {
            "code_version": code_version(WHOLE_PACKAGE),
            "found": list(reproduction.found),
            "lacking": list(reproduction.lacking),
            "notes": list(reproduction.notes),
            "networks": {name: path.name for name, path in files.networks.items()},
            "segmentation": [_segmentation_json(row) for row in reproduction.segmentation],
            "forests": [_forest_json(row) for row in reproduction.forests],
        },
    )
    listed = [f"- {line}" for line in (*reproduction.found, *(f"lacking: {line}" for line in reproduction.lacking))]
    listed += [f"- {line}" for line in reproduction.notes]
    text = "\n".join(("# Groschner et al. 2021, reproduced", "", *listed)) + "\n\n" + to_markdown(reproduction.tables())
    place.write_bytes("reproduction.md", text.encode())
    pixels = [_pixel_matrix(row) for row in reproduction.segmentation if row.group != "all"]
    regions = [
        Matrix(row.name, REGION_CLASSES, row.confusion.shares, row.confusion.counts) for row in reproduction.forests
    ]
    for name, matrices in (("figure2.svg", pixels), ("figure5f.svg", regions)):
        if matrices:
            place.write_bytes(name, draw_matrices(matrices).encode())


def _pixel_matrix(row: SegmentationRow) -> Matrix:
    """Return a row of Figure 2 as a matrix to draw."""
    c = row.confusion
    counts = np.array([[c.true_negative, c.false_positive], [c.false_negative, c.true_positive]])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    return Matrix(f"{row.group}: {row.network}", ("background", "particle"), shares, counts)


def _segmentation_json(row: SegmentationRow) -> dict[str, Any]:
    """Return a network's scores beside the paper's, as JSON holds them."""
    scores = {name: _number(getattr(row.confusion, name)) for name in ("dice", "precision", "recall")}
    scores["dice_mean"] = _number(row.dice_mean)
    paper = dataclasses.asdict(PUBLISHED["unet", row.group])
    return {
        "network": row.network, "data": row.group, "n_images": len(row.images), **scores,
        "pixels": dataclasses.asdict(row.confusion), "paper": paper,
    }  # fmt: skip


def _forest_json(row: ForestRow) -> dict[str, Any]:
    """Return a forest's scores beside the paper's, as JSON holds them."""
    return {
        "name": row.name, "n_training": row.n_training, "out_of_bag": row.out_of_bag,
        "classes": list(REGION_CLASSES), "orders": [_region_json(c) for c in (row.confusion, *row.others)],
        "paper": dataclasses.asdict(PUBLISHED_FOREST),
    }  # fmt: skip


def _region_json(c: RegionConfusion) -> dict[str, Any]:
    """Return the scores of one test set."""
    names = ("accuracy", "balanced_accuracy", "frequency_weighted_accuracy")
    shares = {
        f"{kind}_{'predicted' if predicted else 'true'}": _number(getattr(c, f"{kind}_share")(predicted=predicted))
        for kind in ("oriented", "faulted")
        for predicted in (True, False)
    }
    return {"counts": c.counts.tolist(), **{name: _number(getattr(c, name)) for name in names}, **shares}


def _number(value: float) -> float | None:
    """Return what JSON can hold: it has no NaN."""
    return None if math.isnan(value) else float(value)
