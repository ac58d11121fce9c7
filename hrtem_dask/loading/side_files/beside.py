"""Find the side files of an image, and add what they state to the signals of its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hrtem_dask.errors import error_text
from hrtem_dask.loading.agreement import combine
from hrtem_dask.loading.pixel_sizes import Calibration
from hrtem_dask.loading.records import Signal
from hrtem_dask.loading.side_files import key_values, thermo_fisher
from hrtem_dask.loading.side_files.names import SIDE_ENDINGS
from hrtem_dask.loading.side_files.stated import Stated, usable_size
from hrtem_dask.text_encoding import decode_text

__all__ = ["described_beside"]

MAX_BYTES = 4 * 2**20
"""Largest side file that is read; those of microscopes take some kilobytes."""
_READERS: tuple[Callable[[str], Stated | None], ...] = (key_values.hitachi, key_values.jeol, key_values.tescan)


@dataclass(frozen=True)
class _Beside:
    """A side file that was read."""

    name: str
    stated: Stated = field(default_factory=Stated)
    problem: str = ""


def described_beside(path: Path, signals: Sequence[Signal]) -> list[Signal]:
    """Add the pixel size and the conditions of acquisition that side files state.

    Parameters
    ----------
    path : pathlib.Path
        The image file.
    signals : sequence of Signal
        Its signals.

    Returns
    -------
    list of Signal
        In the same order. What a side file states is compared with what the image states; what only the side file
        knows is filled in. A side file counts only for images of the size that it states, because a smaller copy of the
        same name has other pixels. Text files that are no side files change nothing.
    """
    if not any(signal.status == "ok" for signal in signals):
        return list(signals)
    found = [_read(side) for side in _existing(path)]
    known = [one for one in found if one is not None]
    return [_with(signal, known) for signal in signals] if known else list(signals)


def _existing(path: Path) -> list[Path]:
    """Return the side files that lie beside an image, with their extensions in either case."""
    stem, suffix = path.stem, path.suffix
    names = {base + form for base in (stem, path.name) for end in SIDE_ENDINGS for form in (end, end.upper())}
    found: dict[tuple[int, int], Path] = {}
    for name in sorted({*names, f"{stem}-{suffix.removeprefix('.')}.hdr"}):
        side = path.with_name(name)
        try:
            if name != path.name and side.is_file():
                stat = side.stat()
                found.setdefault((stat.st_dev, stat.st_ino), side)  # one file on disks that ignore the case of names
        except OSError:
            continue
    return list(found.values())


def _read(side: Path) -> _Beside | None:
    """Read a side file; None where it is another text."""
    try:
        if side.stat().st_size > MAX_BYTES:
            return None
        content = side.read_bytes()
    except OSError as error:
        return _Beside(
            side.name, problem=f"{side.name} beside it cannot be read: {error.strerror or error_text(error)}"
        )
    if side.suffix.lower() == ".xml":
        stated = thermo_fisher.epu(content)
    else:
        try:
            text = decode_text(content, guess=True)[0]
        except ValueError:  # bytes that are no text
            return None
        stated = next((one for reader in _READERS if (one := reader(text)) is not None), None)
    return None if stated is None else _Beside(side.name, stated)


def _with(signal: Signal, beside: Sequence[_Beside]) -> Signal:
    """Add what the side files state to one signal."""
    if signal.status != "ok" or signal.height_px is None or signal.width_px is None:
        return signal
    shape = signal.height_px, signal.width_px
    candidates: list[Calibration] = [signal.calibration]
    notes = []
    for one in beside:
        if one.problem:
            notes.append(one.problem)
            continue
        size = usable_size(one.stated, shape, one.name)
        candidates.append(size)
        if not size.note:
            signal = _with_conditions(signal, one.stated)
    calibration = combine(candidates)
    note = "; ".join(filter(None, [signal.note, *notes]))
    if calibration.reciprocal:
        note = "; ".join(filter(None, ["a diffraction pattern, as the file beside it says", note]))
        return replace(signal, status="set_aside", n_frames=1, calibration=calibration, note=note)
    return replace(signal, calibration=calibration, note=note)


def _with_conditions(signal: Signal, stated: Stated) -> Signal:
    """Fill in the conditions that the image file does not state."""
    return replace(
        signal,
        voltage_kv=signal.voltage_kv or stated.voltage_kv,
        magnification=signal.magnification or stated.magnification,
        instrument=signal.instrument or stated.instrument,
        acquired_at=signal.acquired_at or stated.acquired_at,
        description="; ".join(filter(None, [signal.description, stated.description])),
    )
