"""Settings of particles: how a mask becomes regions and particles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hrtem_dask.settings.ranges import require


@dataclass(frozen=True, kw_only=True)
class ParticleSettings:
    """How a mask becomes regions and particles."""

    opening_radius_px: int = 2
    """Radius (px) of the disk of the morphological opening that removes specks; 0 turns it off."""
    closing_radius_px: int = 2
    """Radius (px) of the disk of the morphological closing that fills pits; 0 turns it off."""
    fill_holes: bool = True
    """Fill holes that are enclosed by a particle."""
    bridge_gap_nm: float = 0.4
    """Pieces nearer than this (nm) are one region; not used for micrographs without a pixel size."""
    min_area_px: int = 100
    """Smaller pieces (px) are not counted. A lower limit, down to 25 px, counts small particles by their size alone; on
    noisy images it counts specks of noise too."""
    min_area_nm2: float = 0.5
    """Smaller pieces (nm²) are not counted; not used for micrographs without a pixel size."""
    min_mean_probability: float | None = None
    """Pieces of the mask with a lower mean particle probability are no particles (U-Net): they are left out of the
    labels, and their number is reported (`n_uncertain`). 0 keeps all pieces. None is 0.8 with the bundled network, for
    whose probabilities this was chosen, and 0 with other models."""
    min_shape_area_px: int = 100
    """Smaller particles (px) are counted by size alone: their shape descriptors are null, and their outlines are not
    cleaned; 0 describes the shape of all."""
    max_region_area_nm2: float | None = None
    """A region larger than this is an agglomeration even where it could not be split; None sets no limit."""
    outline: Literal["edge", "half"] = "edge"
    """Where outlines run: at the edge of the projected object, as the segmenter drew them, or where the intensity is
    half-way between a particle and its surroundings."""
    split_touching: bool = True
    """Split touching particles by watershed of the distance transform."""
    split_by_probability: bool = True
    """Cut touching particles also along lines of low particle probability, which the network draws between them."""
    split_min_confidence: float = 0.2
    """A split is made where its neck is this much narrower than the narrower particle: 1 − neck / diameter, 0–1."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name in (
            "opening_radius_px",
            "closing_radius_px",
            "bridge_gap_nm",
            "min_area_px",
            "min_area_nm2",
            "min_shape_area_px",
        ):
            require(f"particles.{name}", getattr(self, name), 0)
        require("particles.split_min_confidence", self.split_min_confidence, 0, 1)
        if self.min_mean_probability is not None:
            require("particles.min_mean_probability", self.min_mean_probability, 0, 1)

    @property
    def counting_limit(self) -> str:
        """The area below which particles are not counted, in words."""
        return f"{self.min_area_px} px ({self.min_area_nm2:g} nm² where that is larger)"
