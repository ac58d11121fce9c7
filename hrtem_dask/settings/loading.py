"""Settings of loading: how pixel sizes are found and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hrtem_dask.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class LoadingSettings:
    """How pixel sizes are found and judged."""

    pixel_size_nm: float | None = None
    """Overrides the pixel size of every file (nm); None trusts the files."""
    pixels: bool = False
    """Analyse micrographs without a pixel size in pixels, the ``*_nm`` columns left null."""
    plausible_pixel_size_nm: tuple[float, float] = (0.001, 10.0)
    """A pixel size outside this range (nm) is flagged as implausible and the micrograph set aside."""
    duplicates: Literal["set_aside", "keep"] = "set_aside"
    """Set aside what shows the field of another micrograph: copies, exports, further detectors of a scan; or keep and
    only flag them."""

    def __post_init__(self) -> None:
        """Refuse impossible values before a cluster is started for them."""
        size = self.pixel_size_nm
        if size is not None and not 0 < size < float("inf"):
            raise SettingsError(f"a pixel size must be positive and finite, got {size:g} nm: give it in nm per pixel")
