"""What this package wrote into a folder of micrographs: results and exports are no micrographs.

They are recognized by the records that lie in them, whatever their folders are called.
"""

from __future__ import annotations

import json
import logging
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import fsspec

from hrtem_dask import loading
from hrtem_dask.storage.exchange.corrected_files import MANIFEST, STORE

__all__ = ["without_own_results"]

RUN_FILE = "run.toml"
_BESIDE_RUN_FILE = ("log.jsonl", "summary.json", "parts/", "labels.zarr", "labels/")
_LABELS = ("labels", "tiff")
"""Kinds of files in the manifest of an export that are label images."""

logger = logging.getLogger(__name__)


def without_own_results(sources: Sequence[loading.Source]) -> list[loading.Source]:
    """Leave out results of this package, and set aside what it exported.

    Parameters
    ----------
    sources : sequence of loading.Source
        From `loading.find_sources`.

    Returns
    -------
    list of loading.Source
        In the same order. Files in a results folder are left out, and one log message counts them. Label images of an
        export are set aside, and so is an exported image whose original is among the sources.
    """
    files = [source for source in sources if not source.member or source.is_folder]
    urls = {source.url for source in files}
    results = _results_folders(urls)
    kept = [s for s in sources if _folder_among(s.url, results) is None]
    if len(kept) < len(sources):
        n = len(sources) - len(kept)
        logger.info("%d files are results of this package and get no row (%s)", n, ", ".join(sorted(results)))
    manifests = [url for url in urls if posixpath.basename(url) == MANIFEST]
    exports = {posixpath.dirname(url): content for url in manifests if (content := _manifest(url)) is not None}
    if not exports:
        return kept
    originals = {source.path for source in kept}
    reasons: dict[str, str] = {}
    for folder, content in exports.items():
        reasons |= _reasons(folder, content, originals)
    return [_judged(source, reasons) for source in kept]


def _results_folders(urls: set[str]) -> set[str]:
    """Return the folders with the record of a run."""
    folders = {posixpath.dirname(url) for url in urls if posixpath.basename(url) == RUN_FILE}
    return {f for f in folders if any(url.startswith(f"{f}/{name}") for url in urls for name in _BESIDE_RUN_FILE)}


def _folder_among(url: str, folders: set[str]) -> str | None:
    """Return which of some folders a file is in."""
    return next((folder for folder in folders if url.startswith(f"{folder}/")), None)


def _manifest(url: str) -> Mapping[str, Any] | None:
    """Read the list of what an export wrote; None where the file is something else."""
    try:
        with fsspec.open(url, "rb") as file:
            content = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(content, dict) and {"results", "formats"} <= set(content)
    return content if known and isinstance(content.get("micrographs"), list) else None


def _reasons(folder: str, content: Mapping[str, Any], originals: set[str]) -> dict[str, str]:
    """Return path → reason of everything that an export wrote and a run must not count."""
    reasons: dict[str, str] = {}
    for entry in content["micrographs"]:
        files = entry.get("files") if isinstance(entry, dict) else None
        if not isinstance(files, dict):
            continue
        source = str(entry.get("source"))
        for kind, name in files.items():
            path = f"{folder}/{name}"
            if kind in _LABELS:
                reasons[path] = "labels of particles that `hrtem-dask export` wrote, not a micrograph"
            elif source in originals:
                path = f"{folder}/{STORE}::{entry.get('micrograph_id')}" if kind == "zarr" else path
                reasons[path] = f"an image that `hrtem-dask export` wrote; its original is {source}"
    return reasons


def _judged(source: loading.Source, reasons: Mapping[str, str]) -> loading.Source:
    """Set a source aside that an export wrote."""
    reason = reasons.get(source.path)
    return source if reason is None or source.status != "ok" else replace(source, status="set_aside", reason=reason)
