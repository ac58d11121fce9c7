"""The two segmenters without a network, and the choice of a segmenter by the settings."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np

from hrtem_dask import backend
from hrtem_dask.errors import CalibrationError, SettingsError
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.interface import Segmentation, Segmenter
from hrtem_dask.segmentation.quality.dice_model import DiceModel
from hrtem_dask.segmentation.threshold import check_annulus, fourier_mask, fourier_mask_px, otsu_mask
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings

__all__ = ["FourierSegmenter", "OtsuSegmenter", "make_segmenter", "segmenter_loads"]


class _Baseline:
    """The parts that the two baselines have in common."""

    name = ""
    model_hash: str | None = None
    receptive_field_px: int | None = None
    dice_model: DiceModel | None = None
    contrast_dice_model: DiceModel | None = None

    def __init__(self, settings: SegmentationSettings) -> None:
        self._settings = settings

    @staticmethod
    def _segmentation(mask: np.ndarray) -> Segmentation:
        library = backend.array_namespace(mask)
        return Segmentation(
            probability=mask.astype(np.float32),
            mask=mask,
            engine=library.__name__,
            device="cpu" if library is np else "cuda",
        )

    def check_pixel_size(self, pixel_size_nm: PixelSize | None) -> None:
        """Raise CalibrationError if the segmenter cannot work with a pixel size."""


class OtsuSegmenter(_Baseline):  # numpydoc ignore=PR02
    """Segment by Otsu's threshold on the (smoothed) image.

    Parameters
    ----------
    settings : SegmentationSettings
        Uses `particles_are` and `otsu_sigma_nm`.
    """

    name = "otsu"

    def __call__(self, image: np.ndarray, *, pixel_size_nm: PixelSize | None) -> Segmentation:
        """Segment an image.

        Parameters
        ----------
        image : numpy.ndarray or cupy.ndarray
            Shape (y, x), scaled to [0, 1].
        pixel_size_nm : tuple of float or None
            (y, x) in nm; needed only for smoothing.

        Returns
        -------
        Segmentation
            Probability and mask.

        Raises
        ------
        CalibrationError
            If smoothing in nm is asked for and there is no pixel size.
        """
        self.check_pixel_size(pixel_size_nm)
        sigma_nm = self._settings.otsu_sigma_nm
        size = pixel_size_nm or (1.0, 1.0)  # without a pixel size sigma is 0, so the scale does not matter
        mask = otsu_mask(
            image,
            particles_are="bright" if self._settings.particles_are == "bright" else "dark",
            sigma_px=(sigma_nm / size[0], sigma_nm / size[1]),
        )
        return self._segmentation(mask)

    def check_pixel_size(self, pixel_size_nm: PixelSize | None) -> None:
        """Check that smoothing in nm is possible.

        Parameters
        ----------
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Raises
        ------
        CalibrationError
            If smoothing in nm is asked for and there is no pixel size.
        """
        sigma_nm = self._settings.otsu_sigma_nm
        if sigma_nm and pixel_size_nm is None:
            raise CalibrationError(
                f"otsu_sigma_nm={sigma_nm:g} needs a pixel size, the micrograph has none: "
                "give one (--pixel-size …), or set otsu_sigma_nm = 0"
            )


class FourierSegmenter(_Baseline):  # numpydoc ignore=PR02
    """Segment by Fourier filtering with an annulus around the frequencies of the lattice.

    Parameters
    ----------
    settings : SegmentationSettings
        Uses `annulus_per_nm` and `fourier_sigma_nm`, or `annulus_per_px` and `fourier_sigma_px`; and
        `fourier_min_contrast`.
    """

    name = "fourier"

    def __call__(self, image: np.ndarray, *, pixel_size_nm: PixelSize | None) -> Segmentation:
        """Segment an image.

        Parameters
        ----------
        image : numpy.ndarray or cupy.ndarray
            Shape (y, x), scaled to [0, 1].
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Returns
        -------
        Segmentation
            Probability and mask.

        Raises
        ------
        CalibrationError
            If the annulus is in 1/nm and there is no pixel size, or the pixels are too coarse for the lattice.
        """
        if self._settings.annulus_per_px is not None:
            return self._segmentation(
                fourier_mask_px(
                    image,
                    annulus_per_px=self._settings.annulus_per_px,
                    sigma_px=self._settings.fourier_sigma_px,
                    min_contrast=self._settings.fourier_min_contrast,
                )
            )
        mask = fourier_mask(
            image,
            pixel_size_nm=pixel_size_nm,
            annulus_per_nm=self._settings.annulus_per_nm,
            sigma_nm=self._settings.fourier_sigma_nm,
            min_contrast=self._settings.fourier_min_contrast,
        )
        return self._segmentation(mask)

    def check_pixel_size(self, pixel_size_nm: PixelSize | None) -> None:
        """Check that the lattice is resolved.

        Parameters
        ----------
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Raises
        ------
        CalibrationError
            If the annulus is in 1/nm and there is no pixel size, or the pixels are too coarse for the lattice.
        """
        if self._settings.annulus_per_px is None:
            check_annulus(self._settings.annulus_per_nm, self._settings.fourier_sigma_nm, pixel_size_nm)


_segmenters: dict[tuple[SegmentationSettings, ExecutionSettings, str], Segmenter] = {}
_KEPT = 4  # a worker needs one; a notebook that compares networks needs a few
_lock = threading.Lock()
_loads = 0


def segmenter_loads() -> int:
    """Return how often this process has loaded a network from disk.

    Returns
    -------
    int
        Number of loads: one per model and settings, however many micrographs were segmented.

    Examples
    --------
    >>> from hrtem_dask.segmentation import segmenter_loads
    >>> segmenter_loads() >= 0
    True
    """
    return _loads


def make_segmenter(segmentation: SegmentationSettings, execution: ExecutionSettings) -> Segmenter:
    """Return the segmenter that the settings select; a network is loaded once per process.

    Parameters
    ----------
    segmentation : SegmentationSettings
        Method, model and their parameters.
    execution : ExecutionSettings
        Device, engine and tiles.

    Returns
    -------
    Segmenter
        Callable with an image; the same object for the same settings and content of the model's file.

    Raises
    ------
    SettingsError
        If the method is a detector's.
    ModelError
        If the model cannot be read.

    Examples
    --------
    Otsu's threshold finds the dark particles of a simulated micrograph:

    >>> from hrtem_dask.filtering import prepare
    >>> from hrtem_dask.segmentation import make_segmenter
    >>> from hrtem_dask.settings import ExecutionSettings, SegmentationSettings
    >>> from hrtem_dask.simulation import SceneContrast, simulate_scene
    >>> scene = simulate_scene(seed=1, shape=(256, 256), n_particles=3, contrast=SceneContrast(carbon=0.01))
    >>> image, _ = prepare(scene.image)
    >>> settings = SegmentationSettings(method="otsu", otsu_sigma_nm=0.3)
    >>> segmenter = make_segmenter(settings, ExecutionSettings(device="cpu"))
    >>> result = segmenter(image, pixel_size_nm=(0.03, 0.03))
    >>> truth = scene.labels > 0
    >>> dice = 2 * (result.mask & truth).sum() / (result.mask.sum() + truth.sum())
    >>> bool(dice > 0.8)
    True
    """
    global _loads
    if segmentation.particles_are == "auto":  # the same network, whether the file states nothing or the user dark
        segmentation = replace(segmentation, particles_are="dark")
    method = segmentation.chosen_method
    if method == "otsu":
        return OtsuSegmenter(segmentation)
    if method == "fourier":
        return FourierSegmenter(segmentation)
    if method != "unet":
        raise SettingsError(
            f'method "{method}" finds instances, not a mask alone: use `hrtem-dask run`, or analysis.segmenters'
        )
    assert segmentation.model_file is not None
    # imported here because torch is slow to import and the baselines do without it
    from hrtem_dask.segmentation.unet_segmenter import UNetSegmenter
    from hrtem_dask.segmentation.weights import model_hash

    # overlays and grouping do not concern the network
    relevant = replace(ExecutionSettings(), device=execution.device, engine=execution.engine,
                       tile_px=execution.tile_px, whole_px=execution.whole_px)  # fmt: skip
    key = (segmentation, relevant, model_hash(segmentation.model_file))
    with _lock:
        if key not in _segmenters:
            _segmenters[key] = UNetSegmenter(segmentation, relevant)
            _loads += 1
            if len(_segmenters) > _KEPT:
                del _segmenters[next(iter(_segmenters))]
        return _segmenters[key]
