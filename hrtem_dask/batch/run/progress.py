"""What a run says while it goes: a progress bar for people, a log for later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from hrtem_dask.batch.run.task import Outcome
from hrtem_dask.storage.location import Location

__all__ = ["RunLog", "progress_bar"]


class RunLog:
    """Events of a run, one JSON object a line, in ``log.jsonl``.

    Parameters
    ----------
    place : Location
        The results folder. Object stores cannot append: there the log is written when it is closed.
    """

    def __init__(self, place: Location) -> None:
        self._place = place
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(self, *error: object) -> None:
        """Write what could not be appended, also where the run was cut off."""
        self.close()

    def write(self, event: str, **fields: Any) -> None:
        """Add an event.

        Parameters
        ----------
        event : str
            What happened, in a word.
        **fields : object
            What JSON can hold.
        """
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields})
        if self._place.is_local:
            with Path(self._place.path("log.jsonl")).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        else:
            self._lines.append(line + "\n")

    def close(self) -> None:
        """Write what could not be appended."""
        if self._lines:
            earlier = self._place.read_bytes("log.jsonl") if self._place.exists("log.jsonl") else b""
            self._place.write_bytes("log.jsonl", earlier + "".join(self._lines).encode())
            self._lines = []


@contextmanager
def progress_bar(total: int, *, shown: bool) -> Iterator[Any]:
    """Show a bar of micrographs done.

    Parameters
    ----------
    total : int
        Micrographs to do.
    shown : bool
        False shows nothing.

    Yields
    ------
    callable
        Call it with each `Outcome`.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    counts = {"particles": 0, "failed": 0}
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task("micrographs", total=total)

        def advance(outcome: Outcome) -> None:
            counts["particles"] += outcome.n_particles
            counts["failed"] += outcome.entry.status == "failed"
            text = f"micrographs · {counts['particles']} particles · {counts['failed']} failed"
            bar.update(task, advance=1, description=text)

        yield advance
