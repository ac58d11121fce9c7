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
from hrtem_dask.training.network.dice_model_fit import dice_model_errors, fit_dice_model

__all__ = ["calibrate_dice_model", "calibration_table"]

SOURCES = ("pixel_size_nm", "sharpness", "mass_contrast", "peak_snr")
"""Properties of a micrograph from which `DiceModel.distance_from_training` is computed."""


def calibration_table(store: SimulatedStore, model: str | Path, *, settings: Settings | None = None) -> pd.DataFrame:
    """Segment the micrographs of a simulated store, and compare each mask with the truth.

    Parameters
    ----------
    store : SimulatedStore
        Store from `open_simulated`.
    model : str or path-like
        Model file of the network; it need not be calibrated.
    settings : Settings, optional
        Settings of filtering, segmentation (except for the model), particles and quality; by default those of a run.

    Returns
    -------
    pandas.DataFrame
        One row per micrograph, indexed by micrograph_id: the terms of the model, the properties of
        `DiceModel.distance_from_training`, and ``dice``, the true Dice coefficient, 0 to 1. Micrographs that are
        smaller than a block of the network are left out.
    """
    is_contrast = store.regime.name == "contrast"
    chosen = {"model": str(model), "method": "unet", "regime": store.regime.name}
    settings = (settings or Settings()).updated({"segmentation": chosen})
    segmenter = UNetSegmenter(settings.segmentation, settings.execution, judge_always=True)
    rows = []
    sizes = store.micrographs.set_index("micrograph_id")["pixel_size_nm"].astype(float)
    for name, pixel_size_nm in zip(map(str, sizes.index), sizes.to_numpy(), strict=True):
        # the scale of a contrast store is found from the images, as in a run over images without a pixel size
        size = None if is_contrast else (float(pixel_size_nm), float(pixel_size_nm))
        field = analysis.visible_field(store.image(name), settings)
        metrics, _ = analysis.judge_quality(field.image, settings, pixel_size_nm=size, outside=field.outside)
        prepared, _ = analysis.prepare(field.image, settings)
        segmentation = analysis.segment(prepared, segmenter, pixel_size_nm=size)
        if segmentation.quality_terms is None:  # smaller than a block of the network
            continue
        found = analysis.label(
            field.image, segmentation, settings, pixel_size_nm=size, marks=field.marks, outside=field.outside
        )
        true = store.labels(name) > 0
        score = dice(found.labels > 0, true) if true.any() else float(not found.labels.any())
        known = {} if size is None else {**metrics, "pixel_size_nm": size[0]}
        properties = {source: known.get(source, np.nan) for source in SOURCES}
        rows.append({"micrograph_id": name, **segmentation.quality_terms, **properties, "dice": score})
    columns = ["micrograph_id", *TERMS, *SOURCES, "dice"]
    return pd.DataFrame(rows, columns=[c for c in columns if c != "distance_from_training"]).set_index("micrograph_id")


def calibrate_dice_model(
    model: str | Path,
    stores: Iterable[SimulatedStore],
    *,
    familiar: Iterable[SimulatedStore],
    out: str | Path | None = None,
    settings: Settings | None = None,
) -> DiceModel:
    """Fit the prediction of the Dice coefficient, measure its errors, and write it into the model file.

    Parameters
    ----------
    model : str or path-like
        Model file of the network.
    stores : iterable of SimulatedStore
        Stores of one regime, which is that of the masks whose quality is predicted. Their micrographs were not used in
        training, and some are unlike the training data. In each store, every other micrograph, from the first one, is
        used for the fit, and the others for measuring the errors.
    familiar : iterable of SimulatedStore
        Micrographs like those of the training; they may be among `stores`.
    out : str or path-like, optional
        Safetensors file to write; by default `model` is replaced.
    settings : Settings, optional
        Settings of `calibration_table`. The agreement of masks is used only with `segmentation.mask_agreement`.

    Returns
    -------
    DiceModel
        The model as written, with its errors.

    Raises
    ------
    ModelError
        If `out` is not given for a model in the Keras format of the paper, which cannot contain a calibration.
    SettingsError
        If there are too few micrographs, or the stores are of different regimes.
    """
    if out is None and Path(model).suffix != ".safetensors":
        raise ModelError(f"{model} cannot contain a calibration: give a .safetensors file to write (out)")
    stores, familiar = list(stores), list(familiar)
    regimes = {store.regime.name for store in (*stores, *familiar)}
    if len(regimes) != 1:
        raise SettingsError(f"give stores of one regime, got {', '.join(sorted(regimes)) or 'none'}")
    cache: dict[str, pd.DataFrame] = {}

    def table_of(store: SimulatedStore) -> pd.DataFrame:
        if store.folder.url not in cache:
            cache[store.folder.url] = calibration_table(store, model, settings=settings)
        return cache[store.folder.url]

    tables = [table_of(store) for store in stores]
    # a run computes the agreement of masks only where the settings ask for it, because it takes several passes
    agreement = settings is not None and settings.segmentation.mask_agreement
    terms = [name for name in TERMS if agreement or name != "mask_agreement"]
    fitted = fit_dice_model(
        pd.concat([t.iloc[::2] for t in tables]), familiar=pd.concat([table_of(s) for s in familiar]), terms=terms
    )
    errors = dice_model_errors(fitted, pd.concat([t.iloc[1::2] for t in tables]))
    known = {name: value for name, value in errors.items() if np.isfinite(value)}  # JSON has no NaN
    calibrated = dataclasses.replace(fitted, errors=known)
    with_dice_model(
        model, calibrated, model if out is None else out, regime="contrast" if regimes == {"contrast"} else "lattice"
    )
    return calibrated
