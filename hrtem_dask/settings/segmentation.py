"""Settings of segmentation: how particles are separated from the support."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Literal, get_args

from hrtem_dask.errors import SettingsError
from hrtem_dask.settings.detection import DETECTION_METHODS, DetectionMethod
from hrtem_dask.settings.ranges import require

BUNDLED_MODEL = "models/unet.safetensors"
"""The U-Net that comes with the package; ``models/unet.md`` describes its training and its scores."""
BUNDLED_DETECTORS = {"rotated_rcnn": "models/rods.safetensors", "mask_rcnn": "models/vesicles.safetensors"}
"""Method → the detector that comes with the package."""
Precision = Literal["float32", "bfloat16"]
"""Numbers that a network computes with."""
Regime = Literal["auto", "lattice", "contrast"]
"""How the scale at which a network sees a micrograph is found."""


@dataclass(frozen=True, kw_only=True)
class SegmentationSettings:
    """How particles are separated from the support."""

    method: Literal["otsu", "fourier", "unet", "rotated_rcnn", "mask_rcnn"] | None = None
    """Otsu's threshold, Fourier filtering by an annulus, or a U-Net, which is the default; or a detector of instances
    that may overlap, see `DetectionSettings`."""
    model: str | None = None
    """Path of the weights of the U-Net (``.safetensors``, or the paper's Keras ``.h5``) or of the detector; None takes
    the bundled model."""
    threshold: float = 0.5
    """A pixel whose particle probability is at least this is particle (U-Net)."""
    model_pixel_size_nm: float | None = None
    """Pixel size (nm) that the U-Net sees; None takes the model's own, and where it states none the micrograph's."""
    regime: Regime = "auto"
    """How the U-Net finds its scale. ``"lattice"``: from the pixel size. ``"contrast"``: from the micrograph itself, by
    looking at it at several scales. ``"auto"``: lattice up to 0.1 nm per pixel; contrast above, and where the pixel
    size is not known; networks that cannot predict the quality of their masks see such micrographs unscaled."""
    diameter_nm: float | None = None
    """Typical particle diameter (nm): sets the scale in the contrast regime; None finds it."""
    diameter_px: float | None = None
    """The same in pixels of the micrograph."""
    precision: Precision = "float32"
    """``"bfloat16"`` takes about two thirds of the time of the U-Net on CPUs with AMX; of the bundled one, less than
    0.05 % of the pixels of masks change."""
    predict_quality: bool = True
    """Guess each mask's Dice coefficient, where the U-Net's file holds a calibration."""
    mask_agreement: bool = False
    """With that, compare the masks of the image turned and mirrored: three more passes of the network over up to
    512² px, which hardly improve the guess."""
    particles_are: Literal["dark", "bright", "auto"] = "auto"
    """Dark in bright-field TEM, bright in HAADF-STEM; ``"auto"`` is bright where the file names a dark-field detector,
    or STEM without a detector, else dark. It is the side of Otsu's threshold that is particle; the U-Net sees the
    image of bright ones inverted. The Fourier filter sees no difference."""
    otsu_sigma_nm: float = 0.0
    """Gaussian smoothing before Otsu's threshold (nm)."""
    annulus_per_nm: tuple[float, float] = (2.4, 6.0)
    """Spatial frequencies of the lattice that the Fourier filter keeps (1/nm); 2.4–6.0 is 0.42–0.17 nm."""
    fourier_sigma_nm: float = 0.8
    """Gaussian smoothing (nm) of the squared Fourier-filtered image; Otsu's threshold is applied to its root."""
    annulus_per_px: tuple[float, float] | None = None
    """Annulus in cycles per pixel instead, the same for every pixel size, as the paper's; None takes the other one."""
    fourier_sigma_px: float = 20.0
    """With it, the smoothing in px."""
    fourier_min_contrast: float = 1.05
    """That threshold over the lower quartile below which a field holds no crystal."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.model is not None and self.method in {"otsu", "fourier"}:
            raise SettingsError(
                f'segmentation.model is named, but method = "{self.method}" uses none: drop one of them'
            )
        require("segmentation.threshold", self.threshold, 0, 1)
        if self.regime not in get_args(Regime):
            raise SettingsError(f"segmentation.regime must be one of {get_args(Regime)}, got {self.regime!r}")
        if self.precision not in get_args(Precision):
            raise SettingsError(f"segmentation.precision must be one of {get_args(Precision)}, got {self.precision!r}")
        for name in ("diameter_nm", "diameter_px"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"segmentation.{name} must be above 0, got {value:g}")
        if self.diameter_nm is not None and self.diameter_px is not None:
            raise SettingsError("give one of segmentation.diameter_nm and segmentation.diameter_px, not both")
        if self.method in DETECTION_METHODS and (self.diameter_nm is not None or self.diameter_px is not None):
            raise SettingsError(
                f'segmentation.diameter_nm and diameter_px are for the U-Net, and method = "{self.method}" uses none: '
                "leave it out, or state the detector's scale with --scale (detection.scale; 1 = pixels as they are)"
            )

    @property
    def chosen_method(self) -> Literal["otsu", "fourier", "unet"] | DetectionMethod:
        """The method, decided."""
        return self.method or "unet"

    @property
    def model_file(self) -> str | None:
        """Where the weights of U-Net or detector are on this machine; None for the other methods."""
        bundled = {"unet": BUNDLED_MODEL, **BUNDLED_DETECTORS}.get(self.chosen_method)
        if bundled is None:
            return None
        return self.model or str(resources.files("hrtem_dask").joinpath(bundled))
