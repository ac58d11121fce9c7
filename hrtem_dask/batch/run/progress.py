"""Progress of a run: a bar on the terminal or plain lines, and a log file in the results folder."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Self

from hrtem_dask.batch.run.task import Outcome
from hrtem_dask.errors import error_text
from hrtem_dask.storage.location import Location

__all__ = ["RunLog", "progress_bar", "time_left"]


FILE = "log.jsonl"
LINE_EVERY_S = 15.0
"""Time between two lines about the progress, where no bar is shown."""
FIRST_GROUP_S = 0.5
"""Outcomes that come so soon after the first one were done at the same time."""

logger = logging.getLogger(__name__)


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
        self._file_is_ready = False
        self._is_broken = False

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(self, *error: object) -> None:
        """Write the lines that could not be appended, also if the run was cut off."""
        self.close()

    def write(self, event: str, **fields: object) -> None:
        """Add an event; a log that cannot be written is no reason to end a run.

        Parameters
        ----------
        event : str
            Name of the event.
        **fields : object
            Its details: anything that JSON can hold.
        """
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields})
        if not self._folder.is_local:
            self._lines.append(line + "\n")
        elif not self._is_broken:
            try:
                self._append(line + "\n")
            except OSError as error:
                self._is_broken = True
                logger.warning("the log of this run is not written: %s", error_text(error))

    def _append(self, line: str) -> None:
        """Append a line to the file."""
        path = Path(self._folder.path(FILE))
        if not self._file_is_ready:
            self._folder.make_way(FILE)
            cut_off = path.exists() and path.stat().st_size and not self._folder.ends_with(FILE, b"\n")
            line = "\n" + line if cut_off else line
            self._file_is_ready = True
        with path.open("a", encoding="utf-8") as file:
            file.write(line)

    def close(self) -> None:
        """Write the lines that could not be appended."""
        if self._lines:
            earlier = self._folder.read_bytes(FILE) if self._folder.exists(FILE) else b""
            self._folder.write_bytes(FILE, earlier + "".join(self._lines).encode())
            self._lines = []


@contextmanager
def progress_bar(total: int, *, shown: bool) -> Iterator[Callable[[Outcome], None]]:
    """Show a progress bar that counts micrographs, or log a line now and then.

    Parameters
    ----------
    total : int
        Number of micrographs to analyze.
    shown : bool
        Whether the bar is shown; else a line is logged after the first micrograph, and then every `LINE_EVERY_S`.

    Yields
    ------
    callable
        Call it with each `Outcome`.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    n = {"done": 0, "particles": 0, "failed": 0}
    began = monotonic()
    said, first, before_first = -math.inf, math.inf, 0.0
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task("micrographs", total=total, left="")

        def advance(outcome: Outcome) -> None:
            nonlocal said, first, before_first
            n["done"] += 1
            n["particles"] += outcome.n_particles
            n["failed"] += outcome.entry.status == "failed"
            now = monotonic()
            first = min(first, now)
            if now - first < FIRST_GROUP_S:
                before_first += outcome.seconds
            # the work began when the first group did, and not while workers were started
            left = time_left(n["done"], total, min(now - began, now - first + before_first) or now - began)
            text = f"{n['particles']} particles · {n['failed']} failed"
            bar.update(task, advance=1, description=f"micrographs · {text}", left=left)
            if not shown and n["done"] < total and now - said >= LINE_EVERY_S:
                said = now
                logger.info("%d of %d micrographs · %s · %s", n["done"], total, text, left)

        yield advance


def time_left(n_done: int, total: int, seconds: float) -> str:
    """Return how long the remaining micrographs will take, in words.

    Parameters
    ----------
    n_done : int
        Number of micrographs that are done, at least 1.
    total : int
        Number of all micrographs.
    seconds : float
        Time that those took (s).

    Returns
    -------
    str
        For instance ``about 4 min left``.

    Examples
    --------
    >>> time_left(1, 11, 3.0), time_left(10, 100, 60.0), time_left(1, 1, 2.0)
    ('about 30 s left', 'about 9 min left', 'about 0 s left')
    """
    left = seconds / n_done * (total - n_done)
    if left < 90:
        return f"about {left:.0f} s left"
    return f"about {left / 60:.0f} min left" if left < 5400 else f"about {left / 3600:.1f} h left"
