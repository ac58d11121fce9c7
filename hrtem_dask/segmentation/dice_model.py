"""How good a mask is, guessed without labels: a small calibrated model that travels with the network it judges.

A logistic curve over a few terms, each of which may only push the guess the way that it should: sure probabilities, a
large mask, and copies of the image, turned and mirrored, that give the same mask, push it up; blurred outlines and
images unlike those of training push it down. An empty mask is right or wrong: its guess is how often such were right.
`training.quality_fit` fits it on micrographs with known truth; it is kept as JSON in the header of the network's file.
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
"""Name → sign of its coefficient; the last one is dear, the others cost next to nothing."""
PROPERTIES: dict[str, float] = {"log_pixel_size": 0.1, "sharpness": 0.1, "log_mass_contrast": 0.5, "log_peak_snr": 0.5}
"""What is compared with the range in training → the least half-width of that range: beyond it all the same differ."""


@dataclass(frozen=True, kw_only=True)
class DiceModel:
    """From terms to the Dice coefficient that is to be expected."""

    intercept: float
    """Logit where every term is at its centre."""
    coefficients: Mapping[str, float]
    """Term → logit per unit of its scale; of the sign that `TERMS` gives."""
    centres: Mapping[str, float]
    """Term → its mean in the fit, of what `straightened` makes of it."""
    scales: Mapping[str, float]
    """Term → its standard deviation in the fit, likewise."""
    empty_dice: float
    """What is said of an empty mask: the share of them that were right in the fit."""
    ranges: Mapping[str, tuple[float, float]]
    """Property → from the 1st to the 99th percentile in training."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """How far off it was on micrographs that it was not fitted on: see `training.quality_fit`."""

    def predict(self, terms: Mapping[str, float], properties: Mapping[str, float | None]) -> float:
        """Guess the Dice coefficient of a mask.

        Parameters
        ----------
        terms : mapping
            From `agreement.judge_mask`; of these, the ones that it was fitted on.
        properties : mapping
            As `distance_from_training` takes it.

        Returns
        -------
        float
            0 to 1. Terms count up to four standard deviations from their mean: beyond, nothing was fitted.
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
        """Say how unlike the images of training an image is.

        Parameters
        ----------
        properties : mapping
            ``pixel_size_nm``, ``sharpness``, ``mass_contrast`` and ``peak_snr`` as the micrograph table has them;
            None or NaN where it is not known.

        Returns
        -------
        float
            0 where each lies within its range; else how far the worst lies outside, in half-widths of its range, at
            most 5. Pixel size, mass contrast and peak are compared by their logarithms.
        """
        worst = 0.0
        for name, value in comparable(properties).items():
            if name in self.ranges and math.isfinite(value):
                low, high = self.ranges[name]
                half = max((high - low) / 2, PROPERTIES[name])
                worst = max(worst, (low - value) / half, (value - high) / half)
        return min(5.0, worst)

    def to_json(self) -> str:
        """Write it as JSON.

        Returns
        -------
        str
            For the header of the network's file.
        """
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read it from JSON.

        Parameters
        ----------
        text : str
            As `to_json` writes it.

        Returns
        -------
        DiceModel
            The model.

        Raises
        ------
        ValueError
            If it is not whole, or has a term of which this version knows nothing.
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
            raise ValueError(f"the calibration of its quality is not whole: {error}") from error
        if unknown or not whole or not math.isfinite(model.intercept + model.empty_dice):
            raise ValueError(f"the calibration of its quality has unknown terms {unknown} or impossible numbers")
        return model


def straightened(name: str, value: float) -> float:
    """Return what of a term the logit depends on in a nearly straight line.

    Parameters
    ----------
    name : str
        Of `TERMS`.
    value : float
        The term.

    Returns
    -------
    float
        Log-odds of the shares near 1, logarithm of the mask's fraction, −ln(1 − entropy); cut off far out.
    """
    if name in ("mask_confidence", "mask_agreement"):
        share = min(1 - 1e-3, max(1e-3, value))
        return math.log(share / (1 - share))
    if name == "mask_fraction":
        return math.log(max(value, 1e-4))
    return -math.log(max(1 - value, 1e-4)) if name == "outline_entropy" else value


def comparable(properties: Mapping[str, float | None]) -> dict[str, float]:
    """Return the properties as they are compared with training.

    Parameters
    ----------
    properties : mapping
        As `DiceModel.distance_from_training` takes it.

    Returns
    -------
    dict
        Name of `PROPERTIES` → value, NaN where it is not known.
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
