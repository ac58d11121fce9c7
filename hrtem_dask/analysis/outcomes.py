"""What is known of one micrograph after its segmentation, and after its analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.particles.find import Particles
from hrtem_dask.segmentation import Segmentation

__all__ = ["Analysis", "Labelled", "Segmented"]


@dataclass(frozen=True)
class Segmented:
    """One micrograph between segmentation and the search for particles."""

    image: np.ndarray
    """Shape (y, x), as it was in the file; burnt-in marks are replaced by their surroundings, and what is no image by
    the median."""
    prepared: np.ndarray
    """Shape (y, x), float32 in [0, 1]: the filtered image, on the host."""
    segmentation: Segmentation | None
    """Probability and mask; None where the micrograph is set aside and was not segmented."""
    set_aside: str | None
    """Why the micrograph is set aside; None where it is not."""
    micrograph: Mapping[str, object]
    """Columns of `tables.MICROGRAPHS` that are known so far."""
    remark: str | None = None
    """Why it may be no image of the specimen; mostly None."""
    marks: np.ndarray | None = None
    """Shape (y, x), True on burnt-in marks; None where there is none."""
    outside: np.ndarray | None = None
    """Shape (y, x), True on pixels that are no image, see `filtering.find_outside`; None where there is none."""
    predicted_quality: Mapping[str, float | None] = field(default_factory=dict)
    """Columns of `tables.MICROGRAPHS` that describe the segmenter's mask, not labels corrected by hand."""
    is_calibrated: bool = False
    """Whether the segmenter can predict the quality of its masks in the regime of this micrograph."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Columns of `tables.EXECUTION`: the time that each stage took (s)."""


@dataclass(frozen=True)
class Labelled:
    """One micrograph between the search for particles and what is measured on their lattices."""

    found: Particles
    """Labels, regions and particles, with their sizes and shapes."""
    micrograph: Mapping[str, object]
    """Columns of `tables.MICROGRAPHS` about the mask and its outlines."""
    network_scale: float | None = None
    """Network pixels per pixel of the micrograph; None without a network."""
    is_calibrated: bool = False
    """Whether the quality of the mask could be predicted."""
    is_unproven: bool = False
    """Whether the method is known to work on simulated images only."""
    instance_runs: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.INSTANCE_RUNS))
    """Rows of `tables.INSTANCE_RUNS`."""
    execution: Mapping[str, object] = field(default_factory=dict)
    """Columns of `tables.EXECUTION`."""


@dataclass(frozen=True)
class Analysis:
    """What is found on one micrograph."""

    status: str
    """done, empty (no particle) or set_aside."""
    reason: str | None
    """Why it was set aside, that one crystal fills it, or why it may be no image of the specimen."""
    labels: np.ndarray
    """Shape (y, x), int32: the particle_id of each pixel, 0 = background."""
    prepared: np.ndarray
    """Shape (y, x), float32 in [0, 1]: the filtered image that everything was measured on."""
    region_rows: tables.Rows
    """Rows of `tables.REGIONS`, without the columns that the caller knows (micrograph_id, sample)."""
    particle_rows: tables.Rows
    """Rows of `tables.PARTICLES`, without the columns that the caller knows."""
    micrograph: Mapping[str, object]
    """Columns of `tables.MICROGRAPHS` that the analysis fills."""
    execution: Mapping[str, object] = field(default_factory=dict)
    """Columns of `tables.EXECUTION` that the analysis fills."""
    windows: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.WINDOWS))
    """Rows of `tables.WINDOWS`, without the columns that the caller knows; none unless one crystal fills the field."""
    fault_traces: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.FAULT_TRACES))
    """Rows of `tables.FAULT_TRACES`, without the columns that the caller knows."""
    instance_runs: pd.DataFrame = field(default_factory=lambda: tables.empty(tables.INSTANCE_RUNS))
    """Rows of `tables.INSTANCE_RUNS`, without the columns that the caller knows; none without a detector."""

    @property
    def regions(self) -> pd.DataFrame:
        """`region_rows` as a table; it takes milliseconds to make."""
        return self.region_rows.table()

    @property
    def particles(self) -> pd.DataFrame:
        """`particle_rows` as a table; it takes milliseconds to make."""
        return self.particle_rows.table()
