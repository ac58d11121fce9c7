"""Options of the statistics of a population."""

from __future__ import annotations

from dataclasses import dataclass

from hrtem_dask.errors import SettingsError

__all__ = ["PopulationOptions"]


@dataclass(frozen=True, kw_only=True)
class PopulationOptions:
    """Options of the statistics of a population."""

    edge_weights: bool = True
    """Weight each counted particle by 1/P (Miles and Lantuéjoul), where the size of the image is known."""
    leave_out_doubtful: bool = False
    """Leave out the particles of micrographs whose verdict is doubtful; they are kept, and marked, by default."""
    min_area_px: float = 100.0
    """Detection limit (px): particles of a smaller area are not counted (settings ``particles.min_area_px``)."""
    min_area_nm2: float = 0.5
    """Detection limit (nm²); the larger of the two limits is used."""
    bin_width_nm: float | None = None
    """Width of the bins of histograms (nm); None uses the rule of Freedman and Diaconis, rounded to 1, 2 or 5 × 10ⁿ."""
    confidence: float = 0.95
    """Probability, 0 to 1, that an interval contains the true value."""
    n_resamples: int = 1000
    """Resamples of the bootstrap over micrographs."""
    n_fit_simulations: int = 400
    """Simulated samples of the goodness-of-fit test."""
    seed: int = 0
    """Seed of every random number: the same table gives the same statistics."""
    target_relative_precision: float = 0.02
    """Relative half width of the interval for which the necessary number of particles is computed."""
    pixel_size_relative_uncertainty: float | None = None
    """Relative standard uncertainty of the pixel size; None assumes a value by the source of the pixel size."""
    boundary_uncertainty_px: float = 0.5
    """Half range (px) by which the outline may lie further in or out, due to the choice of the threshold."""
    boundary_uncertainty_nm: float | None = None
    """The same in nm; replaces the value in px."""
    bias_uncertainty_nm: float | None = None
    """Standard uncertainty (nm) of a bias that is not corrected, from a reference material of similar size; None where
    none was measured."""

    def __post_init__(self) -> None:
        """Raise `SettingsError` for impossible values."""
        for name, low in (("min_area_px", 0), ("min_area_nm2", 0), ("n_resamples", 100), ("n_fit_simulations", 0)):
            if not getattr(self, name) >= low:
                raise SettingsError(f"{name} must be at least {low}, got {getattr(self, name)!r}")
        for name in ("confidence", "target_relative_precision"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"{name} must lie between 0 and 1, got {getattr(self, name)!r}")
        for name in (
            "bin_width_nm",
            "pixel_size_relative_uncertainty",
            "boundary_uncertainty_nm",
            "bias_uncertainty_nm",
        ):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise SettingsError(f"{name} must not be negative, got {value!r}")
        if self.bin_width_nm == 0:
            raise SettingsError("bin_width_nm must be larger than 0, got 0: omit it to use a rule")
