"""Several detectors of one scan: they show one field, so the particles of one of them are counted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from hrtem_dask.loading.records import MicrographRecord

__all__ = ["detector_in", "one_per_channels", "one_per_scan", "preferred_first"]

_DETECTOR = re.compile(
    r"(?<![a-z0-9])(?P<name>haadf|laadf|maadf|adf|abf|bf|df|[di]dpc|dpc|se|bse)"
    r"(?P<part>[-_ ]?(?:[a-d]|[0-9]{1,2}))?(?![a-z0-9])",
    re.I,
)
_PREFERRED = ("haadf", "maadf", "adf", "laadf", "df", "bf", "abf")
"""Detectors by what they tell about particles: the contrast of high angles grows with mass and thickness alone."""


def detector_in(text: str) -> tuple[str, str] | None:
    """Find the name of a detector in the name of a signal or a file.

    Parameters
    ----------
    text : str
        Name such as ``"HAADF"`` or ``"gold_07_BF"``.

    Returns
    -------
    tuple of str or None
        Detector, lower case, and the text without it; None where there is none.

    Examples
    --------
    >>> detector_in("gold_07_BF"), detector_in("gold_07_HAADF"), detector_in("buffer")
    (('bf', 'gold_07_'), ('haadf', 'gold_07_'), None)
    """
    matches = list(_DETECTOR.finditer(text.replace("_", " ")))
    if not matches:
        return None
    found = matches[-1]
    return found.group(0).lower(), text[: found.start()] + text[found.end() :]


def preferred_first(detector: str) -> int:
    """Return the rank of a detector, 0 for the one that is kept first.

    Parameters
    ----------
    detector : str
        From `detector_in`.

    Returns
    -------
    int
        Rank.
    """
    letters = re.sub(r"[^a-z].*", "", detector)
    return _PREFERRED.index(letters) if letters in _PREFERRED else len(_PREFERRED)


def one_per_scan(records: Sequence[MicrographRecord]) -> list[MicrographRecord]:
    """Keep one detector of each scan in a file, and set the others aside.

    Parameters
    ----------
    records : sequence of MicrographRecord
        All records of one file.

    Returns
    -------
    list of MicrographRecord
        The same records in order. Signals that are named after different detectors, and have the same shape, the same
        pixel size, the same number of frames and the same time as far as it is stated, are of one scan: of each frame
        all but one are set aside, and their reasons name it.
    """
    groups: dict[tuple[object, ...], dict[int, list[MicrographRecord]]] = {}
    for record in records:
        detector = detector_in(record.title)
        if record.status == "ok" and detector is not None:
            size = record.pixel_size_nm and tuple(round(s, 9) for s in record.pixel_size_nm)
            key = (record.height_px, record.width_px, size, detector[1], (record.acquired_at or "")[:19])
            groups.setdefault(key, {}).setdefault(record.signal, []).append(record)
    changed: dict[str, MicrographRecord] = {}
    for signals in groups.values():
        names = {number: str((detector_in(frames[0].title) or ("",))[0]) for number, frames in signals.items()}
        lengths = {len(frames) for frames in signals.values()}
        if len(signals) < 2 or len(set(names.values())) < len(signals) or len(lengths) > 1:
            continue
        kept = min(signals, key=lambda number: (preferred_first(names[number]), number))
        for number, frames in signals.items():
            for frame, of in zip(frames, signals[kept], strict=True):
                if number != kept:
                    reason = f"another detector of the scan of {of.title}: its field is counted once"
                    changed[frame.micrograph_id] = dataclasses.replace(
                        frame, status="set_aside", reason=reason, duplicate_of=of.micrograph_id
                    )
    return [changed.get(record.micrograph_id, record) for record in records]


def one_per_channels(records: Sequence[MicrographRecord]) -> list[MicrographRecord]:
    """Keep one channel of each field, and set the others aside.

    Parameters
    ----------
    records : sequence of MicrographRecord
        All records of a run: the channels of a field may lie in several files.

    Returns
    -------
    list of MicrographRecord
        The same records in order. Of the channels of a field, as an axis of the file states them, that is kept whose
        name is the preferred detector, or else the first one.
    """
    fields: dict[str, list[MicrographRecord]] = {}
    for record in records:
        if record.field_shown and record.status == "ok":
            fields.setdefault(record.field_shown, []).append(record)
    changed: dict[str, MicrographRecord] = {}
    for channels in fields.values():
        kept = min(channels, key=lambda one: preferred_first((detector_in(one.channel) or ("",))[0]))
        for one in channels:
            if one is not kept:
                reason = f"channel {one.channel} of a field that is counted once, in channel {kept.channel}"
                changed[one.micrograph_id] = dataclasses.replace(
                    one, status="set_aside", reason=reason, duplicate_of=kept.micrograph_id
                )
    return [changed.get(record.micrograph_id, record) for record in records]
