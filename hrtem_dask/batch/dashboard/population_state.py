"""The state of the page *Population*: the contribution of one micrograph, and the sum over the run so far."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pandas as pd

from hrtem_dask import tables

__all__ = ["BIN_NM", "MicrographSummary", "PopulationState", "summarize_micrograph", "thumbnail"]

BIN_NM = 0.1
"""Width of the bins of equivalent diameters (nm); the page joins them into wider ones."""
LAST_BIN = 20_000
"""Bin of all larger diameters, so that a summary stays small."""
THUMBNAIL_PX = 240
THUMBNAIL_BYTES = 20_000
SHOWN_OVERLAYS = 6
HISTORY = 400
"""Largest number of points of a curve over time; beyond it every second point is dropped."""


@dataclass(frozen=True)
class MicrographSummary:
    """Contribution of one or several micrographs to the population: a few hundred bytes, and a small picture."""

    n_particles: int = 0
    """Number of particles found."""
    n_counted: int = 0
    """Number of particles that enter statistics."""
    n_doubtful: int = 0
    """Number of micrographs whose verdict is doubtful."""
    sizes: Mapping[int, int] = field(default_factory=dict)
    """Counted particles per bin: bin i holds equivalent diameters from i · `BIN_NM` to (i + 1) · `BIN_NM`."""
    fault_states: Mapping[str, int] = field(default_factory=dict)
    """Counted particles that are ``fault``, ``no_fault`` and ``unknown``; empty where nothing is classified."""
    thumbnail: bytes | None = None
    """JPEG of the overlay, at most 20 kB."""

    def message(self) -> dict[str, Any]:
        """Return the fields as a message that Dask can send with an event.

        Returns
        -------
        dict
            Value of each field; all keys are texts.
        """
        return {
            **vars(self),
            "sizes": {str(i): n for i, n in self.sizes.items()},
            "fault_states": dict(self.fault_states),
        }


def summarize_micrograph(
    particles: pd.DataFrame | tables.Rows, picture: np.ndarray | None = None, *, n_doubtful: int = 0
) -> MicrographSummary:
    """Reduce the particles of a micrograph to the numbers that the live page shows.

    Parameters
    ----------
    particles : pandas.DataFrame or tables.Rows
        Rows of `tables.PARTICLES`.
    picture : numpy.ndarray of uint8, optional
        The overlay, shape (y, x, 3).
    n_doubtful : int
        1 where the verdict of the micrograph is doubtful.

    Returns
    -------
    MicrographSummary
        Counts; ``sizes`` and ``fault_states`` hold counted particles only, ``sizes`` only those with a size in nm.
    """
    rows = particles if isinstance(particles, tables.Rows) else tables.Rows.of_table(particles, tables.PARTICLES)
    counted = rows.flags("counted")
    sizes_nm = rows.numbers("equivalent_diameter_nm")[counted]
    bins = np.minimum(sizes_nm[~np.isnan(sizes_nm)] // BIN_NM, LAST_BIN).astype(int)
    states = [state for state in rows.texts("fault_state")[counted].tolist() if state]
    return MicrographSummary(
        n_particles=len(rows),
        n_counted=int(counted.sum()),
        n_doubtful=n_doubtful,
        sizes=dict(Counter(bins.tolist())),
        fault_states=dict(Counter(states)),
        thumbnail=None if picture is None else thumbnail(picture),
    )


def thumbnail(picture: np.ndarray) -> bytes | None:
    """Make a picture small enough to be sent around.

    Parameters
    ----------
    picture : numpy.ndarray of uint8
        Shape (y, x, 3), RGB.

    Returns
    -------
    bytes or None
        JPEG of at most 240 px and 20 kB; None if no quality makes it that small.
    """
    scale = min(1.0, THUMBNAIL_PX / max(picture.shape[:2]))
    height, width = (max(1, round(n * scale)) for n in picture.shape[:2])  # a line profile is one pixel wide
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    for quality in (85, 70, 50, 30):
        done, encoded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done and encoded.size <= THUMBNAIL_BYTES:
            return encoded.tobytes()
    return None


@dataclass
class PopulationState:
    """The sum over a run so far, kept on the scheduler."""

    run: str = ""
    """Identifier of the run that is shown: the last one that began."""
    results: str = ""
    """Results folder of the run."""
    began_s: float = 0.0
    """Time at which the run began (s, clock of the scheduler)."""
    ended_s: float | None = None
    """Time at which its last micrograph ended (s); None while the run goes on."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Number of micrographs per status, including those of earlier runs."""
    n_before: int = 0
    """Number of micrographs that ended before this run began to analyze, such as those of an earlier run."""
    n_to_analyse: int = 0
    """Number of micrographs that this run analyzes."""
    n_analysed: int = 0
    """Number of those that have ended."""
    n_particles: int = 0
    """Number of particles found."""
    n_counted: int = 0
    """Number of particles that enter statistics."""
    n_doubtful: int = 0
    """Number of micrographs whose verdict is doubtful."""
    sizes: Counter[int] = field(default_factory=Counter)
    """Number of counted particles per bin of `BIN_NM`."""
    fault_states: Counter[str] = field(default_factory=Counter)
    """Number of counted particles per fault state."""
    overlays: deque[tuple[str, str, bytes]] = field(default_factory=lambda: deque(maxlen=SHOWN_OVERLAYS))
    """The last overlays: micrograph, caption, JPEG."""
    history: list[tuple[float, int, int, int]] = field(default_factory=list)
    """Elapsed time (s), micrographs analyzed, faulted particles, particles with a known fault state."""
    _every: int = 1

    @property
    def n_left(self) -> int:
        """Number of micrographs that have not ended yet."""
        return self.n_to_analyse - self.n_analysed

    @classmethod
    def begun(cls, message: Mapping[str, Any], now_s: float) -> PopulationState:
        """Return the state at the beginning of a run.

        Parameters
        ----------
        message : mapping
            ``run``, ``results``, ``statuses`` of micrographs that have ended before, ``n_to_analyse``, and
            ``summary``: a `MicrographSummary.message` over the micrographs done before.
        now_s : float
            Time (s).

        Returns
        -------
        PopulationState
            State without analyzed micrographs.
        """
        statuses: Counter[str] = Counter(message["statuses"])
        state = cls(
            run=message["run"],
            results=message["results"],
            began_s=now_s,
            statuses=statuses,
            n_before=statuses.total(),
            n_to_analyse=message["n_to_analyse"],
        )
        state._add_particles(message["summary"])
        state.history.append(state._point(now_s))
        return state

    def add(self, message: Mapping[str, Any], now_s: float) -> None:
        """Add a micrograph that has ended.

        Parameters
        ----------
        message : mapping
            ``micrograph_id``, ``status`` and ``summary``: a `MicrographSummary.message`.
        now_s : float
            Time (s).
        """
        self.n_analysed += 1
        self.statuses[message["status"]] += 1
        summary = message["summary"]
        self._add_particles(summary)
        if summary["thumbnail"]:
            caption = f"{summary['n_particles']} particle{'' if summary['n_particles'] == 1 else 's'}"
            self.overlays.append((message["micrograph_id"], caption, summary["thumbnail"]))
        if self.n_analysed % self._every == 0 or self.n_left == 0:
            self.history.append(self._point(now_s))
        if len(self.history) > HISTORY:
            self.history, self._every = self.history[::2], 2 * self._every

    def end(self, message: Mapping[str, Any], now_s: float) -> None:
        """Record that the run has analyzed its last micrograph.

        Parameters
        ----------
        message : mapping
            The message, which is not used.
        now_s : float
            Time (s).
        """
        del message
        self.ended_s = now_s

    def histogram(self, max_bars: int = 40) -> tuple[np.ndarray, np.ndarray]:
        """Return the size histogram in bins that are wide enough to be visible.

        Parameters
        ----------
        max_bars : int
            Largest number of bars, at least 2.

        Returns
        -------
        edges_nm : numpy.ndarray of float64
            Shape (n + 1,), multiples of a round width of at least `BIN_NM`.
        counts : numpy.ndarray of int64
            Shape (n,): counted particles per bar; n is 0 without particles.
        """
        if not self.sizes:
            return np.zeros(1), np.zeros(0, dtype="int64")
        low, high = min(self.sizes), max(self.sizes)
        widths = [step * 10**power for power in range(6) for step in (1, 2, 5)]
        width = next(w for w in widths if high // w - low // w + 1 <= max_bars)
        first = low // width
        counts = np.zeros(high // width - first + 1, dtype="int64")
        for index, n in self.sizes.items():
            counts[index // width - first] += n
        return (first + np.arange(len(counts) + 1)) * width * BIN_NM, counts

    def median_nm(self) -> float | None:
        """Return the median equivalent diameter, to the accuracy of the bins.

        Returns
        -------
        float or None
            Center of the bin that holds the lower median (nm); None without sizes.
        """
        below, half = 0, (self.sizes.total() + 1) // 2
        for index in sorted(self.sizes):
            below += self.sizes[index]
            if below >= half:
                return (index + 0.5) * BIN_NM
        return None

    def _add_particles(self, summary: Mapping[str, Any]) -> None:
        """Add the counts of a summary."""
        self.n_particles += summary["n_particles"]
        self.n_counted += summary["n_counted"]
        self.n_doubtful += summary["n_doubtful"]
        self.sizes.update({int(index): n for index, n in summary["sizes"].items()})
        self.fault_states.update(summary["fault_states"])

    def _point(self, now_s: float) -> tuple[float, int, int, int]:
        """Return the present point of the curves over time."""
        fault, no_fault = self.fault_states["fault"], self.fault_states["no_fault"]
        return now_s - self.began_s, self.n_analysed, fault, fault + no_fault
