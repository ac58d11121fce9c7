"""Calibrate the prediction of a network's own Dice coefficient, on micrographs with a known mask.

The predicted coefficient is that of the labels after `analysis.label`, which users get, and not that of the unprocessed
mask. The Dice coefficient of an empty micrograph is defined here as 1 if no particle is found and 0 otherwise, so that
false particles on empty carbon count as failures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from hrtem_dask import analysis
from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.evaluation import dice
from hrtem_dask.segmentation.quality.dice_model import TERMS, DiceModel
from hrtem_dask.segmentation.unet_segmenter import UNetSegmenter
from hrtem_dask.segmentation.weights import with_dice_model
from hrtem_dask.settings import Settings
from hrtem_dask.storage.simulated import SimulatedStore
from hrtem_dask.training.network.calibration_data import (
    CalibrationData,
    KnownMicrograph,
    simulated_calibration_data,
)
from hrtem_dask.training.network.dice_model_fit import dice_model_errors, fit_dice_model

__all__ = ["calibrate_dice_model", "calibration_table"]

SOURCES = ("pixel_size_nm", "sharpness", "mass_contrast", "peak_snr")
"""Properties of a micrograph from which `DiceModel.distance_from_training` is computed."""


def calibration_table(
    data: CalibrationData | SimulatedStore, model: str | Path, *, settings: Settings | None = None
) -> pd.DataFrame:
    """Segment micrographs with a known mask, and compare each mask with the truth.

    Parameters
    ----------
    data : CalibrationData or SimulatedStore
        Micrographs from `calibration_data`, or a store from `open_simulated`.
    model : str or path-like
        Model file of the network; it need not be calibrated.
    settings : Settings, optional
        Settings of filtering, segmentation (except for the model), particles and quality; by default those of a run.

    Returns
    -------
    pandas.DataFrame
        One row per micrograph, indexed by micrograph_id: the terms of the model, the properties of
        `DiceModel.distance_from_training`, ``dice``, the true Dice coefficient, 0 to 1, of the pixels whose mask is
        known, and ``fitted``, whether the micrograph is used in a fit (`CalibrationData.fitted_rows`). Micrographs that
        are smaller than a block of the network are left out.
    """
    data = _opened(data)
    settings = (settings or Settings()).updated(
        {"segmentation": {"model": str(model), "method": "unet", "regime": data.regime}}
    )
    segmenter = UNetSegmenter(settings.segmentation, settings.execution, judge_always=True)
    rows = []
    for (name, read), fitted in zip(data.micrographs.items(), data.fitted_rows().tolist(), strict=True):
        row = _row(read(), segmenter, settings)
        if row is not None:
            rows.append({"micrograph_id": name, **row, "fitted": fitted})
    columns = ["micrograph_id", *TERMS, *SOURCES, "dice", "fitted"]
    return pd.DataFrame(rows, columns=[c for c in columns if c != "distance_from_training"]).set_index("micrograph_id")


def _row(known: KnownMicrograph, segmenter: UNetSegmenter, settings: Settings) -> dict[str, float] | None:
    """Return the row of one micrograph; None if it is smaller than a block of the network."""
    size = known.pixel_size_nm
    field = analysis.visible_field(known.image, settings)
    metrics, _ = analysis.judge_quality(field.image, settings, pixel_size_nm=size, outside=field.outside)
    prepared, _ = analysis.prepare(field.image, settings)
    segmentation = analysis.segment(prepared, segmenter, pixel_size_nm=size)
    if segmentation.quality_terms is None:
        return None
    labels = analysis.label(
        field.image, segmentation, settings, pixel_size_nm=size, marks=field.marks, outside=field.outside
    ).labels
    found, true = labels > 0, known.mask
    if known.valid is not None:
        found, true = found[known.valid], true[known.valid]
    score = dice(found, true) if true.any() else float(not found.any())
    measured = {} if size is None else {**metrics, "pixel_size_nm": size[0]}
    properties = {source: measured.get(source, np.nan) for source in SOURCES}
    return {**segmentation.quality_terms, **properties, "dice": score}


def calibrate_dice_model(
    model: str | Path,
    sources: Iterable[CalibrationData | SimulatedStore],
    *,
    familiar: Iterable[CalibrationData | SimulatedStore],
    unseen: Iterable[CalibrationData | SimulatedStore] = (),
    out: str | Path | None = None,
    settings: Settings | None = None,
) -> DiceModel:
    """Fit the prediction of the Dice coefficient, measure its errors, and write it into the model file.

    Parameters
    ----------
    model : str or path-like
        Model file of the network.
    sources : iterable of CalibrationData or SimulatedStore
        Sources of one regime, which is that of the masks whose quality is predicted. Their micrographs were not used in
        training, and some are unlike the training data. In each source, every other micrograph (or group of patches),
        from the first one, is used for the fit, and the others for measuring the errors.
    familiar : iterable of CalibrationData or SimulatedStore
        Micrographs like those of the training; they may be among `sources`.
    unseen : iterable of CalibrationData or SimulatedStore
        Sources that are not used in the fit. Their errors are measured on all of their micrographs, each source apart.
    out : str or path-like, optional
        Safetensors file to write; by default `model` is replaced.
    settings : Settings, optional
        Settings of `calibration_table`. The agreement of masks is used only with `segmentation.mask_agreement`.

    Returns
    -------
    DiceModel
        The model as written, with its errors; those of an unseen source have its name in front.

    Raises
    ------
    ModelError
        If `out` is not given for a model in the Keras format of the paper, which cannot contain a calibration.
    SettingsError
        If there are too few micrographs, or the sources are of different regimes.
    """
    if out is None and Path(model).suffix != ".safetensors":
        raise ModelError(f"{model} cannot contain a calibration: give a .safetensors file to write (out)")
    parts = [[_opened(one) for one in part] for part in (sources, familiar, unseen)]
    regimes = {one.regime for part in parts for one in part}
    if len(regimes) != 1:
        raise SettingsError(f"give sources of one regime, got {', '.join(sorted(regimes)) or 'none'}")
    cache: dict[str, pd.DataFrame] = {}

    def table_of(data: CalibrationData) -> pd.DataFrame:
        if data.name not in cache:
            cache[data.name] = calibration_table(data, model, settings=settings)
        return cache[data.name]

    table = pd.concat([table_of(one) for one in parts[0]])
    # a run computes the agreement of masks only where the settings ask for it, because it takes several passes
    agreement = settings is not None and settings.segmentation.mask_agreement
    terms = [name for name in TERMS if agreement or name != "mask_agreement"]
    fitted = fit_dice_model(
        table[table["fitted"]], familiar=pd.concat([table_of(one) for one in parts[1]]), terms=terms
    )
    errors = dice_model_errors(fitted, table[~table["fitted"]])
    for one in parts[2]:
        of_source = dice_model_errors(fitted, table_of(one))
        errors |= {f"{Path(one.name).name}: {name}": value for name, value in of_source.items()}
    known = {name: value for name, value in errors.items() if np.isfinite(value)}  # JSON has no NaN
    calibrated = dataclasses.replace(fitted, errors=known)
    with_dice_model(model, calibrated, model if out is None else out, regime=regimes.pop())
    return calibrated


def _opened(source: CalibrationData | SimulatedStore) -> CalibrationData:
    """Return a source as its micrographs."""
    return simulated_calibration_data(source) if isinstance(source, SimulatedStore) else source
