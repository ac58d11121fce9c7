"""Label images that lie in a folder beside the folder of their micrographs."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace

from hrtem_dask.loading import Source

__all__ = ["without_label_images"]

_FOLDERS = {
    "annotation", "annotations", "ground_truth", "groundtruth", "gt", "label", "labels", "mask", "masks",
    "segmentation", "segmentations",
}  # fmt: skip
"""Names of folders of label images, lower case."""


def without_label_images(sources: Sequence[Source]) -> list[Source]:
    """Set label images aside: files in a folder such as ``masks`` whose namesakes lie in a folder beside it.

    Parameters
    ----------
    sources : sequence of Source
        From `loading.find_sources`.

    Returns
    -------
    list of Source
        In the same order. Without its micrograph among the sources a file stays, whatever its folder is called.

    Examples
    --------
    >>> from hrtem_dask.batch.label_images import without_label_images
    >>> from hrtem_dask.loading import Source
    >>> names = ("images/a.png", "masks/a.png", "masks/b.png")
    >>> found = without_label_images([Source(url=f"/data/{name}", relative=name) for name in names])
    >>> [(source.relative, source.status) for source in found]
    [('images/a.png', 'ok'), ('masks/a.png', 'set_aside'), ('masks/b.png', 'ok')]
    """
    images: dict[tuple[str, str], Source] = {}
    for source in sources:
        folder, stem = _place(source)
        if source.status == "ok" and not _has_label_name(folder):
            images.setdefault((posixpath.dirname(folder), stem), source)
    return [_judged(source, images) for source in sources]


def _place(source: Source) -> tuple[str, str]:
    """Return the folder of a source, with the archive that holds it, and its name without extension."""
    folder, name = posixpath.split(source.path)
    return folder, posixpath.splitext(name)[0]


def _has_label_name(folder: str) -> bool:
    """Return whether a folder is named as one of label images."""
    return posixpath.basename(folder.replace("::", "/")).lower() in _FOLDERS


def _judged(source: Source, images: dict[tuple[str, str], Source]) -> Source:
    """Set one source aside if it is the label image of another one."""
    folder, stem = _place(source)
    if source.status != "ok" or source.is_folder or not _has_label_name(folder):
        return source
    of = images.get((posixpath.dirname(folder), stem))
    if of is None:
        return source
    name = posixpath.basename(folder)
    reason = f"by the name of its folder ({name}) the label image of {of.relative}, not a micrograph"
    return replace(source, status="set_aside", reason=reason)
