"""Fit and score the random forest of the paper on its labeled regions, on the workers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from distributed import Client

from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.errors import NothingToAnalyseError, typed_error_text
from hrtem_dask.evaluation.region_classes import compare_classes
from hrtem_dask.fourier.groschner2021 import groschner2021_features
from hrtem_dask.reproduction.forest_comparison import ForestRow
from hrtem_dask.reproduction.published_files import PublishedFiles, PublishedStack, read_crop
from hrtem_dask.training.forest.groschner2021 import ForestResult, carbon_patch, fit_forest

__all__ = ["forest_rows"]

GROUP = 25
"""Pictures per task, since one takes a few milliseconds only."""
ORDER = ("agglomeration", "no_stacking_fault", "misoriented", "stacking_fault", "no_particle")
"""Order in which the notebook of the paper lists its classes before it shuffles the regions."""
Features = tuple[float, ...]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Measured:
    """Features of one region."""

    kind: str
    features: Features


def forest_rows(client: Client, files: PublishedFiles, *, n_orders: int, notes: list[str]) -> list[ForestRow]:
    """Fit the forest of the paper on its labeled regions, and score it as the paper does.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    files : PublishedFiles
        Labeled regions, and the stack of CdSe, from which the notebook of the paper cuts patches of carbon.
    n_orders : int
        Number of orders of the regions, each of which gives a split into training and test set; at least 1.
    notes : list of str
        A line is appended for each picture that cannot be used.

    Returns
    -------
    list of ForestRow
        Three sets of regions: with patches of carbon in [0, 1] among pictures of 8 bits, as in the code of the
        notebook, where the scale alone identifies them; with the same patches in 8 bits; and the pictures alone.
        Without the stack of CdSe only the last.
    """
    if not files.crops:
        return []
    if len(files.crops) == 1:
        notes.append(f"Figure 5f: all labeled regions are {next(iter(files.crops))}: a forest needs two classes")
        return []
    paths = [(kind, path) for kind in ORDER for path in files.crops.get(kind, ())]
    logger.info("measuring %d labeled regions", len(paths))
    pictures = [m for m in _measure(client, paths, notes) if m is not None]
    sets = {"pictures alone": pictures}
    if "CdSe" in files.stacks:
        patches = _patches(client, files.stacks["CdSe"], notes)
        notes.append(
            f"Figure 5f: {len(patches)} patches of carbon from {files.stacks['CdSe'].images.name} (the notebook: 75)"
        )
        if patches:
            unscaled, scaled = ([_Measured("no_particle", pair[i]) for pair in patches] for i in (0, 1))
            sets = {
                "with carbon, as the notebook": pictures + unscaled,
                "with carbon in 8 bits": pictures + scaled,
                **sets,
            }
    logger.info("fitting %d forests", len(sets) * n_orders)
    return list(_fit(client, sets, n_orders, notes))


def _measure(client: Client, paths: list[tuple[str, Path]], notes: list[str]) -> list[_Measured | None]:
    """Return the features of each picture, in their order; None where it cannot be used."""
    groups = [range(i, min(i + GROUP, len(paths))) for i in range(0, len(paths), GROUP)]
    measured: list[_Measured | None] = [None] * len(paths)
    tasks = [(group, [paths[i][1] for i in group]) for group in groups]
    for (group, members), result in stream(client, _features_of, tasks, key="measure-regions"):
        failed = isinstance(result, BaseException)
        for i, path, one in zip(group, members, [str(result)] * len(members) if failed else result, strict=True):
            if isinstance(one, str):
                notes.append(f"not used: {path.parent.name}/{path.name}: {one}")
            else:
                measured[i] = _Measured(paths[i][0], one)
    return measured


def _features_of(item: tuple[range, list[Path]]) -> list[Features | str]:
    """Return the features of each picture, or why it has none."""
    features: list[Features | str] = []
    for path in item[1]:
        try:
            features.append(tuple(groschner2021_features(read_crop(path)).values()))
        except Exception as error:  # noqa: BLE001 - one bad picture does not stop the others
            features.append(typed_error_text(error))
    return features


def _patches(client: Client, stack: PublishedStack, notes: list[str]) -> list[tuple[Features, Features]]:
    """Return the features of patches of carbon, in the scale of the stack and in 8 bits."""
    found: dict[int, tuple[Features, Features]] = {}
    for index, result in stream(client, _patch_features, range(stack.n), stack, key="cut-carbon"):
        if isinstance(result, tuple):
            found[index] = result
        elif result is not None:
            notes.append(f"no patch of carbon from {stack.images.name}, image {index}: {result}")
    return [found[index] for index in sorted(found)]


def _patch_features(index: int, stack: PublishedStack) -> tuple[Features, Features] | str | None:
    """Return the features of a patch of one image; None where a particle reaches into it."""
    try:
        image, mask = stack.read(index)
        patch = carbon_patch(image, mask, seed=index)
    except Exception as error:  # noqa: BLE001 - one bad image does not stop the others
        return typed_error_text(error)
    if patch is None:
        return None
    scales = (patch, np.round(255 * patch).astype(np.uint8))
    first, second = (tuple(groschner2021_features(p).values()) for p in scales)
    return first, second


def _fit(client: Client, sets: dict[str, list[_Measured]], n_orders: int, notes: list[str]) -> Iterator[ForestRow]:
    """Fit forests on sets of regions, each in several orders."""
    items = [(name, order) for name in sets for order in range(n_orders)]
    fitted: dict[tuple[str, int], ForestResult] = {}
    for item, result in stream(client, _fit_one, items, sets, key="fit-forest"):
        if isinstance(result, ForestResult):
            fitted[item] = result
        elif item[1] == 0:
            notes.append(f"Figure 5f, {item[0]}: {result}")
    for name in sets:
        results = [fitted[name, order] for order in range(n_orders) if (name, order) in fitted]
        if results:
            confusions = [compare_classes(r.truth, r.predicted) for r in results]
            yield ForestRow(
                name=name,
                n_training=results[0].n_training,
                out_of_bag=results[0].out_of_bag,
                confusion=confusions[0],
                others=tuple(confusions[1:]),
            )


def _fit_one(item: tuple[str, int], sets: dict[str, list[_Measured]]) -> ForestResult | str:
    """Fit one forest."""
    name, order = item
    regions = sets[name]
    try:
        return fit_forest(
            np.array([r.features for r in regions]).reshape(len(regions), -1),
            np.array([r.kind for r in regions]),
            order=order,
        )
    except NothingToAnalyseError as error:
        return str(error)
