"""Score a network on labeled micrographs, through the code that a run uses.

A network is scored as a user meets it: the scale is found as in inference, and the score is that of the labels after
`analysis.label`, not that of the network's mask.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from hrtem_dask import analysis
from hrtem_dask.evaluation import dice
from hrtem_dask.segmentation.interface import Segmentation
from hrtem_dask.segmentation.unet_segmenter import UNetSegmenter
from hrtem_dask.settings import Settings
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph

__all__ = ["PROPERTIES", "network_settings", "score_network"]

PROPERTIES = ("pixel_size_nm", "sharpness", "mass_contrast", "peak_snr")
"""Properties of a micrograph from which `DiceModel.distance_from_training` is computed."""
COLUMNS = ("group", "regime", "scale", "dice", "mask_dice", "false_share", "predicted_dice")


def network_settings(
    model: str | Path, *, diameter_nm: float | None = None, diameter_px: float | None = None, device: str = "cpu"
) -> Settings:
    """Return the settings of a run with a network.

    Parameters
    ----------
    model : str or path-like
        Model file of the network.
    diameter_nm, diameter_px : float, optional
        Typical diameter of the particles (nm, or px of the micrograph), which sets the scale in the contrast regime;
        by default the scale is found from the micrograph.
    device : {"cpu", "cuda"}
        Device of the computation.

    Returns
    -------
    Settings
        All others are those of a run.
    """
    segmentation = {"method": "unet", "model": str(model), "diameter_nm": diameter_nm, "diameter_px": diameter_px}
    # torch, because OpenVINO would compile every network for every shape of image
    return Settings().updated({"segmentation": segmentation, "execution": {"device": device, "engine": "torch"}})


def score_network(micrographs: Iterable[Labelled], settings: Settings) -> pd.DataFrame:
    """Segment labeled micrographs and compare the labels with the truth.

    Parameters
    ----------
    micrographs : iterable of Labelled
        Micrographs to score; pixels whose mask is not known are left out.
    settings : Settings
        From `network_settings`.

    Returns
    -------
    pandas.DataFrame
        One row per micrograph, indexed by micrograph_id: ``group``; ``regime`` and ``scale`` (network pixels per pixel)
        that inference chose; ``dice``, NaN if there is no particle; ``mask_dice``, the same, but for a micrograph
        without particles 1 if none is found and 0 otherwise, as in the calibration of the predicted coefficient;
        ``false_share``, share of the area that is falsely found; ``predicted_dice``, NaN without a calibration; and the
        terms and properties of that prediction, NaN where they are not known.
    """
    segmenter = UNetSegmenter(settings.segmentation, settings.execution)
    rows: dict[str, dict[str, object]] = {}
    for one in micrographs:
        micrograph = one.read()
        segmentation = analysis.segment(micrograph.image, segmenter, pixel_size_nm=micrograph.pixel_size_nm)
        rows[one.micrograph_id] = {
            "group": one.group,
            "regime": segmentation.regime,
            "scale": segmentation.scale,
            **_compared(micrograph, segmentation, settings),
            **_predicted(micrograph, segmentation, segmenter, settings),
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.reindex(columns=[*COLUMNS, *(c for c in table if c not in COLUMNS)])


def _compared(micrograph: LabelledMicrograph, segmentation: Segmentation, settings: Settings) -> dict[str, float]:
    """Return the scores of the labels of one micrograph."""
    recorded = micrograph.image if micrograph.recorded is None else micrograph.recorded
    found = analysis.label(recorded, segmentation, settings, pixel_size_nm=micrograph.pixel_size_nm).labels > 0
    truth = micrograph.mask
    if micrograph.valid is not None:
        found, truth = found[micrograph.valid], truth[micrograph.valid]
    score = dice(found, truth)
    return {
        "dice": score,
        "mask_dice": float(not found.any()) if np.isnan(score) else score,
        "false_share": float((found & ~truth).mean()) if truth.size else float("nan"),
    }


def _predicted(
    micrograph: LabelledMicrograph, segmentation: Segmentation, segmenter: UNetSegmenter, settings: Settings
) -> dict[str, float]:
    """Return the predicted Dice coefficient with its terms and properties."""
    dice_model = segmenter.contrast_dice_model if segmentation.regime == "contrast" else segmenter.dice_model
    terms = segmentation.quality_terms
    if dice_model is None or terms is None:
        return {"predicted_dice": float("nan")}
    properties = dict.fromkeys(PROPERTIES, float("nan"))
    if "distance_from_training" in dice_model.coefficients and micrograph.recorded is not None:
        size = micrograph.pixel_size_nm
        metrics, _ = analysis.judge_quality(micrograph.recorded, settings, pixel_size_nm=size)
        known = {**metrics, "pixel_size_nm": None if size is None else float(np.mean(size))}
        properties |= {name: float(known[name]) for name in PROPERTIES if known.get(name) is not None}
    return {"predicted_dice": dice_model.predict(terms, properties), **terms, **properties}
