"""The regime of a micrograph, and its scale: from the settings, the pixel size, or the image itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hrtem_dask.errors import CalibrationError
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.scales.geometry import scale_for_diameter, scaled_shape
from hrtem_dask.segmentation.scales.search import ScaleChoice, choose_scale
from hrtem_dask.settings import SegmentationSettings

__all__ = ["LATTICE_MAX_PIXEL_NM", "ScaleFinder"]

LATTICE_MAX_PIXEL_NM = 0.1
"""Pixels up to this size (nm) resolve lattice fringes."""


class ScaleFinder:
    """Decide between the lattice and the contrast regime, and find the scale in the contrast regime.

    Parameters
    ----------
    settings : SegmentationSettings
        Uses `regime`, `diameter_nm`, `diameter_px`, `threshold`.
    is_calibrated : bool
        Whether the network can predict the quality of its masks, as one can that was trained for both regimes.
    """

    def __init__(self, settings: SegmentationSettings, *, is_calibrated: bool) -> None:
        self._settings = settings
        self._is_calibrated = is_calibrated

    def find(
        self,
        image: np.ndarray,
        network: Callable[[np.ndarray], np.ndarray],
        config: UNetConfig,
        *,
        pixel_size_nm: PixelSize | None,
    ) -> ScaleChoice | None:
        """Find the scale for one micrograph.

        Parameters
        ----------
        image : numpy.ndarray or cupy.ndarray
            Shape (y, x), filtered and scaled to [0, 1], particles dark.
        network : callable
            From images of shape (n, y, x) to log-odds of the same shape.
        config : UNetConfig
            Scaling and stride of the network.
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Returns
        -------
        ScaleChoice or None
            The scale in the contrast regime; None in the lattice regime, where the pixel size decides.

        Raises
        ------
        CalibrationError
            If the diameter is given in nm and the pixel size is not known, or the pixels are far from square.
        """
        if not self.is_contrast(pixel_size_nm):
            return None
        diameter_px = self.expected_diameter_px(pixel_size_nm)
        if diameter_px is not None:
            return ScaleChoice(scale=scale_for_diameter(diameter_px), score=None, margin=None)
        square = resample(image, scaled_shape(image.shape, 1.0, pixel_size_nm=pixel_size_nm), method="bicubic")
        return choose_scale(
            square,
            network,
            scaling=config.input_scaling,
            threshold=self._settings.threshold,
        )

    def is_contrast(self, pixel_size_nm: PixelSize | None) -> bool:
        """Decide on the regime.

        Parameters
        ----------
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Returns
        -------
        bool
            Whether the scale is found from the image.
        """
        if self._settings.regime != "auto":
            return self._settings.regime == "contrast"
        if not self._is_calibrated:
            return False
        return pixel_size_nm is None or max(pixel_size_nm) > LATTICE_MAX_PIXEL_NM

    def expected_diameter_px(self, pixel_size_nm: PixelSize | None) -> float | None:
        """Return the diameter that the user expects.

        Parameters
        ----------
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Returns
        -------
        float or None
            Diameter in square pixels; None where the user states none.

        Raises
        ------
        CalibrationError
            If it is given in nm and the pixel size is not known.
        """
        if self._settings.diameter_nm is None:
            return self._settings.diameter_px
        if pixel_size_nm is None:
            raise CalibrationError(
                f"diameter_nm = {self._settings.diameter_nm:g} needs a pixel size, and the micrograph has none: give "
                "one (--pixel-size), or give the diameter in pixels (--diameter-px)"
            )
        return self._settings.diameter_nm / math.sqrt(pixel_size_nm[0] * pixel_size_nm[1])
