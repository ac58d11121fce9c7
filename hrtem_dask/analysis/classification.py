"""Classes of regions, fault states of particles, and which particles no longer count because of their class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.analysis.region_features import (
    FEATURES,
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
    regions = _classified_regions(found, features, settings, classifier)
    parts = _parts(dark, found, features, classifier, pixel_size_nm)
    particles = _with_fault_states(found.particles, parts)
    particles = _excluded(particles, regions, settings.defects.min_exclusion_probability)
    return replace(found, regions=regions, particles=particles)


def _classified_regions(
    found: Particles, features: pd.DataFrame, settings: Settings, classifier: DefectClassifier
) -> pd.DataFrame:
    """Fill in the classes of regions; one too large for a particle is an agglomeration whatever it looks like."""
    table = found.regions.set_index("region_id", drop=False)
    predicted = classifier.predict(features).reindex(
        table.index
    )  # specks, and particles counted by size alone, are not measured
    predicted["region_class"] = predicted["region_class"].fillna("unsure")
    features = features.reindex(table.index)
    limit = settings.particles.max_region_area_nm2
    if limit is not None:
        large = (table["area_nm2"] > limit).fillna(False).to_numpy(bool)
        for name in tables.REGION_CLASSES:
            predicted.loc[large, f"probability_{name}"] = float(name == "agglomeration")
        predicted.loc[large, "region_class"] = "agglomeration"
    faulted = predicted["region_class"] == "stacking_fault"
    filled = {**{str(c): predicted[c] for c in predicted}, **{name: features[name] for name in FEATURES}}
    filled |= {
        "fault_trace_deg": features["plane_trace_deg"].where(faulted),
        "fault_offset_nm": features["plane_offset_nm"].where(faulted),
    }
    return tables.conform(table.assign(**filled).reset_index(drop=True), tables.REGIONS)


def _parts(
    image: np.ndarray,
    found: Particles,
    features: pd.DataFrame,
    classifier: DefectClassifier,
    pixel_size_nm: PixelSize,
) -> pd.DataFrame:
    """Return by particle_id the probabilities of its region, or its own where the region was split."""
    owner = found.particles.set_index("particle_id")["region_id"].astype(np.int64)
    owner = owner[is_assessable(found.particles)]
    alone = owner.isin(features.index[features["n_parts"] == 1])
    whole = features.loc[owner[alone]].set_axis(owner.index[alone])
    own = particle_features(image, found, owner.index[~alone], pixel_size_nm=pixel_size_nm)
    measured = pd.concat([whole, own])
    predicted = classifier.predict(measured)
    probability = predicted[[f"probability_{name}" for name in _SINGLE]]
    # a part of a split region is one particle: classes that it cannot have are left out
    share = probability.div(probability.sum(axis=1).clip(lower=1e-12), axis=0).loc[own.index]
    predicted.loc[own.index, probability.columns] = share
    best = share.idxmax(axis=1).astype(str).str.removeprefix("probability_")
    predicted.loc[own.index, "region_class"] = best.where(share.max(axis=1) >= classifier.unsure_threshold, "unsure")
    return predicted.join(measured[["plane_trace_deg", "plane_offset_nm"]])


def _with_fault_states(table: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """Fill in fault state, probability and trace."""
    parts = parts.reindex(table["particle_id"].astype(np.int64)).set_axis(table.index)
    state = parts["region_class"].map(FAULT_STATES).fillna("unknown")
    on_zone = parts["probability_stacking_fault"] + parts["probability_no_stacking_fault"]
    return tables.conform(
        table.assign(
            fault_state=state,
            fault_probability=parts["probability_stacking_fault"] / on_zone.where(on_zone > 0),
            fault_trace_deg=parts["plane_trace_deg"].where(state == "fault"),
            fault_offset_nm=parts["plane_offset_nm"].where(state == "fault"),
        ),
        tables.PARTICLES,
    )


def _excluded(table: pd.DataFrame, regions: pd.DataFrame, min_probability: float) -> pd.DataFrame:
    """Stop counting particles whose region is no particle, or several particles that were not split."""
    by_region = regions.set_index("region_id")
    reason = table["exclusion_reason"].astype(object).where(table["exclusion_reason"].notna(), None)
    for name, why in (("no_particle", "no_particle"), ("agglomeration", "agglomerate")):
        sure = by_region[f"probability_{name}"].fillna(0.0) >= min_probability
        if name == "agglomeration":
            sure &= by_region["n_parts"].fillna(0) == 1
        hit = table["region_id"].isin(by_region.index[sure.to_numpy(bool)]).to_numpy(bool)
        reason = reason.where(~(hit & reason.isna()), why)
    return tables.conform(
        table.assign(exclusion_reason=reason, counted=table["counted"].fillna(False) & reason.isna()), tables.PARTICLES
    )
