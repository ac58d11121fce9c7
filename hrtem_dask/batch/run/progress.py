"""Progress of a run: a bar on the terminal, and a log file in the results folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from hrtem_dask.batch.run.task import Outcome
from hrtem_dask.storage.location import Location

__all__ = ["RunLog", "progress_bar"]


class RunLog:
    """Log file of a run, ``log.jsonl``: one event per line, as a JSON object.

    Parameters
    ----------
    folder : Location
        The results folder. Object stores cannot append: there the log is written when it is closed.
    """

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(self, *error: object) -> None:
        """Write the lines that could not be appended, also if the run was cut off."""
        self.close()

    def write(self, event: str, **fields: object) -> None:
        """Add an event.

        Parameters
        ----------
        event : str
            Name of the event.
        **fields : object
            Its details: anything that JSON can hold.
        """
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields})
        if self._folder.is_local:
            with Path(self._folder.path("log.jsonl")).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        else:
            self._lines.append(line + "\n")

    def close(self) -> None:
        """Write the lines that could not be appended."""
        if self._lines:
            earlier = self._folder.read_bytes("log.jsonl") if self._folder.exists("log.jsonl") else b""
            self._folder.write_bytes("log.jsonl", earlier + "".join(self._lines).encode())
            self._lines = []


@contextmanager
def progress_bar(total: int, *, shown: bool) -> Iterator[Callable[[Outcome], None]]:
    """Show a progress bar that counts micrographs.

    Parameters
    ----------
    total : int
        Number of micrographs to analyze.
    shown : bool
        Whether the bar is shown.

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
