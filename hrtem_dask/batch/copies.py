"""Copies among the micrographs of a run: the same field as another file, with fewer bits, in another size or format.

Fingerprints of all micrographs are compared with each other, and the pixels of the pairs that agree. One micrograph of
each field is counted. A false match would remove a good micrograph, so what is not certain is only flagged.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from distributed import Client

from hrtem_dask import loading
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.loading.detectors import detector_in, preferred_first
from hrtem_dask.loading.similarity import (
    Fingerprint,
    are_turned_copies,
    compare_images,
    fingerprint_agreement,
    same_field_correlation,
)
from hrtem_dask.loading.similarity.fingerprint import MIN_PLACES, WIDTHS_PX, compared_width
from hrtem_dask.storage.compaction import Copy

__all__ = ["Compared", "Pair", "compare_fields", "compare_here", "compare_on_workers", "compare_pixels",
           "compare_turned", "find_copies"]  # fmt: skip

MIN_AGREEMENT = 0.35
"""Smallest agreement of the fingerprints of micrographs whose pixels are compared: 7 standard deviations of chance."""
MIN_DETECTOR_CORRELATION = 0.6
"""Smallest correlation of the coarse structure of two detectors of one scan, whose contrast may be opposite."""
MAX_PARTNERS = 4
"""Most similar micrographs that the pixels of each one are compared with."""
ROWS_AT_A_TIME = 512
_RAW = {".dm3", ".dm4", ".dm5", ".emd", ".ser", ".emi", ".mrc", ".tvips", ".bcf", ".hspy"}
_PICTURE = {".png", ".jpg", ".jpeg", ".bmp"}
_COPY_NAME = re.compile(r"copy|copie|kopie|copia|\(\d+\)|8.?bit|export|thumb|small|scale.?bar", re.I)

Pair = tuple[loading.MicrographRecord, loading.MicrographRecord]
"""The micrograph that would be kept, and the one that would be set aside."""
Compared = tuple[str, float]
"""Kind and correlation, from `loading.similarity.compare_images`; of detectors ``field`` or ``different``."""
Comparison = Callable[[Pair], Compared]
Compare = Callable[[Sequence[Pair], Comparison], Iterable[tuple[Pair, Compared]]]
"""Compares the pixels of pairs in one of two ways: here, or on workers."""


@dataclass(frozen=True)
class _Known:
    """A micrograph with its fingerprint."""

    record: loading.MicrographRecord
    fingerprint: Fingerprint

    @property
    def series(self) -> tuple[object, ...]:
        """What the images of one series have in common: frames of a stack, numbered files of one kind."""
        source = self.record.source
        name = re.sub(r"\d+", "#", posixpath.splitext(source.name)[0])
        return posixpath.dirname(source.path), name, source.suffix, self.record.dtype, self.fingerprint.shape

    @property
    def rank(self) -> tuple[object, ...]:
        """Order in which micrographs are kept: the original of several copies is the first."""
        record = self.record
        kind = 0 if record.source.suffix in _RAW else 2 if record.source.suffix in _PICTURE else 1
        bits = np.dtype(record.dtype).itemsize if record.dtype and record.dtype != "RGB" else 1
        height, width = self.fingerprint.shape
        named = bool(_COPY_NAME.search(record.source.name))
        return record.pixel_size_nm is None, kind, bits < 2, -height * width, named, len(record.source.name)


def find_copies(
    records: Sequence[loading.MicrographRecord],
    fingerprints: Mapping[str, str],
    compare: Compare,
) -> dict[str, Copy]:
    """Find the micrographs that show the same field as another one.

    Parameters
    ----------
    records : sequence of loading.MicrographRecord
        All micrographs, in the order of the tables.
    fingerprints : mapping of str to str
        `micrograph_id` → encoded fingerprint, of those that could be read.
    compare : callable
        Compares the pixels of pairs: `compare_here` or `compare_on_workers`.

    Returns
    -------
    dict
        `micrograph_id` → which micrograph it is a copy of. The original is the one with a pixel size, the format of a
        microscope, more bits and more pixels. Two exposures of one field, frames of a movie and constant images are no
        copies of each other.
    """
    known = [
        _Known(record, Fingerprint.decode(fingerprints[record.micrograph_id]))
        for record in records
        if fingerprints.get(record.micrograph_id)
    ]
    known.sort(key=lambda one: one.rank)  # stable: else in the order of the listing
    copies: dict[str, Copy] = {}
    first: dict[str, _Known] = {}
    for one in known:
        content = one.fingerprint.image_hash
        original = first.setdefault(content, one) if content else one
        if original is not one:
            copies[one.record.micrograph_id] = _copy(original, one, "same pixels")
    copies |= _turned_copies([one for one in known if one.record.micrograph_id not in copies], compare)
    single = [one for one in known if one.record.micrograph_id not in copies]
    pairs = _alike(single)
    by_id = {one.record.micrograph_id: one for one in single}
    found = sorted(
        ((by_id[a.micrograph_id], by_id[b.micrograph_id], result) for (a, b), result in compare(pairs, compare_pixels)),
        key=lambda item: (item[2][0] != "copy", item[0].rank, -abs(item[2][1]), item[0].record.micrograph_id),
    )
    for original, other, (kind, correlation) in found:
        name = other.record.micrograph_id
        if kind == "different" or name in copies or original.record.micrograph_id in copies:
            continue
        how = f"noise and fine structure agree, correlation {abs(correlation):.2f}"
        copies[name] = _copy(original, other, how, is_certain=kind == "copy")
    return copies | _other_detectors(single, copies, compare)


def _turned_copies(known: Sequence[_Known], compare: Compare) -> dict[str, Copy]:
    """Return the copies that were turned by a right angle or mirrored, as some programs read the rows of a file."""
    first: dict[str, _Known] = {}
    others: dict[str, tuple[_Known, _Known]] = {}
    for one in known:
        mark = one.fingerprint.turned
        original = first.setdefault(mark, one) if mark else one
        if original is not one:
            others[one.record.micrograph_id] = original, one
    pairs = [(original.record, one.record) for original, one in others.values()]
    how = "same pixels, turned by a right angle or mirrored"
    return {
        record.micrograph_id: _copy(*others[record.micrograph_id], how)
        for (_, record), (kind, _) in compare(pairs, compare_turned)
        if kind == "copy"
    }


def _copy(original: _Known, other: _Known, how: str, *, is_certain: bool = True) -> Copy:
    """Return what is known of a copy, with a remark where its pixel size contradicts the original's."""
    what = "the same image as" if is_certain else "possibly the same image as"
    remark = ""
    first, second = original.record.pixel_size_nm, other.record.pixel_size_nm
    if first is not None and second is not None:
        shape, side = original.fingerprint.shape, 1
        if shape[0] != shape[1] and shape == other.fingerprint.shape[::-1]:  # turned by a right angle
            side = 0
        widths = first[1] * shape[1], second[side] * other.fingerprint.shape[side]
        if abs(widths[0] - widths[1]) > 0.02 * widths[0]:
            remark = f"; their pixel sizes contradict each other: {first[1]:.4g} and {second[1]:.4g} nm"
    reason = f"{what} {_name(original.record)} ({how}{remark})"
    return Copy(original.record.micrograph_id, reason, is_certain)


def _name(record: loading.MicrographRecord) -> str:
    """Return the name of a micrograph for a reader."""
    return record.source.relative + (f" (signal {record.signal}, frame {record.frame})" if record.frame else "")


def _alike(known: Sequence[_Known]) -> list[Pair]:
    """Return pairs of micrographs whose fingerprints agree, the original first; images of one series are no pairs."""
    numbers: dict[tuple[object, ...], int] = {}
    series = np.array([numbers.setdefault(one.series, len(numbers)) for one in known], int)
    partners: dict[int, list[tuple[float, int]]] = {}
    for level in WIDTHS_PX:
        has = np.array([i for i, one in enumerate(known) if level in one.fingerprint.signs], int)
        if len(has) < 2:
            continue
        signs = np.array([known[i].fingerprint.signs[level] for i in has], np.float32)
        widths = np.array([known[i].fingerprint.shape[1] for i in has], int)
        for start in range(0, len(has), ROWS_AT_A_TIME):
            some = slice(start, start + ROWS_AT_A_TIME)
            n = np.abs(signs[some]) @ np.abs(signs).T
            agreement = np.abs(signs[some] @ signs.T) / np.maximum(n, 1)
            alike = (agreement >= MIN_AGREEMENT) & (n >= MIN_PLACES)
            alike &= series[has[some], None] != series[has]
            for i, j in zip(*np.nonzero(alike), strict=True):
                one, other = int(has[start + i]), int(has[j])
                if one < other and compared_width(int(widths[start + i]), int(widths[j])) == level:
                    partners.setdefault(other, []).append((-float(agreement[i, j]), one))
    found = [(one, other) for other, ones in partners.items() for _, one in sorted(ones)[:MAX_PARTNERS]]
    agreeing = [p for p in found if not np.isnan(fingerprint_agreement(*(known[i].fingerprint for i in p)))]
    return [(known[one].record, known[other].record) for one, other in sorted(agreeing)]


def _other_detectors(known: Sequence[_Known], copies: Mapping[str, Copy], compare: Compare) -> dict[str, Copy]:
    """Return the files of further detectors of one scan: names that differ by the detector, and images that agree."""
    groups: dict[tuple[object, ...], list[tuple[str, _Known]]] = {}
    for one in known:
        record = one.record
        found = detector_in(posixpath.splitext(record.source.name)[0])
        if found is not None and record.micrograph_id not in copies:
            size = record.pixel_size_nm and tuple(round(s, 6) for s in record.pixel_size_nm)
            place = posixpath.dirname(record.source.path), record.source.suffix, record.frame
            groups.setdefault((*place, found[1], one.fingerprint.shape, size), []).append((found[0], one))
    pairs: list[Pair] = []
    for group in groups.values():
        group.sort(key=lambda item: preferred_first(item[0]))
        (first, kept), *rest = group
        pairs += [(kept.record, one.record) for detector, one in rest if detector != first]
    others: dict[str, Copy] = {}
    for (kept_record, record), (kind, _) in compare(pairs, compare_fields):
        if kind == "field":
            reason = f"another detector of the scan of {_name(kept_record)}: its field is counted once"
            others[record.micrograph_id] = Copy(kept_record.micrograph_id, reason, is_certain=True)
    return others


def compare_here(pairs: Sequence[Pair], how: Comparison) -> Iterator[tuple[Pair, Compared]]:
    """Compare the pixels of pairs in this process.

    Parameters
    ----------
    pairs : sequence of tuple
        Pairs of micrographs.
    how : callable
        `compare_pixels` or `compare_fields`.

    Yields
    ------
    tuple
        The pair and what was found.
    """
    for pair in pairs:
        yield pair, how(pair)


def compare_on_workers(client: Client) -> Compare:
    """Return a function that compares the pixels of pairs on the workers.

    Parameters
    ----------
    client : distributed.Client
        The cluster.

    Returns
    -------
    callable
        As `compare_here`, in any order.
    """

    def compare(pairs: Sequence[Pair], how: Comparison) -> Iterator[tuple[Pair, Compared]]:
        for pair, result in stream(client, how, pairs, key="compare"):
            yield pair, ("different", float("nan")) if isinstance(result, BaseException) else result

    return compare


def compare_fields(pair: Pair) -> Compared:
    """Compare the coarse structure of two detectors, whose contrast may be opposite.

    Parameters
    ----------
    pair : tuple
        Two micrographs of one shape.

    Returns
    -------
    tuple
        ``field`` where they show one field, else ``different``, also where an image cannot be read any more: it is
        kept, and the run has its own reason for it; and the correlation.
    """
    try:
        correlation = float(same_field_correlation(*(loading.read_image(record) for record in pair)))
    except Exception:  # noqa: BLE001 - whatever a file provokes, the run reports it in its row
        return "different", float("nan")
    return "field" if abs(correlation) >= MIN_DETECTOR_CORRELATION else "different", correlation


def compare_turned(pair: Pair) -> Compared:
    """Compare two images pixel by pixel, whatever way up.

    Parameters
    ----------
    pair : tuple
        Two micrographs.

    Returns
    -------
    tuple
        ``copy`` where they are equal but for right angles and mirroring, else ``different``, also where an image cannot
        be read; and the correlation, 1 or NaN.
    """
    try:
        equal = are_turned_copies(*(loading.read_image(record) for record in pair))
    except Exception:  # noqa: BLE001 - whatever a file provokes, the run reports it in its row
        equal = False
    return ("copy", 1.0) if equal else ("different", float("nan"))


def compare_pixels(pair: Pair) -> Compared:
    """Compare the noise and the fine structure of two images.

    Parameters
    ----------
    pair : tuple
        Two micrographs.

    Returns
    -------
    tuple
        Kind and correlation, see `loading.similarity.compare_images`; ``different`` where an image cannot be read.
    """
    try:
        return compare_images(*(loading.read_image(record) for record in pair))
    except Exception:  # noqa: BLE001 - whatever a file provokes, the run reports it in its row
        return "different", float("nan")
