"""Settings of the Fourier analysis: material and lattice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FourierSettings:
    """What is measured on each particle's power spectrum."""

    lattice: bool = True
    """Measure reflections, spacings and zone axis of each particle. Without them, pixel sizes are not checked by the
    lattice."""
    spacing_range_nm: tuple[float, float] = (0.1, 0.42)
    """Lattice spacings looked for (nm)."""
    min_peak_snr: float = 20.0
    """A reflection's power over the median power of its ring."""
    material: str | None = None
    """Known material, for instance ``"Au"``: its spacings cross-check the pixel size."""
    calibration_tolerance: float = 0.02
    """Relative deviation of the measured from the known spacing that is flagged."""
