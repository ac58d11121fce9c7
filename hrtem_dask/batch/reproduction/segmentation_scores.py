"""Score networks on the test sets of the published stacks, a task per image."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from distributed import Client

from hrtem_dask import backend
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.cluster_settings import Device
from hrtem_dask.errors import typed_error_text
from hrtem_dask.evaluation.segmentation import Confusion, confusion
from hrtem_dask.reproduction.published_files import MATERIALS, PublishedFiles, PublishedStack
from hrtem_dask.reproduction.segmentation_comparison import SegmentationRow
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings

__all__ = ["segmentation_rows"]

THRESHOLD = 0.5
"""Probability above which a pixel is particle: the threshold of the paper, section "Testing"."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Item:
    """One image for one network."""

    network: str
    model: str | None
    group: str
    stack: PublishedStack
    index: int
    pixel_size_nm: float | None
    device: Device


def segmentation_rows(
    client: Client,
    files: PublishedFiles,
    *,
    n_training: int,
    bundled: bool,
    pixel_sizes_nm: Mapping[str, float],
    device: Device,
    notes: list[str],
) -> list[SegmentationRow]:
    """Score networks on the test set of each stack, which follows its training images.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    files : PublishedFiles
        Stacks and networks.
    n_training : int
        Number of images at the start of each stack that are not scored; a stack that is not longer is scored whole.
    bundled : bool
        Whether to score the bundled network of this package too.
    pixel_sizes_nm : mapping of str to float
        Pixel size (nm) of the images by material, for the bundled network.
    device : {"auto", "cpu", "cuda"}
        Where images are processed.
    notes : list of str
        A line is appended for every image that could not be scored, and for every peculiarity of the test sets.

    Returns
    -------
    list of SegmentationRow
        The joint network on every stack, a network of one material on the stack of its material, and the bundled
        network on every stack.
    """
    items = _items(files, n_training, bundled, pixel_sizes_nm, device, notes)
    if items:
        logger.info("segmenting %d images", len(items))
    pooled: dict[tuple[str, str], list[Confusion]] = {}
    for item, result in stream(client, _score, items, key="segment-published"):
        if isinstance(result, Confusion):
            pooled.setdefault((item.network, item.group), []).append(result)
        else:
            notes.append(f"not scored: {item.stack.images.name}, image {item.index}, by {item.network}: {result}")
    rows = []
    for network in dict.fromkeys(item.network for item in items):
        own = {group: counts for (name, group), counts in pooled.items() if name == network}
        if "all" not in files.stacks and {"CdSe", "Au"} <= set(own):
            own["all"] = own["CdSe"] + own["Au"]
            notes.append(
                f"{network}, combined: the images of the stacks of CdSe and of Au together, the joint stack is missing"
            )
        rows += [
            SegmentationRow(network=network, group=group, images=tuple(own[group]))
            for group in MATERIALS
            if group in own
        ]
    return rows


def _items(
    files: PublishedFiles,
    n_training: int,
    bundled: bool,
    pixel_sizes_nm: Mapping[str, float],
    device: Device,
    notes: list[str],
) -> list[_Item]:
    """Return every image of every test set, for every network that is scored on it."""
    networks: list[tuple[str, str | None, set[str]]] = [
        ("the paper's network" if name == "all" else f"the paper's network of {name} alone", str(path.resolve()),
         set(MATERIALS) if name == "all" else {name})
        for name, path in files.networks.items()
    ]  # fmt: skip
    if bundled:
        networks.append(("the bundled network", None, set(MATERIALS)))
    notes += [
        f"{stack.images.name} holds {stack.n} images, no more than the {n_training} of the training set: all are "
        "scored; if they are those of the training set, the scores flatter"
        for stack in files.stacks.values()
        if 0 < stack.n <= n_training
    ]
    items = []
    for network, model, groups in networks:
        for group in (name for name in files.stacks if name in groups):
            stack, size = files.stacks[group], pixel_sizes_nm.get(group) if model is None else None
            if model is None and size is None:
                notes.append(f"{network}, on {MATERIALS[group]}: no pixel size is stated, images are seen as they are")
            first = n_training if stack.n > n_training else 0
            items += [
                _Item(
                    network=network,
                    model=model,
                    group=group,
                    stack=stack,
                    index=i,
                    pixel_size_nm=size,
                    device=device,
                )
                for i in range(first, stack.n)
            ]
    return items


def _score(item: _Item) -> Confusion | str:
    """Segment one image and count its pixels; return why, if that fails."""
    try:
        image, mask = item.stack.read(item.index)
        segmenter = make_segmenter(
            SegmentationSettings(method="unet", model=item.model, threshold=THRESHOLD, predict_quality=False),
            ExecutionSettings(device=item.device),
        )
        size = None if item.pixel_size_nm is None else (item.pixel_size_nm, item.pixel_size_nm)
        on_device = backend.to_device(image, backend.resolve_device(item.device))
        return confusion(segmenter(on_device, pixel_size_nm=size).mask, mask)
    except Exception as error:  # noqa: BLE001 - one bad image does not stop the others
        return typed_error_text(error)
