"""The state of a results folder: how far a run is, and whether everything in it is as it was written."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hrtem_dask import tables
from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.reasons import shared_reasons
from hrtem_dask.storage import ledger
from hrtem_dask.storage.checksums import find_damage, find_damaged_tables, unreadable_commits
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.run_lock import lock_holder

__all__ = ["RunState", "Verification", "run_state", "verify"]

LOG = "log.jsonl"
READERS = 8
"""Parts that are compared at the same time: the time goes into reading files."""


@dataclass(frozen=True)
class Verification:
    """What a comparison of a results folder with its records found."""

    results: str
    """The results folder."""
    n_micrographs: int
    """Number of micrographs that were compared."""
    damaged: Mapping[str, str]
    """`micrograph_id` → what is missing, cut or exchanged."""
    tables: Mapping[str, str]
    """Table or record → what is wrong with it."""
    interrupted: tuple[str, ...]
    """Micrographs that were begun and not finished."""

    @property
    def is_sound(self) -> bool:
        """Whether everything is as it was written."""
        return not self.damaged and not self.tables


@dataclass(frozen=True)
class RunState:
    """How far the latest run into a folder is."""

    results: str
    """The results folder."""
    state: str
    """running, finished, or interrupted."""
    owner: str | None
    """The process that runs, in words; None where none does."""
    listed: int | None
    """Number of images that were listed; None where the log does not say."""
    counts: Mapping[str, int]
    """Images with a result, by status."""
    to_analyze: int | None
    """Number of micrographs that the latest run began with; None where the log does not say."""
    remaining: int | None
    """Number of these that it had yet to do."""
    seconds_left: float | None
    """What it will take at the pace of this run (s); None where it is not running or nothing is finished."""
    failures: Mapping[str, int]
    """Reason, without the name of the file → number of images that failed for it in the latest run, most frequent
    first."""


def verify(results: str | os.PathLike[str]) -> Verification:
    """Compare everything in a results folder with what was written.

    Tables of parts and labels are compared with the hashes in the commit records, and the tables of the run with the
    hashes that its end has written.

    Parameters
    ----------
    results : str or path-like
        The results folder, or its fsspec URL.

    Returns
    -------
    Verification
        What is damaged. The same command as before does these micrographs again, and nothing else.

    Raises
    ------
    ResultsFolderError
        If it is no results folder.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n_particles=3)
    >>> _ = hd.run(folder / "images", folder / "results", method="otsu", cluster="threads")
    >>> verify(folder / "results").is_sound
    True
    >>> _ = (folder / "results" / "particles.parquet").write_bytes(b"cut")
    >>> verify(folder / "results").tables
    {'particles.parquet': 'is not what was written'}
    """
    folder = _opened(results)
    entries = ledger.read_entries(folder)
    by_part: dict[str, list[ledger.Entry]] = {}
    for entry in entries.values():
        if entry.status != "interrupted":
            by_part.setdefault(entry.part, []).append(entry)
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(lambda item: find_damage(folder, *item), by_part.items())
        damaged = {name: why for one in found for name, why in one.items()}
    interrupted = tuple(sorted(name for name, entry in entries.items() if entry.status == "interrupted"))
    unreadable = dict.fromkeys(unreadable_commits(folder), "cannot be read")
    return Verification(
        results=folder.url,
        n_micrographs=len(entries) - len(interrupted),
        damaged=damaged,
        tables=unreadable | find_damaged_tables(folder),
        interrupted=interrupted,
    )


def run_state(results: str | os.PathLike[str]) -> RunState:
    """Tell how far the latest run into a folder is, while it runs or afterwards.

    Parameters
    ----------
    results : str or path-like
        The results folder, or its fsspec URL.

    Returns
    -------
    RunState
        Read from the lock, the ledger and the log of the folder; nothing is changed.

    Raises
    ------
    ResultsFolderError
        If it is no results folder.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n_particles=3)
    >>> _ = hd.run(folder / "images", folder / "results", method="otsu", cluster="threads")
    >>> state = run_state(folder / "results")
    >>> state.state, dict(state.counts), state.remaining
    ('finished', {'done': 1}, 0)
    """
    folder = _opened(results)
    owner = lock_holder(folder)
    entries = ledger.read_entries(folder)
    events = _latest_run(folder)
    start = events[0] if events else {}
    outcomes = [event for event in events[1:] if "micrograph_id" in event and event["event"] in tables.STATUSES]
    failed = [event for event in outcomes if event["event"] == "failed"]
    sources = [str(event.get("source")) for event in failed]
    reasons = Counter(shared_reasons([str(event.get("reason")) for event in failed], sources))
    has_ended = any(event["event"] == "end" for event in events)
    to_analyze = start.get("to_analyse")
    remaining = None if to_analyze is None else int(to_analyze) - len({event["micrograph_id"] for event in outcomes})
    state = "running" if owner is not None else "finished" if has_ended else "interrupted"
    return RunState(
        results=folder.url,
        state=state,
        owner=None if owner is None else str(owner),
        listed=start.get("listed"),
        counts=Counter(start.get("not_to_analyse", {}))
        + Counter(entry.status for entry in entries.values() if entry.status != "interrupted"),
        to_analyze=None if to_analyze is None else int(to_analyze),
        remaining=remaining,
        seconds_left=_seconds_left(start, len(outcomes), remaining) if state == "running" else None,
        failures=dict((Counter(start.get("failures", {})) + reasons).most_common()),
    )


def _opened(results: str | os.PathLike[str]) -> Location:
    """Return the location of a results folder."""
    folder = Location.of(results)
    if not folder.exists("run.toml"):
        raise ResultsFolderError(f"{folder.url} is no results folder: it has no run.toml, which every run writes first")
    return folder


def _latest_run(folder: Location) -> list[dict[str, Any]]:
    """Return the events of the latest run in the log; none where there is no log, as on object stores while it runs."""
    try:
        lines = folder.read_bytes(LOG).decode(errors="replace").splitlines()
    except OSError:
        return []
    events: list[dict[str, Any]] = []
    for line in lines:
        try:
            event = json.loads(line)
            name = event["event"]
        except (ValueError, TypeError, KeyError):  # cut off, or not ours
            continue
        if name == "start":
            events = []
        events.append(event)
    return events if events and events[0]["event"] == "start" else []


def _seconds_left(start: Mapping[str, Any], n_done: int, remaining: int | None) -> float | None:
    """Return the time that is left at the pace so far."""
    if not n_done or remaining is None:
        return None
    try:
        began = datetime.fromisoformat(str(start["time"]))
    except (KeyError, ValueError):
        return None
    return max((datetime.now(UTC) - began).total_seconds(), 0.0) / n_done * remaining
