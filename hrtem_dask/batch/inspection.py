"""A table of the micrographs that would be read from files, and of the problems with them."""

from __future__ import annotations

import os
import posixpath
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import analysis, loading
from hrtem_dask.analysis.segmenters import make_segmenter
from hrtem_dask.batch.copies import compare_here, find_copies
from hrtem_dask.batch.listing import find_inputs, list_sources, warn_of_unmatched_rows
from hrtem_dask.chosen_settings import SettingsLike, choose_settings
from hrtem_dask.errors import CalibrationError, typed_error_text
from hrtem_dask.loading.content import judge_content
from hrtem_dask.loading.similarity import make_fingerprint
from hrtem_dask.reasons import shared_reasons
from hrtem_dask.segmentation import Segmenter
from hrtem_dask.settings import Settings

__all__ = ["inspect_files", "print_inspection"]

_HEADINGS = (
    ("file", ""), ("signal", "0"), ("frames", "1"), ("size (px)", ""), ("dtype", ""), ("pixel (nm)", ""),
    ("pixel size from", ""), ("status", ""), ("problem", ""),
)  # fmt: skip
"""Headings of the printed columns; a column that holds only its usual value is left out."""
WIDTH_IN_FILES = 200
"""Characters of a line where the output goes to a file or a pipe: in 80, columns are cut off."""


def inspect_files(
    files: str | Path | Sequence[str | Path],
    *,
    settings: SettingsLike | None = None,
    pixel_size_nm: float | None = None,
    metadata: str | Path | None = None,
    headers_only: bool = False,
) -> pd.DataFrame:
    """List the micrographs that `run` would analyze, and those that it would set aside, without analyzing them.

    It runs in this process. Images are read to find copies of one field. Rows of `metadata` that match no file are
    logged as warnings.

    Parameters
    ----------
    files : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    settings : Settings, mapping, str or path-like, optional
        Settings, of which `loading` is used, and the scales at which the segmenter can work.
    pixel_size_nm : float, optional
        Pixel size (nm) of all files, instead of what they state.
    metadata : str or path-like, optional
        Table that gives files their sample and covariates.
    headers_only : bool
        Whether no image is read: then copies are not found.

    Returns
    -------
    pandas.DataFrame
        One row per 2-D image, and one per signal or file that yields none, with ``status`` (ok, set_aside, failed)
        and ``reason``.

    Raises
    ------
    NothingToAnalyseError
        If there is no file.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp())
    >>> table = hd.inspect_files(folder / "images")
    >>> table[["status", "height_px", "width_px", "pixel_size_y_nm"]].round(3)
      status  height_px  width_px  pixel_size_y_nm
    0     ok        256       256             0.04
    """
    chosen = choose_settings(settings, pixel_size_nm=pixel_size_nm)
    sources = find_inputs(files)
    samples = loading.read_metadata(metadata) if metadata is not None else None
    warn_of_unmatched_rows(samples, sources)
    on_host = replace(chosen.execution, device="cpu")
    segmenter = make_segmenter(replace(chosen, execution=on_host))
    records = [_if_segmentable(record, segmenter) for record in list_sources(sources, chosen, samples)]
    if not headers_only:
        records = _as_after_reading(records, chosen)
    return pd.DataFrame([loading.to_row(record) for record in records])


def _as_after_reading(
    records: Sequence[loading.MicrographRecord], settings: Settings
) -> list[loading.MicrographRecord]:
    """Set aside, or remark on, what shows the field of another micrograph, as a run does; unreadable images fail."""
    fingerprints: dict[str, str] = {}
    ended: dict[str, dict[str, Any]] = {}
    for record in records:
        if record.status == "ok":
            try:
                image = loading.read_image(record)
                fingerprints[record.micrograph_id] = make_fingerprint(image).encode()
                if not np.isfinite(image).any():
                    analysis.prepare(image, settings)  # it raises the error of a run
                ended[record.micrograph_id] = _judged(image, record, settings)
            except Exception as error:  # noqa: BLE001 - whatever a file provokes, a run reports it in its row
                ended[record.micrograph_id] = {"status": "failed", "reason": typed_error_text(error)}
    copies = find_copies(records, fingerprints, compare_here)
    set_aside = settings.loading.duplicates == "set_aside" or "duplicate" in settings.quality.set_aside
    found = []
    for record in records:
        if (copy := copies.get(record.micrograph_id)) is not None:
            changed: dict[str, Any] = {"duplicate_of": copy.of, "reason": copy.reason}
            is_set_aside = copy.is_certain and set_aside
            record = replace(record, **changed, status="set_aside" if is_set_aside else record.status)
        found.append(replace(record, **ended.get(record.micrograph_id, {})))
    return found


def _if_segmentable(record: loading.MicrographRecord, segmenter: Segmenter) -> loading.MicrographRecord:
    """Set a micrograph aside whose pixel size the segmenter of a run refuses."""
    if record.status != "ok":
        return record
    try:
        segmenter.check_pixel_size(record.pixel_size_nm)
    except CalibrationError as error:
        return replace(record, status="set_aside", reason="; ".join(filter(None, [str(error), record.reason])))
    return record


def _judged(image: np.ndarray, record: loading.MicrographRecord, settings: Settings) -> dict[str, Any]:
    """Return what changes in a record after a run has judged its image: set aside, or a remark."""
    content = judge_content(image)
    flags: tuple[str, ...] = (content.flag,) if content.flag else ()
    if set(settings.quality.set_aside) - {"duplicate"}:
        field = analysis.visible_field(image, settings)
        size, outside = record.pixel_size_nm, field.outside
        flags += analysis.judge_quality(field.image, settings, pixel_size_nm=size, outside=outside)[1]
    refused = analysis.refusal(flags, content, settings)
    if refused is None and not content.reason:
        return {}
    reason = "; ".join(filter(None, [refused or content.reason, record.reason]))
    return {"reason": reason, **({"status": "set_aside"} if refused else {})}


def print_inspection(table: pd.DataFrame) -> None:
    """Print the table for a reader: the frames of a stack in one line, and each problem once, below.

    Parameters
    ----------
    table : pandas.DataFrame
        From `inspect_files`.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shared = _shared_folder([s.split("::")[0] for s in table["source"]])
    table = table.astype(object).where(table.notna(), None)
    table = table.assign(problem=_problems(table))
    problems = {text: n for text, n in Counter(table["problem"]).items() if text}
    number = {text: i for i, text in enumerate(problems, start=1)}
    shown = ["source", "signal", "height_px", "width_px", "dtype", "pixel_size_y_nm", "pixel_size_x_nm"]
    shown += ["pixel_size_source", "status", "problem"]
    lines = []
    for key, frames in table.groupby(shown, dropna=False, sort=False):
        row = dict(zip(shown, key, strict=True))
        lines.append([*_cells(row, len(frames), shared), str(number.get(str(row["problem"]), ""))])
    used = [i for i, (_, usual) in enumerate(_HEADINGS) if any(line[i] != usual for line in lines)]
    printed = Table(box=None, pad_edge=False)
    for i in used:
        printed.add_column(_HEADINGS[i][0], overflow="fold", no_wrap=i != 0)
    for line in lines:
        # as Text, since in a plain string "[b]" would be markup, in a file name too
        printed.add_row(*(Text(line[i]) for i in used))
    is_narrow_by_default = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console = Console(width=WIDTH_IN_FILES if is_narrow_by_default else None)
    console.print(printed)
    for problem, n in problems.items():
        console.print(Text(f"problem {number[problem]}, {n} image{'' if n == 1 else 's'}: {problem}"))
    counts = table["status"].value_counts()
    console.print(", ".join(f"{n} {status}" for status, n in counts.items()))


def _problems(table: pd.DataFrame) -> list[str]:
    """Return what is wrong with each image, in words that images of one kind share; empty where nothing is."""
    pairs = zip(table["reason"], table["calibration_flags"], strict=True)
    texts = [str(_known(reason) or _known(flags) or "") for reason, flags in pairs]
    return shared_reasons(texts, table["source"].astype(str).tolist())


def _known(value: Any) -> Any:
    """Return a value, or None for a null."""
    return None if pd.isna(value) else value


def _shared_folder(paths: Sequence[str]) -> str:
    """Return the folder that holds all files; empty where some are URLs."""
    if any("://" in path for path in paths):
        return ""
    return posixpath.commonpath([posixpath.dirname(path) for path in paths])


def _cells(row: Mapping[str, Any], n_frames: int, shared: str) -> list[str]:
    """Return one printed line but for its problem."""
    known: dict[str, Any] = {name: _known(value) for name, value in row.items()}
    size, pixel = "", ""
    if known["height_px"]:
        size = f"{int(known['height_px'])}×{int(known['width_px'])}"
    if known["pixel_size_y_nm"]:
        pixel = f"{known['pixel_size_y_nm']:.5g}"
        if known["pixel_size_y_nm"] != known["pixel_size_x_nm"]:
            pixel += f"×{known['pixel_size_x_nm']:.5g}"
    origin = str(known["pixel_size_source"] or "").removeprefix("file: ").replace("none", "")
    name = str(known["source"]).removeprefix(f"{shared}/" if shared else "")
    cells = [name, known["signal"], n_frames, size, known["dtype"] or "", pixel, origin, known["status"]]
    return [str(cell) for cell in cells]
