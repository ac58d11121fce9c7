"""Compute Table 1, Figure 2 and Figure 5f of Groschner et al. (2021) from the published files."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from distributed import Client

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.reproduction.forest_scores import forest_rows
from hrtem_dask.batch.reproduction.segmentation_scores import segmentation_rows
from hrtem_dask.cluster_settings import Cluster, Device
from hrtem_dask.evaluation.region_classes import RegionConfusion
from hrtem_dask.provenance import WHOLE_PACKAGE, code_version
from hrtem_dask.reproduction.confusion_figure import Matrix, draw_matrices
from hrtem_dask.reproduction.forest_comparison import ForestRow, figure_5f, forest_scores
from hrtem_dask.reproduction.published_files import PublishedFiles, find_published
from hrtem_dask.reproduction.published_scores import PUBLISHED, PUBLISHED_FOREST
from hrtem_dask.reproduction.segmentation_comparison import SegmentationRow, figure_2, table_1
from hrtem_dask.reproduction.text_table import TextTable, to_markdown
from hrtem_dask.storage.location import Location
from hrtem_dask.tables import REGION_CLASSES

__all__ = ["N_TRAINING", "Reproduction", "reproduce_groschner2021"]

N_TRAINING = 129
"""The scripts of the authors train on the first 129 images of each stack; the images after them are the test set."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reproduction:
    """What was reproduced, and what could not be reproduced."""

    found: tuple[str, ...]
    """Published files that were found."""
    missing: tuple[str, ...]
    """Published files that were not found, and the result that each would give."""
    segmentation: tuple[SegmentationRow, ...]
    """Scores of networks on test sets."""
    forests: tuple[ForestRow, ...]
    """Scores of forests; the first is fitted as in the notebook of the paper."""
    notes: tuple[str, ...]
    """A line for each file, image and region that could not be used, and for each deviation from the paper."""
    folder: Location
    """The folder that was written."""

    def tables(self) -> list[TextTable]:
        """Return the tables that set the paper beside this package; tables without files are left out."""
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
    device: Device = "auto",
    cluster: Cluster | Client | str | None = None,
) -> Reproduction:
    """Score the networks and the random forest of the paper on its published files.

    Parameters
    ----------
    data : str or path-like
        Folder with the published files, or some of them, see `find_published`.
    out : str or path-like
        Folder to write ``reproduction.json``, ``reproduction.md``, ``figure2.svg`` and ``figure5f.svg`` to.
    weights : iterable of str or path-like
        Files or folders with the networks, if they are not in `data`.
    n_training : int
        Number of images at the start of each stack that the networks were trained on, and that are not scored.
    bundled : bool
        Whether to score the bundled network of this package too.
    pixel_sizes_nm : mapping of str to float, optional
        Pixel size (nm) by ``all``, ``CdSe`` and ``Au``, for the bundled network. The stacks state none; without one the
        images are not rescaled.
    n_orders : int
        Number of orders of the regions for which the forest is fitted, since the split of the paper is not published.
        The tables show the first.
    device : {"auto", "cpu", "cuda"}
        Where images are processed.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.

    Returns
    -------
    Reproduction
        Scores, which are also written to `out`.

    Raises
    ------
    NothingToAnalyseError
        If `data` holds none of the published files.
    """
    files = find_published(data, weights=weights)
    for line in files.found():
        logger.info("found: %s", line)
    for line in files.missing():
        logger.info("missing: %s", line)
    notes = list(files.problems)
    for line in notes:
        logger.warning("%s", line)
    with connect(cluster, device=device) as client:
        segmentation = segmentation_rows(
            client, files, n_training=n_training, bundled=bundled, pixel_sizes_nm=pixel_sizes_nm or {}, device=device,
            notes=notes,
        )  # fmt: skip
        forests = forest_rows(client, files, n_orders=n_orders, notes=notes)
    reproduction = Reproduction(
        found=tuple(files.found()),
        missing=tuple(files.missing()),
        segmentation=tuple(segmentation),
        forests=tuple(forests),
        notes=tuple(notes),
        folder=Location.of(out),
    )
    _write(reproduction, files)
    return reproduction


def _write(reproduction: Reproduction, files: PublishedFiles) -> None:
    """Write numbers, tables and figures."""
    folder = reproduction.folder
    folder.write_json(
        "reproduction.json",
        {
            "code_version": code_version(WHOLE_PACKAGE),
            "found": list(reproduction.found),
            "lacking": list(reproduction.missing),
            "notes": list(reproduction.notes),
            "networks": {name: path.name for name, path in files.networks.items()},
            "segmentation": [_segmentation_json(row) for row in reproduction.segmentation],
            "forests": [_forest_json(row) for row in reproduction.forests],
        },
    )
    listed = [f"- {line}" for line in (*reproduction.found, *(f"missing: {line}" for line in reproduction.missing))]
    listed += [f"- {line}" for line in reproduction.notes]
    text = "\n".join(("# Groschner et al. 2021, reproduced", "", *listed)) + "\n\n" + to_markdown(reproduction.tables())
    folder.write_bytes("reproduction.md", text.encode())
    pixels = [_pixel_matrix(row) for row in reproduction.segmentation if row.group != "all"]
    regions = [
        Matrix(row.name, REGION_CLASSES, row.confusion.shares, row.confusion.counts) for row in reproduction.forests
    ]
    for name, matrices in (("figure2.svg", pixels), ("figure5f.svg", regions)):
        if matrices:
            folder.write_bytes(name, draw_matrices(matrices).encode())


def _pixel_matrix(row: SegmentationRow) -> Matrix:
    """Return a row of Figure 2 as a matrix to draw."""
    c = row.confusion
    counts = np.array([[c.true_negative, c.false_positive], [c.false_negative, c.true_positive]])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    return Matrix(f"{row.group}: {row.network}", ("background", "particle"), shares, counts)


def _segmentation_json(row: SegmentationRow) -> dict[str, object]:
    """Return the scores of a network and of the paper as a JSON object."""
    scores = {name: _number(getattr(row.confusion, name)) for name in ("dice", "precision", "recall")}
    scores["dice_mean"] = _number(row.dice_mean)
    paper = dataclasses.asdict(PUBLISHED["unet", row.group])
    return {
        "network": row.network, "data": row.group, "n_images": len(row.images), **scores,
        "pixels": dataclasses.asdict(row.confusion), "paper": paper,
    }  # fmt: skip


def _forest_json(row: ForestRow) -> dict[str, object]:
    """Return the scores of a forest and of the paper as a JSON object."""
    return {
        "name": row.name, "n_training": row.n_training, "out_of_bag": row.out_of_bag,
        "classes": list(REGION_CLASSES), "orders": [_region_json(c) for c in (row.confusion, *row.others)],
        "paper": dataclasses.asdict(PUBLISHED_FOREST),
    }  # fmt: skip


def _region_json(c: RegionConfusion) -> dict[str, object]:
    """Return the scores of one test set as a JSON object."""
    names = ("accuracy", "balanced_accuracy", "frequency_weighted_accuracy")
    shares = {
        f"{kind}_{'predicted' if predicted else 'true'}": _number(getattr(c, f"{kind}_share")(predicted=predicted))
        for kind in ("oriented", "faulted")
        for predicted in (True, False)
    }
    return {"counts": c.counts.tolist(), **{name: _number(getattr(c, name)) for name in names}, **shares}


def _number(value: float) -> float | None:
    """Return a number, or None for NaN, which JSON cannot hold."""
    return None if math.isnan(value) else float(value)
