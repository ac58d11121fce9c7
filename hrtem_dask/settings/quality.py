"""Settings of the quality check: which micrographs are flagged, and which are set aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """Which doubtful micrographs are flagged, and which of them are set aside."""

    max_anisotropy: float = 0.5
    """Anisotropy of the power spectrum (0 to 1) above which drift is flagged."""
    min_sharpness: float = 0.05
    """Sharpness (0 to 1) below which blur is flagged."""
    max_saturated_fraction: float = 0.01
    """Share of pixels at the end of the range above which saturation is flagged."""
    max_gradient: float = 0.5
    """Intensity change across the field over its mean above which a gradient is flagged."""
    empty_mass_contrast: float = 1.5
    """With the next one: mass contrast below which a field may be empty."""
    empty_peak_snr: float = 15.0
    """Where the spectrum's strongest peak is below this too, there is neither mass contrast nor lattice."""
    no_micrographs: Literal["set_aside", "flag"] = "set_aside"
    """What happens to masks, Fourier transforms and diffraction patterns that are recognized by their pixels."""
    set_aside: tuple[
        Literal[
            "blur", "drift", "empty_field", "saturation", "gradient", "duplicate",
            "fourier_transform", "diffraction", "mask", "illuminated_disk",
        ],
        ...,
    ] = ()  # fmt: skip
    """Flags that set a micrograph aside."""
