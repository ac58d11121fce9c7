"""What is varied from one contrast-regime micrograph to the next, and how far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.contrast.arrangement import ARRANGEMENTS
from hrtem_dask.simulation.contrast.interiors import INTERIORS
from hrtem_dask.simulation.contrast.shapes import SHAPES
from hrtem_dask.simulation.contrast.supports import SUPPORTS
from hrtem_dask.simulation.ranges import Range, TomlRanges

__all__ = ["ContrastRanges"]

POSITIVE = (
    "pixel_size_nm", "median_diameter_px", "diameter_limits_px", "diameter_spread", "coverage", "aspect",
    "optical_depth", "blur_px", "texture_contrast", "texture_grain_px", "electrons_per_px", "gamma", "jpeg_quality",
)  # fmt: skip


def _weights(**weights: float) -> Any:
    """Return a field of weights."""
    return field(default_factory=lambda: dict(weights))


@dataclass(frozen=True, kw_only=True)
class ContrastRanges(TomlRanges):
    """Ranges that each micrograph's conditions are drawn from; a pair is from and to."""

    size_px: int = 512
    """Height and width of a micrograph (px)."""
    pixel_size_nm: Range = (0.1, 5.0)
    """Pixel size (nm), for information; in the logarithm."""
    shapes: Mapping[str, float] = _weights(
        sphere=0.24, ellipsoid=0.1, rod=0.07, flat_rod=0.04, cube=0.05, rounded_cube=0.06, triangle=0.04, hexagon=0.04,
        disk=0.02, polygon=0.06, blob=0.07, rough=0.07, core_shell=0.06, hollow=0.04, octahedron=0.04, faceted=0.06,
    )  # fmt: skip
    """Shape → weight; a micrograph has one leading shape, some a second one."""
    arrangements: Mapping[str, float] = _weights(
        isolated=0.3, overlapping=0.16, agglomerates=0.22, rafts=0.18, monolayer=0.14
    )
    """Arrangement → weight."""
    interiors: Mapping[str, float] = _weights(
        plain=0.36, mottled=0.2, grains=0.1, bend=0.12, fringes=0.08, twin=0.06, porous=0.08
    )
    """What particles look like inside → weight; a micrograph has one leading kind."""
    supports: Mapping[str, float] = _weights(
        carbon=0.45, graphene=0.1, lacey=0.08, holey=0.08, thick=0.1, wrinkled=0.09, vacuum=0.1
    )
    """Support → weight."""
    empty_fraction: float = 0.1
    """Share of micrographs without a particle."""
    coverage: Range = (0.015, 0.85)
    """Share of the field to be covered (aimed at); in the logarithm, a monolayer takes at least 0.4."""
    max_particles: int = 400
    """No micrograph has more."""
    median_diameter_px: Range = (8.0, 150.0)
    """Median equivalent diameter of a micrograph (px); in the logarithm."""
    diameter_spread: Range = (0.05, 0.6)
    """Standard deviation of the diameter's logarithm; in the logarithm."""
    diameter_limits_px: Range = (8.0, 300.0)
    """No equivalent diameter is smaller or larger (px)."""
    bimodal_fraction: float = 0.12
    """Share of micrographs with a second, smaller population."""
    gap_px: Range = (0.0, 3.0)
    """Gap between touching particles (px)."""
    aspect: Range = (1.2, 8.0)
    """Length of rods over their width; in the logarithm."""
    optical_depth: Range = (0.06, 2.5)
    """−ln of the intensity behind a particle of median size; in the logarithm."""
    diffraction_spread: Range = (0.0, 0.5)
    """Standard deviation of the logarithm of the particles' diffraction contrast."""
    diffracting_fraction: float = 0.25
    """Share of micrographs where some particles are much darker or lighter than others."""
    phase_per_depth: Range = (0.1, 1.5)
    """Phase shift (rad) per optical depth of 1."""
    fresnel_px: Range = (0.0, 3.5)
    """√(wavelength × defocus), which scales Fresnel fringes (px)."""
    overfocus_fraction: float = 0.25
    """Share of micrographs whose defocus is turned."""
    propagator_fraction: float = 0.3
    """Share imaged by the full Fresnel propagator, the others by its linear form."""
    astigmatism: Range = (0.0, 0.4)
    """Defocus's change over the direction, relative to it."""
    blur_px: Range = (0.35, 2.2)
    """Standard deviation of the lens's blur (px); in the logarithm."""
    drift_px: Range = (0.0, 2.5)
    """Way of the specimen during the exposure (px)."""
    texture_contrast: Range = (0.004, 0.12)
    """Standard deviation of the support's contrast; in the logarithm."""
    texture_grain_px: Range = (1.2, 16.0)
    """Grain size of its texture (px); in the logarithm."""
    contaminated_fraction: float = 0.3
    """Share of micrographs with patches, stains or drying rings."""
    ligand_fraction: float = 0.2
    """Share with a faint organic shell around the particles, which is not particle."""
    dirt_fraction: float = 0.25
    """Share with dirt specks, smaller than any particle."""
    gradient: Range = (0.0, 0.45)
    """Change of the illumination across the field over its mean."""
    vignette: Range = (0.0, 0.45)
    """Loss of illumination at the corners; half of the micrographs have none."""
    electrons_per_px: Range = (6.0, 4000.0)
    """Mean electrons per pixel; in the logarithm."""
    readout_noise: Range = (0.0, 0.03)
    """Standard deviation of the readout noise over the mean."""
    mtf_px: Range = (0.0, 0.9)
    """Standard deviation of the camera's blur, of image and noise (px)."""
    n_spikes: Range = (0, 6)
    """X-ray spikes; half of the micrographs have none."""
    bright_fraction: float = 0.18
    """Share with bright particles on a dark support."""
    scanned_fraction: float = 0.5
    """Share of those with scan streaks."""
    relief_fraction: float = 0.05
    """Share with a one-sided shading of the particles."""
    eight_bit_fraction: float = 0.7
    """Share saved in 8 bits, stretched and sometimes compressed."""
    jpeg_fraction: float = 0.4
    """Share of those with JPEG artefacts."""
    jpeg_quality: Range = (30, 95)
    """JPEG quality."""
    sharpened_fraction: float = 0.15
    """Share of those with the halo of an unsharp mask."""
    gamma: Range = (0.65, 1.5)
    """Exponent of the stretch; half of them have 1."""
    saturated_fraction: float = 0.12
    """Share of those stretched until dark or bright parts are cut off."""
    annotated_fraction: float = 0.5
    """Share with burnt-in bars, text, letters, arrows or strips."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        self.check_values(positive=POSITIVE)
        if self.coverage[1] > 0.9:
            raise SettingsError(f"coverage must be at most 0.9, got {self.coverage!r}")
        if not 1 <= self.jpeg_quality[0] <= self.jpeg_quality[1] <= 100:
            raise SettingsError(f"jpeg_quality must be from 1 to 100, got {self.jpeg_quality!r}")
        self.check_weights(
            {"shapes": SHAPES, "arrangements": ARRANGEMENTS, "interiors": INTERIORS, "supports": SUPPORTS}
        )
