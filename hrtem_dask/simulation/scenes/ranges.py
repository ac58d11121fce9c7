"""What is varied from one simulated scene to the next, and how far: rods and vesicles."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.contrast.supports import SUPPORTS
from hrtem_dask.simulation.ranges import Range, TomlRanges
from hrtem_dask.simulation.scenes.arrangement import ARRANGEMENTS
from hrtem_dask.simulation.scenes.rods import PROFILES

__all__ = ["IMAGING", "RodRanges", "SceneRanges", "VesicleRanges"]

IMAGING = ("haadf", "bright_field", "sem")
"""Kinds of images of rods: signals add, transmissions multiply, or the uppermost surface hides the others."""


def _weights(**weights: float) -> Any:
    """Return a field of weights."""
    return field(default_factory=lambda: dict(weights))


@dataclass(frozen=True, kw_only=True)
class SceneRanges(TomlRanges):
    """Ranges of instrument, support and saving that both kinds of scenes share; a pair is from and to."""

    size_px: int = 512
    """Height and width of a scene (px)."""
    pixel_size_nm: Range = (0.2, 3.0)
    """Pixel size (nm), for information; in the logarithm."""
    empty_fraction: float = 0.03
    """Share of scenes without an instance."""
    blur_px: Range = (0.4, 2.0)
    """Standard deviation of the lens's blur (px); in the logarithm."""
    drift_px: Range = (0.0, 2.0)
    """Way of the specimen during the exposure (px)."""
    fresnel_px: Range = (0.0, 3.5)
    """√(wavelength × defocus), which scales Fresnel fringes in bright field (px)."""
    texture_contrast: Range = (0.004, 0.08)
    """Standard deviation of the support's contrast; in the logarithm."""
    texture_grain_px: Range = (1.2, 12.0)
    """Grain size of the support (px); in the logarithm."""
    contaminated_fraction: float = 0.2
    """Share of scenes with patches, stains or drying rings."""
    dirt_fraction: float = 0.2
    """Share with dirt specks."""
    coarse_noise_fraction: float = 0.25
    """Share of scenes whose noise is correlated over several pixels, as in enlarged or filtered images."""
    coarse_noise_px: Range = (1.5, 6.0)
    """Grain size of that noise (px)."""
    gradient: Range = (0.0, 0.5)
    """Change of the illumination across the field over its mean."""
    vignette: Range = (0.0, 0.35)
    """Loss of illumination at the corners."""
    eight_bit_fraction: float = 0.7
    """Share saved in 8 bits, stretched and sometimes compressed."""
    jpeg_fraction: float = 0.35
    """Share of those with JPEG artifacts."""
    annotated_fraction: float = 0.4
    """Share with burnt-in bars, text, letters, arrows or strips, none of them an instance."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        pairs = [f.name for f in dataclasses.fields(self) if isinstance(getattr(self, f.name), tuple)]
        self.check_values(positive=[name for name in pairs if name not in _MAY_BE_ZERO])


_MAY_BE_ZERO = {"drift_px", "fresnel_px", "gradient", "vignette", "interior_contrast", "n_large", "n_small", "n_holes"}


@dataclass(frozen=True, kw_only=True)
class RodRanges(SceneRanges):
    """Ranges that scenes of nanorods are drawn from."""

    imaging: Mapping[str, float] = _weights(haadf=0.42, bright_field=0.4, sem=0.18)
    """Kind of image → weight."""
    arrangements: Mapping[str, float] = _weights(
        random=0.48, crossed=0.14, bundled=0.13, aligned=0.14, raft=0.05, clusters=0.06
    )
    """Arrangement → weight."""
    profiles: Mapping[str, float] = _weights(round=0.42, prism=0.2, flat=0.1, tube=0.08, spindle=0.08, dumbbell=0.12)
    """Cross section of the rods → weight."""
    supports: Mapping[str, float] = _weights(
        carbon=0.5, graphene=0.08, lacey=0.12, holey=0.08, thick=0.12, wrinkled=0.1
    )
    """Support → weight."""
    length_px: Range = (15.0, 300.0)
    """Length of a rod (px); the median of a scene is drawn in the logarithm."""
    aspect: Range = (1.1, 12.0)
    """Length over width of a lying rod; the median of a scene is drawn in the logarithm."""
    width_px: Range = (5.0, 80.0)
    """Width of a rod (px)."""
    coverage: Range = (0.03, 0.3)
    """Sum of the rods' areas over that of the field; in the logarithm."""
    max_rods: int = 150
    """No scene has more."""
    end_on_fraction: float = 0.25
    """Share of scenes in which some rods stand on end."""
    neighbor_fraction: float = 0.3
    """Share of scenes with cubes and spheres among the rods, which are no instances."""
    diffracting_fraction: float = 0.5
    """Share of bright-field scenes with diffraction contrast between and inside rods."""
    contrast_to_noise: Range = (2.0, 20.0)
    """Contrast of a rod over the noise of a pixel; in the logarithm."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.check_weights(
            {"imaging": IMAGING, "arrangements": ARRANGEMENTS, "profiles": PROFILES, "supports": SUPPORTS}
        )
        if self.aspect[0] < 1:
            raise SettingsError(f"aspect must be at least 1, got {self.aspect!r}")


@dataclass(frozen=True, kw_only=True)
class VesicleRanges(SceneRanges):
    """Ranges that scenes of vesicles are drawn from, after the images of Zhong et al., Microsc. Microanal. 2021."""

    supports: Mapping[str, float] = _weights(carbon=0.5, thick=0.35, wrinkled=0.15)
    """Support → weight."""
    n_large: Range = (2, 24)
    """Number of large vesicles."""
    n_small: Range = (8, 90)
    """Number of small, dark vesicles."""
    n_holes: Range = (3, 28)
    """Number of bright holes."""
    large_diameter_px: Range = (34.0, 170.0)
    """Equivalent diameter of a large vesicle (px); the median of a scene is drawn in the logarithm."""
    small_diameter_px: Range = (6.0, 20.0)
    """Diameter of a small vesicle (px)."""
    hole_diameter_px: Range = (6.0, 22.0)
    """Diameter of a hole (px)."""
    interior_contrast: Range = (0.01, 0.09)
    """By how much a large vesicle is lighter than what is around it, relative to that."""
    membrane_contrast: Range = (0.04, 0.16)
    """Contrast of the membrane of a large vesicle; in the logarithm."""
    small_contrast: Range = (0.08, 0.4)
    """By how much small vesicles are darker; in the logarithm."""
    hole_contrast: Range = (0.1, 0.4)
    """By how much holes are lighter; in the logarithm."""
    electrons_per_px: Range = (30.0, 3000.0)
    """Mean electrons per pixel; in the logarithm."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.check_weights({"supports": SUPPORTS})
