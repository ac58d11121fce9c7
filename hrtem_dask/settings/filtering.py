"""Settings of filtering: what is done to the whole image before segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class FilteringSettings:
    """What is done to the whole image before segmentation."""

    spike_threshold_sd: float = 8.0
    """A pixel further than this many standard deviations from its 3×3 median is an X-ray spike; 0 turns it off."""
    spike_scale: Literal["residual", "image"] = "residual"
    """Which standard deviation that is: a robust one of the difference between image and median, or that of the whole
    image, spikes included, as in the code of Groschner et al. (2021)."""
    flatten: bool = True
    """Divide out uneven illumination, where there is any: a plane or quadratic surface fitted to the background."""
    find_marks: bool = True
    """Find scale bars, letters and information strips that are burnt into the image. Their pixels are replaced by their
    surroundings before anything is measured, and hold no particle."""
    flat_field: str | None = None
    """Path of a gain reference image that each micrograph is divided by."""
