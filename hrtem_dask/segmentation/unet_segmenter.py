"""The U-Net as a segmenter: at the model's pixel size, whole or by tiles, within the available memory."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hrtem_dask import backend
from hrtem_dask.errors import SettingsError
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.engines import Engine, make_engine
from hrtem_dask.segmentation.interface import Segmentation
from hrtem_dask.segmentation.memory import logits_within_memory
from hrtem_dask.segmentation.network_input import resampled_input
from hrtem_dask.segmentation.networks.output import sigmoid
from hrtem_dask.segmentation.quality.agreement import judge_mask
from hrtem_dask.segmentation.rescale import model_shape, resample
from hrtem_dask.segmentation.scales.finder import ScaleFinder
from hrtem_dask.segmentation.scales.geometry import scaled_shape
from hrtem_dask.segmentation.scales.search import ScaleChoice, scale_margin
from hrtem_dask.segmentation.weights import load_dice_model, load_weights, model_hash
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings

__all__ = ["UNetSegmenter"]


class UNetSegmenter:
    """Segment images with a trained U-Net.

    Parameters
    ----------
    segmentation : SegmentationSettings
        Uses `model`, `threshold`, `regime`, `diameter_nm`, `diameter_px`, `particles_are`, `model_pixel_size_nm`,
        `predict_quality`, `mask_agreement`.
    execution : ExecutionSettings
        Device, engine and tiles.
    judge_always : bool
        Whether to compute the quality terms of every mask even where the model has no calibration of its quality, in
        order to fit one.

    Raises
    ------
    ModelError
        If the model cannot be read.
    SettingsError
        If the threshold is not between 0 and 1.
    """

    name = "unet"

    def __init__(
        self, segmentation: SegmentationSettings, execution: ExecutionSettings, *, judge_always: bool = False
    ) -> None:
        if not 0 < segmentation.threshold < 1:
            raise SettingsError(f"need 0 < segmentation.threshold < 1, got {segmentation.threshold:g}")
        path = segmentation.model_file
        if path is None:
            raise SettingsError(f'segmentation.method is "{segmentation.method}": a U-Net needs "unet"')
        self._model = load_weights(path)
        self.model_hash: str | None = model_hash(path)
        self.config = self._model.config
        predictor = load_dice_model(path)
        self.dice_model = predictor if segmentation.predict_quality else None
        self.contrast_dice_model = load_dice_model(path, "contrast") if segmentation.predict_quality else None
        self._scale_finder = ScaleFinder(segmentation, is_calibrated=predictor is not None)
        self._judges = judge_always or self.dice_model is not None
        models = (self.dice_model, self.contrast_dice_model)
        needed = any(model is not None and "mask_agreement" in model.coefficients for model in models)
        self._turns = judge_always or segmentation.mask_agreement or needed
        self.receptive_field_px: int | None = self.config.receptive_field_px
        self.model_pixel_size_nm = segmentation.model_pixel_size_nm or self.config.pixel_size_nm
        self._threshold = segmentation.threshold
        self._inverted = segmentation.particles_are == "bright"
        self._execution = execution
        self._precision = segmentation.precision
        self._device = backend.resolve_device(execution.device)
        self._engines: dict[str, Engine] = {}

    def __call__(self, image: np.ndarray, *, pixel_size_nm: PixelSize | None) -> Segmentation:
        """Segment an image.

        Parameters
        ----------
        image : numpy.ndarray or cupy.ndarray
            Shape (y, x), filtered and scaled to [0, 1].
        pixel_size_nm : tuple of float or None
            (y, x) in nm; without a pixel size the network runs on native pixels.

        Returns
        -------
        Segmentation
            Probability and mask, in native pixels.

        Raises
        ------
        CalibrationError
            If a micrograph of the lattice regime is far coarser than the images that the network was trained on, or
            its pixels are far from square.
        MemoryError
            If the smallest tiles do not fit.
        """
        oriented = 1 - image if self._inverted else image
        choice = self._scale_finder.find(oriented, self._search_network, self.config, pixel_size_nm=pixel_size_nm)
        return self._segmented(oriented, choice, pixel_size_nm)

    def at_scale(
        self, image: np.ndarray, scale: float, scores: Mapping[float, float], *, pixel_size_nm: PixelSize | None
    ) -> Segmentation:
        """Segment an image of the contrast regime at another scale than the one that was found.

        Parameters
        ----------
        image : numpy.ndarray or cupy.ndarray
            Shape (y, x), filtered and scaled to [0, 1].
        scale : float
            Network pixels per pixel of the image, one of the keys of `scores`.
        scores : mapping of float to float
            `Segmentation.scale_scores` of the image.
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Returns
        -------
        Segmentation
            Probability and mask, in native pixels.

        Raises
        ------
        CalibrationError
            If the pixels are far from square.
        MemoryError
            If the smallest tiles do not fit.
        """
        choice = ScaleChoice(scale=scale, score=scores[scale], margin=scale_margin(scale, scores), scores=scores)
        return self._segmented(1 - image if self._inverted else image, choice, pixel_size_nm)

    def _segmented(
        self, oriented: np.ndarray, choice: ScaleChoice | None, pixel_size_nm: PixelSize | None
    ) -> Segmentation:
        """Segment an image with dark particles at a scale; None is the model's pixel size."""
        native = (int(oriented.shape[0]), int(oriented.shape[1]))
        if choice is None:
            shape = model_shape(native, pixel_size_nm=pixel_size_nm, model_pixel_size_nm=self.model_pixel_size_nm)
        else:
            shape = scaled_shape(native, choice.scale, pixel_size_nm=pixel_size_nm)
        network_image = resampled_input(oriented, shape, self.config.input_scaling)
        inference = logits_within_memory(
            network_image,
            self._engine,
            device=self._device,
            stride_px=self.config.total_stride_px,
            halo_px=self.config.halo_px,
            tile_px=None if max(network_image.shape) <= self._execution.whole_px else self._execution.tile_px,
        )
        probability = sigmoid(inference.logits)
        quality_terms = None
        if self._judges:
            engine = self._engine(inference.device)
            quality_terms = judge_mask(
                network_image,
                probability,
                engine,
                threshold=self._threshold,
                stride_px=self.config.total_stride_px,
                turn=self._turns,
            )
        # interpolation in float32 exceeds 1 by rounding errors
        probability = resample(probability, native, method="bilinear").clip(0, 1)
        return Segmentation(
            probability=probability,
            mask=probability >= self._threshold,
            regime="lattice" if choice is None else "contrast",
            scale=math.sqrt(shape[0] * shape[1] / (native[0] * native[1])),
            scale_score=None if choice is None else choice.score,
            scale_margin=None if choice is None else choice.margin,
            scale_scores={} if choice is None else choice.scores,
            seam_score=inference.seam_score,
            quality_terms=quality_terms,
            out_of_memory_steps=inference.out_of_memory_steps,
            engine=inference.engine,
            device=inference.device,
        )

    def check_pixel_size(self, pixel_size_nm: PixelSize | None) -> None:
        """Check that the network can be used at a pixel size.

        Parameters
        ----------
        pixel_size_nm : tuple of float or None
            (y, x) in nm.

        Raises
        ------
        CalibrationError
            If a micrograph of the lattice regime is far coarser than the images that the network was trained on, its
            pixels are far from square, or a diameter in nm is given and it has no pixel size.
        """
        if self._scale_finder.is_contrast(pixel_size_nm):
            self._scale_finder.expected_diameter_px(pixel_size_nm)
            scaled_shape((1, 1), 1.0, pixel_size_nm=pixel_size_nm)
        else:
            model_shape((1, 1), pixel_size_nm=pixel_size_nm, model_pixel_size_nm=self.model_pixel_size_nm)

    def _search_network(self, images: np.ndarray) -> np.ndarray:
        """Return the log-odds of the small images of the search for the scale."""
        return self._engine(self._device)(images)

    def _engine(self, device: str) -> Engine:
        """Return the engine for a device; it is created when it is first needed."""
        if device not in self._engines:
            self._engines[device] = make_engine(
                self._model, engine=self._execution.engine, device=device, precision=self._precision
            )
        return self._engines[device]
