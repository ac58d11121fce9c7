"""Prediction of the Dice coefficient of a mask without labels, by a small model stored with the network.

The model is a logistic regression on a few terms, and the sign of each coefficient is fixed. Certain probabilities, a
large mask, and equal masks of rotated and mirrored copies of the image raise the prediction. Blurred outlines and
images unlike those of training lower it. An empty mask is either right or wrong, so its prediction is how often empty
masks were right. `training.network.dice_calibration` fits the model on micrographs with known truth. It is stored as
JSON in the header of the network's file.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

__all__ = ["PROPERTIES", "TERMS", "DiceModel"]

TERMS: dict[str, int] = {
    "mask_confidence": 1,
    "mask_fraction": 1,
    "outline_entropy": -1,
    "distance_from_training": -1,
    "mask_agreement": 1,
}
"""Name of a term → sign of its coefficient. The last one takes several passes of the network, the others are cheap."""
PROPERTIES: dict[str, float] = {"log_pixel_size": 0.1, "sharpness": 0.1, "log_mass_contrast": 0.5, "log_peak_snr": 0.5}
"""Property that is compared with its range in training → smallest half-width that this range is given."""
PIXEL_SIZE_TOLERANCE = 1.8
"""Factor by which a pixel size may lie outside of the range of training: 0.06 to 0.1 nm is segmented as well."""


@dataclass(frozen=True, kw_only=True)
class DiceModel:
    """Predict the Dice coefficient of a mask from its quality terms."""

    intercept: float
    """Logit where every term is at its mean."""
    coefficients: Mapping[str, float]
    """Term → logit per standard deviation of the term; its sign is that of `TERMS`."""
    centres: Mapping[str, float]
    """Term → its mean in the fit, after the transformation `straightened`."""
    scales: Mapping[str, float]
    """Term → its standard deviation in the fit, after the same transformation."""
    empty_dice: float
    """Prediction for an empty mask: the fraction of empty masks that were right in the fit, 0 to 1."""
    ranges: Mapping[str, tuple[float, float]]
    """Property → its 1st and 99th percentile in training."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """Errors of the prediction on micrographs left out of the fit: see `training.network.dice_calibration`."""

    def predict(self, terms: Mapping[str, float], properties: Mapping[str, float | None]) -> float:
        """Predict the Dice coefficient of a mask.

        Parameters
        ----------
        terms : mapping
            From `agreement.judge_mask`; it must hold the terms that the model was fitted on.
        properties : mapping
            Properties of the image, see `distance_from_training`.

        Returns
        -------
        float
            0 to 1. Terms are clipped at four standard deviations from their mean, because nothing was fitted beyond.

        Examples
        --------
        >>> from hrtem_dask.segmentation.quality.dice_model import DiceModel
        >>> one = {"mask_confidence": 1.0}
        >>> model = DiceModel(intercept=2.0, coefficients=one, centres=one, scales=one, empty_dice=0.9, ranges={})
        >>> sure = model.predict({"mask_confidence": 0.95, "mask_fraction": 0.1}, {})
        >>> unsure = model.predict({"mask_confidence": 0.7, "mask_fraction": 0.1}, {})
        >>> round(sure, 2), round(unsure, 2)
        (0.98, 0.86)
        """
        if terms["mask_fraction"] == 0:
            return self.empty_dice
        known = {**terms, "distance_from_training": self.distance_from_training(properties)}
        logit = self.intercept
        for name, coefficient in self.coefficients.items():
            z = (straightened(name, known[name]) - self.centres[name]) / self.scales[name]
            logit += coefficient * min(4.0, max(-4.0, z))
        return 1 / (1 + math.exp(min(30.0, -logit)))

    def distance_from_training(self, properties: Mapping[str, float | None]) -> float:
        """Return how far an image lies outside the range of the images in training.

        Parameters
        ----------
        properties : mapping
            ``pixel_size_nm``, ``sharpness``, ``mass_contrast`` and ``peak_snr`` as the micrograph table has them;
            None or NaN where a value is not known.

        Returns
        -------
        float
            0 where each property lies within its range; otherwise the largest distance of a property from its range, in
            half-widths of the range, at most 5. Pixel size, mass contrast and peak are compared by their logarithms.
        """
        worst = 0.0
        for name, value in comparable(properties).items():
            if name in self.ranges and math.isfinite(value):
                low, high = self.ranges[name]
                half = max((high - low) / 2, PROPERTIES[name])
                worst = max(worst, (low - value) / half, (value - high) / half)
        return min(5.0, worst)

    def has_seen_pixel_size(self, pixel_size_nm: float | None) -> bool | None:
        """Return whether a pixel size is near those of the images in training.

        Parameters
        ----------
        pixel_size_nm : float or None
            Pixel size (nm); None where it is not known.

        Returns
        -------
        bool or None
            Whether it lies within the range of training, widened by the factor `PIXEL_SIZE_TOLERANCE` at both ends. A
            pixel size that is not known does not. None where the images in training had no pixel size.

        Examples
        --------
        >>> from hrtem_dask.segmentation.quality.dice_model import DiceModel
        >>> parts = {"coefficients": {}, "centres": {}, "scales": {}, "ranges": {"log_pixel_size": (-3.9, -2.8)}}
        >>> model = DiceModel(intercept=0, empty_dice=0.5, **parts)  # 0.02 to 0.06 nm in training
        >>> model.has_seen_pixel_size(0.05), model.has_seen_pixel_size(0.5), model.has_seen_pixel_size(None)
        (True, False, False)
        """
        if "log_pixel_size" not in self.ranges:
            return None
        if pixel_size_nm is None:
            return False
        low, high = self.ranges["log_pixel_size"]
        tolerance = math.log(PIXEL_SIZE_TOLERANCE)
        return low - tolerance <= math.log(pixel_size_nm) <= high + tolerance

    def to_json(self) -> str:
        """Return the model as JSON.

        Returns
        -------
        str
            Text for the header of the network's file.
        """
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a model from JSON.

        Parameters
        ----------
        text : str
            Output of `to_json`.

        Returns
        -------
        DiceModel
            The model.

        Raises
        ------
        ValueError
            If the text is incomplete, or has a term that this version does not know.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["ranges"] = {name: (float(low), float(high)) for name, (low, high) in values["ranges"].items()}
            model = cls(**values)
            unknown = sorted(set(model.coefficients) - set(TERMS))
            whole = all(
                model.scales[n] > 0 and math.isfinite(c + model.centres[n]) for n, c in model.coefficients.items()
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the calibration of its quality is incomplete: {error}") from error
        if unknown or not whole or not math.isfinite(model.intercept + model.empty_dice):
            raise ValueError(f"the calibration of its quality has unknown terms {unknown} or impossible numbers")
        return model


def straightened(name: str, value: float) -> float:
    """Transform a term so that the logit depends on it almost linearly.

    Parameters
    ----------
    name : str
        Name of a term in `TERMS`.
    value : float
        Value of the term.

    Returns
    -------
    float
        Log-odds of the confidence and the agreement, logarithm of the mask's fraction, −ln(1 − entropy) of the
        outline's entropy, each clipped near its ends; other terms are returned unchanged.
    """
    if name in ("mask_confidence", "mask_agreement"):
        share = min(1 - 1e-3, max(1e-3, value))
        return math.log(share / (1 - share))
    if name == "mask_fraction":
        return math.log(max(value, 1e-4))
    return -math.log(max(1 - value, 1e-4)) if name == "outline_entropy" else value


def comparable(properties: Mapping[str, float | None]) -> dict[str, float]:
    """Return the properties in the form in which they are compared with training.

    Parameters
    ----------
    properties : mapping
        Input of `DiceModel.distance_from_training`.

    Returns
    -------
    dict
        Name in `PROPERTIES` → value, NaN where it is not known.
    """
    known = {n: math.nan if (v := properties.get(n)) is None else float(v) for n in _SOURCES.values()}
    return {
        name: (math.log(known[source]) if known[source] > 0 else math.nan) if name.startswith("log_") else known[source]
        for name, source in _SOURCES.items()
    }


_SOURCES = {
    "log_pixel_size": "pixel_size_nm",
    "sharpness": "sharpness",
    "log_mass_contrast": "mass_contrast",
    "log_peak_snr": "peak_snr",
}
