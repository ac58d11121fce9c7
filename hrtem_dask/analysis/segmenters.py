"""The segmenter or detector that the settings select."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrtem_dask import backend, segmentation
from hrtem_dask.errors import ModelError
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation import Segmentation, Segmenter
from hrtem_dask.segmentation.quality.dice_model import DiceModel
from hrtem_dask.settings import DETECTION_METHODS, Settings

if TYPE_CHECKING:
    from hrtem_dask.detection.detector import Detector

__all__ = ["DetectorSegmenter", "make_segmenter"]


class DetectorSegmenter:
    """A detector in the place of a segmenter: its mask is the union of the instances.

    Parameters
    ----------
    detector : Detector
        The detector.
    settings : Settings
        Of these, `detection`.
    """

    receptive_field_px: int | None = None
    dice_model: DiceModel | None = None
    contrast_dice_model: DiceModel | None = None

    def __init__(self, detector: Detector, settings: Settings) -> None:
        self.name = str(settings.segmentation.chosen_method)
        self.model_hash: str | None = detector.model_hash
        self._detector, self._settings = detector, settings.detection

    def __call__(self, image: np.ndarray, *, pixel_size_nm: PixelSize | None) -> Segmentation:  # noqa: ARG002
        """Find the instances of an image.

        Parameters
        ----------
        image : numpy.ndarray or cupy.ndarray
            Shape (y, x), scaled to [0, 1].
        pixel_size_nm : tuple of float or None
            Not used: the scale is found from the image, or stated in the settings.

        Returns
        -------
        Segmentation
            With instances, and the scale at which the detector saw the image; the probability of a pixel is the
            highest score of an instance there.
        """
        given, scale = self._settings, self._settings.scale
        pixels, tiles = backend.to_numpy(image), {"tile_px": given.tile_px, "overlap_px": given.overlap_px}
        if scale is None:
            found, scale = self._detector.at_found_scale(pixels, min_score=given.min_score, **tiles)
        else:
            found = self._detector(pixels, min_score=given.min_score, scale=scale, **tiles)
        probability = np.zeros(found.shape, dtype=np.float32)
        for i in np.argsort(found.scores, kind="stable"):
            assert found.masks is not None
            found.masks[i].paint(probability, float(found.scores[i]))
        return Segmentation(
            probability=probability,
            mask=probability > 0,
            scale=scale,
            instances=found,
            engine=self._detector.engine,
            device=self._detector.device,
        )

    def check_pixel_size(self, pixel_size_nm: PixelSize | None) -> None:
        """Accept every pixel size, and none.

        Parameters
        ----------
        pixel_size_nm : tuple of float or None
            (y, x) in nm.
        """


def make_segmenter(settings: Settings) -> Segmenter:
    """Return the segmenter or detector that the settings select; a network is loaded once per process.

    Parameters
    ----------
    settings : Settings
        Of these, `segmentation`, `detection` and `execution`.

    Returns
    -------
    Segmenter
        Callable with an image.

    Raises
    ------
    SettingsError
        If settings contradict each other or the model.
    ModelError
        If the model cannot be read, or torchvision is not installed.
    """
    method = settings.segmentation.chosen_method
    if method not in DETECTION_METHODS:
        return segmentation.make_segmenter(settings.segmentation, settings.execution)
    # imported here because torch is slow to import and the baselines do without it
    try:
        from hrtem_dask.detection.detector import make_detector
    except ModuleNotFoundError as error:
        raise ModelError(
            f'method "{method}" needs torchvision, which is not installed ({error}): pip install torchvision'
        ) from error

    assert settings.segmentation.model_file is not None
    device = backend.resolve_device(settings.execution.device)
    detector = make_detector(settings.segmentation.model_file, method, device=device, engine=settings.execution.engine)
    return DetectorSegmenter(detector, settings)
