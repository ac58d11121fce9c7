"""Settings: one frozen dataclass per stage, read from and written to TOML.

Every length and frequency carries its unit in its name. What decides the result is hashed
(`Settings.science_hash`); what only decides how fast it comes (device, engine, tiles) is kept apart in
`ExecutionSettings` and is not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal, Self, get_args

from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.detection_settings import DETECTION_METHODS, DetectionMethod, DetectionSettings
from hrtem_dask.errors import SettingsError
from hrtem_dask.provenance import record_hash
from hrtem_dask.toml_records import parse_toml, read_record, record_to_toml, update_record

BUNDLED_MODEL = "models/unet.safetensors"
"""The U-Net that comes with the package; ``models/unet.md`` describes its training and its scores."""
BUNDLED_DETECTORS = {"rotated_rcnn": "models/rods.safetensors", "mask_rcnn": "models/vesicles.safetensors"}
"""Method → the detector that comes with the package."""
BUNDLED_DEFECT_MODEL = "models/defects.safetensors"
"""The forest that comes with the package; see ``models/defects.md``."""


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
        _require("segmentation.threshold", self.threshold, 0, 1)
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
            _require(f"particles.{name}", getattr(self, name), 0)
        _require("particles.split_min_confidence", self.split_min_confidence, 0, 1)

    @property
    def counting_limit(self) -> str:
        """The area below which particles are not counted, in words."""
        return f"{self.min_area_px} px ({self.min_area_nm2:g} nm² where that is larger)"


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


@dataclass(frozen=True, kw_only=True)
class DefectSettings:
    """How regions are classified."""

    classify: bool = True
    """Classify regions and find stacking faults, where a lattice can be seen: pixels of at most 0.1 nm."""
    model: str | None = None
    """Path of the forest (`hrtem-dask train defects`); None takes the bundled one."""
    unsure_below: float | None = None
    """A region whose likeliest class is less probable than this is unsure, 0 to 1; None takes the model's own."""
    min_exclusion_probability: float = 0.9
    """A particle whose region is no_particle, or an agglomeration that was not split, with at least this probability,
    is not counted; above 1 none is left out for its class."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.unsure_below is not None:
            _require("defects.unsure_below", self.unsure_below, 0, 1)
        _require("defects.min_exclusion_probability", self.min_exclusion_probability, 0)

    @property
    def model_file(self) -> str | None:
        """Where the forest is on this machine; None where nothing is to be classified."""
        if not self.classify:
            return None
        return self.model or str(resources.files("hrtem_dask").joinpath(BUNDLED_DEFECT_MODEL))


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


@dataclass(frozen=True, kw_only=True)
class ExecutionSettings:
    """What decides how fast results come and what else is written, not what they are."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where images are processed."""
    engine: Literal["auto", "openvino", "torch"] = "auto"
    """What runs the U-Net on a CPU."""
    tile_px: int = 2048
    """Tile of the U-Net for images larger than `whole_px` on a side."""
    whole_px: int = 4096
    """Images up to this side go through the U-Net whole."""
    overlays: Literal["sample", "all", "none"] = "sample"
    """For which micrographs an overlay picture is written."""
    group_megapixels: float = 4.0
    """Small micrographs are grouped into tasks of about this size."""
    timeout_per_file_s: float | None = None
    """A micrograph that takes longer (s) is ended with its worker, and failed; None sets no limit."""
    memory_plan: Literal["refuse", "warn"] = "refuse"
    """What happens if a micrograph is planned to need more memory than a worker has."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        _require("execution.tile_px", self.tile_px, 16)
        _require("execution.group_megapixels", self.group_megapixels, 0)
        if self.timeout_per_file_s is not None and not self.timeout_per_file_s > 0:
            raise SettingsError(
                f"execution.timeout_per_file_s must be above 0, got {self.timeout_per_file_s:g}: leave it out for no "
                "limit"
            )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a run.

    Examples
    --------
    >>> from hrtem_dask import Settings
    >>> settings = Settings().updated({"segmentation": {"method": "otsu"}, "fourier": {"material": "Au"}})
    >>> settings.segmentation.method, settings.fourier.material, settings.particles.min_area_px
    ('otsu', 'Au', 100)
    """

    loading: LoadingSettings = field(default_factory=LoadingSettings)
    filtering: FilteringSettings = field(default_factory=FilteringSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    particles: ParticleSettings = field(default_factory=ParticleSettings)
    fourier: FourierSettings = field(default_factory=FourierSettings)
    defects: DefectSettings = field(default_factory=DefectSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    cluster: Cluster = field(default_factory=Cluster)
    """Where tasks run; not written to ``run.toml``."""

    def science_hash(self) -> str:
        """Return a hash of every setting that decides what is found on a micrograph.

        Returns
        -------
        str
            16 hexadecimal digits. Left out is what the ledger holds for each micrograph (pixel size, content of
            models and flat field) and what is decided when a run ends (duplicates).
        """
        science = {k: v for k, v in dataclasses.asdict(self).items() if k not in {"execution", "loading", "cluster"}}
        science["segmentation"] |= {"model": None, "method": self.segmentation.chosen_method}
        if self.segmentation.chosen_method not in DETECTION_METHODS:
            del science["detection"]  # not used: the hashes of earlier runs stay
        if self.fourier.lattice:
            del science["fourier"]["lattice"]  # as it was before there was a choice
        science["defects"] |= {"model": None}
        science["filtering"] |= {"flat_field": None}
        science["quality"] |= {"set_aside": sorted(set(self.quality.set_aside) - {"duplicate"})}
        return record_hash(science)

    def to_toml(self) -> str:
        """Write the settings as TOML, one table per stage.

        Returns
        -------
        str
            TOML text. TOML has no null: settings that are None are left out, which reads back as None.

        Examples
        --------
        >>> print(Settings().to_toml()[:63])
        [loading]
        pixels = false
        plausible_pixel_size_nm = [
            0.001,
        """
        return record_to_toml(self)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        r"""Read settings from TOML.

        Parameters
        ----------
        text : str
            TOML with a table per stage; settings that it does not name keep their defaults.

        Returns
        -------
        Settings
            The settings.

        Raises
        ------
        SettingsError
            If a stage or a setting is unknown, or a value has the wrong type.

        Examples
        --------
        >>> Settings.from_toml("[particles]\nmin_area_px = 50").particles.min_area_px
        50
        """
        values = parse_toml(text, "the settings")
        tables = values.get("settings", values)
        if not isinstance(tables, dict):
            raise SettingsError(f"settings must be a table, got {tables!r}: write [settings.particles] and so on")
        return cls().updated(tables)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read settings from a TOML file.

        Parameters
        ----------
        path : str or path-like
            The file. The ``run.toml`` of a finished run gives the settings of that run.

        Returns
        -------
        Settings
            The settings.

        Raises
        ------
        SettingsError
            If the file cannot be read, or as in `from_toml`; the message names the file.
        """
        return read_record(path, cls.from_toml, "the settings")

    def updated(self, tables: Mapping[str, Mapping[str, object]]) -> Self:
        """Return a copy with some settings changed.

        Parameters
        ----------
        tables : mapping
            Stage name → setting name → value.

        Returns
        -------
        Settings
            The copy.

        Raises
        ------
        SettingsError
            If a stage or a setting is unknown, or a value has the wrong type.

        Examples
        --------
        >>> Settings().updated({"segmentation": {"method": "otsu"}}).segmentation.chosen_method
        'otsu'
        """
        return update_record(self, tables)


def _require(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Refuse a value outside its range; NaN is outside every range."""
    if not low <= value <= high:
        limit = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise SettingsError(f"{name} must be {limit}, got {value!r}")
