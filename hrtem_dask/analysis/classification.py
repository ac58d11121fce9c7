"""Classes of regions, fault states of particles, and which particles no longer count because of their class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.analysis.region_features import (
    is_assessable,
    particle_features,
    region_features,
    shows_lattice,
)
from hrtem_dask.defects import DefectClassifier
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.find import Particles
from hrtem_dask.settings import Settings

__all__ = ["classify"]

FAULT_STATES = {"stacking_fault": "fault", "no_stacking_fault": "no_fault"}
"""Fault state by class; of other classes it is unknown, since a misoriented particle may be faulted."""
_PLANE = ["plane_trace_deg", "plane_offset_nm"]
_SINGLE = ("no_stacking_fault", "misoriented", "stacking_fault")
"""Classes of a single particle, and so of the part of a split region."""


def classify(
    image: np.ndarray,
    found: Particles,
    settings: Settings,
    classifier: DefectClassifier | None,
    *,
    pixel_size_nm: PixelSize | None,
) -> Particles:
    """Classify the regions of one micrograph, and decide which particles are faulted.

    `hrtem_dask.classify` gives these regions for every micrograph of a collection.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), float32: the prepared image.
    found : particles.Particles
        From `label`, with the lattice measured or not.
    settings : Settings
        Of these, `defects`, `particles` and ``segmentation.particles_are``.
    classifier : DefectClassifier or None
        None leaves regions as they were split, and every fault state unknown.
    pixel_size_nm : tuple of float or None
        (y, x) in nm. Where it is not known, or too coarse for a lattice, nothing is classified.

    Returns
    -------
    particles.Particles
        The same labels; tables with classes, probabilities, features, fault states and traces filled in. A particle
        whose region is ``no_particle`` or an agglomeration that was not split, with a probability of at least
        ``defects.min_exclusion_probability``, is no longer counted.
    """
    if classifier is None or not shows_lattice(pixel_size_nm) or not len(found.regions):
        return found
    assert pixel_size_nm is not None
    dark = image.max() - image if settings.segmentation.particles_are == "bright" else image
    features = region_features(dark, found, pixel_size_nm=pixel_size_nm)
    owner = found.particles["region_id"].to_numpy(np.int64)
    measured = is_assessable(found.particles)
    alone = np.isin(owner, features.index[features["n_parts"].to_numpy() == 1])
    ids = found.particles["particle_id"].to_numpy(np.int64)
    own = particle_features(dark, found, ids[measured & ~alone], pixel_size_nm=pixel_size_nm)
    predicted = classifier.predict(pd.concat([features, own], ignore_index=True))  # once: a forest costs by the call
    of_regions, of_parts = predicted.iloc[: len(features)], predicted.iloc[len(features) :]
    regions = _classified_regions(found, features, of_regions.set_axis(features.index), settings)
    single = _as_single(of_parts.set_axis(own.index), classifier.unsure_threshold)
    whole = owner[measured & alone]
    parts = pd.concat(
        [
            of_regions.set_axis(features.index).join(features[_PLANE]).loc[whole].set_axis(ids[measured & alone]),
            single.join(own[_PLANE]),
        ]
    )
    columns = _fault_states(parts.reindex(ids))
    columns |= _exclusions(found.particles, regions, settings.defects.min_exclusion_probability)
    return replace(found, regions=regions, particles=tables.filled(found.particles, columns, tables.PARTICLES))


def _classified_regions(
    found: Particles, features: pd.DataFrame, predicted: pd.DataFrame, settings: Settings
) -> pd.DataFrame:
    """Fill in the classes of regions; one too large for a particle is an agglomeration whatever it looks like."""
    table = found.regions
    ids = table["region_id"].to_numpy(np.int64)
    # specks, and particles counted by size alone, are not measured
    classes = predicted["region_class"].reindex(ids).fillna("unsure").to_numpy(object)
    numbers = pd.concat([predicted.drop(columns="region_class"), features], axis=1).reindex(ids)
    filled = dict(zip(map(str, numbers.columns), numbers.to_numpy().T, strict=True))
    limit = settings.particles.max_region_area_nm2
    if limit is not None:
        large = table["area_nm2"].to_numpy(float, na_value=np.nan) > limit
        classes[large] = "agglomeration"
        for name in tables.REGION_CLASSES:
            filled[f"probability_{name}"][large] = float(name == "agglomeration")
    faulted = classes == "stacking_fault"
    trace, offset = (np.where(faulted, filled.pop(name), np.nan) for name in _PLANE)
    columns = {**filled, "region_class": classes, "fault_trace_deg": trace, "fault_offset_nm": offset}
    return tables.filled(table, columns, tables.REGIONS)


def _as_single(predicted: pd.DataFrame, unsure_threshold: float) -> pd.DataFrame:
    """Leave out the classes that a part of a split region cannot have, since it is one particle."""
    columns = [f"probability_{name}" for name in _SINGLE]
    probability = predicted[columns].to_numpy()
    share = probability / np.maximum(probability.sum(axis=1, keepdims=True), 1e-12)
    best = share.argmax(axis=1)
    names = np.where(share.max(axis=1, initial=0) >= unsure_threshold, np.array(_SINGLE)[best], "unsure")
    return predicted.assign(**dict(zip(columns, share.T, strict=True)), region_class=pd.array(names, dtype="string"))


def _fault_states(parts: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return fault state, probability and trace of each particle; `parts` has one row per particle."""
    state = parts["region_class"].map(FAULT_STATES).fillna("unknown").to_numpy(object)
    fault, other = (parts[f"probability_{name}"].to_numpy(float) for name in FAULT_STATES)
    on_zone = fault + other
    trace, offset = (np.where(state == "fault", parts[name].to_numpy(float), np.nan) for name in _PLANE)
    return {
        "fault_state": state,
        "fault_probability": np.divide(fault, on_zone, out=np.full(len(parts), np.nan), where=on_zone > 0),
        "fault_trace_deg": trace,
        "fault_offset_nm": offset,
    }


def _exclusions(table: pd.DataFrame, regions: pd.DataFrame, min_probability: float) -> dict[str, np.ndarray]:
    """Stop counting particles whose region is no particle, or several particles that were not split."""
    reason = table["exclusion_reason"].to_numpy(object, na_value="")
    owner, ids = table["region_id"].to_numpy(np.int64), regions["region_id"].to_numpy(np.int64)
    for name, why in (("no_particle", "no_particle"), ("agglomeration", "agglomerate")):
        sure = regions[f"probability_{name}"].to_numpy(float, na_value=0.0) >= min_probability
        if name == "agglomeration":
            sure &= regions["n_parts"].to_numpy(float, na_value=0.0) == 1
        reason = np.where(np.isin(owner, ids[sure]) & (reason == ""), why, reason)
    return {
        "exclusion_reason": np.array([text or None for text in reason], dtype=object),
        "counted": table["counted"].to_numpy(bool, na_value=False) & (reason == ""),
    }
