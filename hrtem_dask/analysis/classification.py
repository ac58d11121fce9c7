"""Classes of regions, fault states of particles, and which particles no longer count because of their class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hrtem_dask import fourier, tables
from hrtem_dask.analysis.region_features import (
    FEATURES,
    is_assessable,
    measured_particles,
    measured_regions,
    shows_lattice,
)
from hrtem_dask.defects import UNSURE, DefectClassifier, feature_matrix
from hrtem_dask.fourier import Reflection
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.find import Particles
from hrtem_dask.settings import Settings

__all__ = ["classify"]

FAULT_STATES = {"stacking_fault": "fault", "no_stacking_fault": "no_fault"}
"""Fault state by class; of other classes it is unknown, since a misoriented particle may be faulted."""
_PLANE = ("plane_trace_deg", "plane_offset_nm")
_PROBABILITIES = tuple(f"probability_{name}" for name in tables.REGION_CLASSES)
_SINGLE = ("no_stacking_fault", "misoriented", "stacking_fault")
"""Classes of a single particle, and so of the part of a split region."""


def classify(
    image: np.ndarray,
    found: Particles,
    settings: Settings,
    classifier: DefectClassifier | None,
    *,
    pixel_size_nm: PixelSize | None,
    voltage_kv: float | None = None,
    reflections: Sequence[Sequence[Reflection]] | None = None,
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
    voltage_kv : float, optional
        Acceleration voltage (kV), where it is known: outside of ``defects.voltage_range_kv`` every fault state is
        unknown.
    reflections : sequence of sequence of Reflection, optional
        From `particle_reflections`, so that nothing is searched twice; otherwise they are searched for.

    Returns
    -------
    particles.Particles
        The same labels; tables with classes, probabilities, features, fault states and traces filled in. A particle
        whose region is ``no_particle`` or an agglomeration that was not split, with a probability of at least
        ``defects.min_exclusion_probability``, is no longer counted.
    """
    if classifier is None or not shows_lattice(pixel_size_nm) or not len(found.region_rows):
        return found
    assert pixel_size_nm is not None
    dark = image.max() - image if settings.segmentation.particles_are == "bright" else image
    needed = classifier.features  # what the forest does not look at is not measured
    known = reflections if settings.fourier.spacing_range_nm == fourier.SPACING_RANGE_NM else None
    features = measured_regions(dark, found, pixel_size_nm=pixel_size_nm, needed=needed, reflections=known)
    owner = found.particle_rows.integers("region_id")
    measured = is_assessable(found.particle_rows)
    alone = np.isin(owner, features.ids[features.values["n_parts"] == 1])
    ids = found.particle_rows.integers("particle_id")
    own = measured_particles(
        dark, found, ids[measured & ~alone], pixel_size_nm=pixel_size_nm, needed=needed, reflections=known
    )
    both = {name: np.concatenate([values, own.values[name]]) for name, values in features.values.items()}
    # once for all: a forest costs by the call
    probability = classifier.predict_probability(feature_matrix(both, classifier.features))
    n = len(features.ids)
    names = np.append(classifier.likeliest(probability[:n]), np.empty(len(own.ids), dtype=object)).astype(object)
    probability[n:], names[n:] = _as_single(probability[n:], classifier)
    predicted = {f"probability_{name}": probability[:, i] for i, name in enumerate(classifier.classes)}
    rows = {"region_class": names, **predicted, **both}
    regions = _classified_regions(found, features.ids, {name: column[:n] for name, column in rows.items()}, settings)
    row_of = np.full(len(ids), -1)
    if settings.defects.holds_at(voltage_kv):
        row_of[measured & alone] = np.searchsorted(features.ids, owner[measured & alone])
        row_of[np.searchsorted(ids, own.ids)] = n + np.arange(len(own.ids))
    columns = _fault_states(rows, row_of)
    columns |= _exclusions(found.particle_rows, regions, settings.defects.min_exclusion_probability)
    return replace(found, region_rows=regions, particle_rows=found.particle_rows.filled(columns))


def _classified_regions(
    found: Particles, ids: np.ndarray, rows: Mapping[str, np.ndarray], settings: Settings
) -> tables.Rows:
    """Fill in the classes of regions; one too large for a particle is an agglomeration whatever it looks like."""
    table = found.region_rows
    at = np.searchsorted(table.integers("region_id"), ids)
    classes = np.full(len(table), UNSURE, dtype=object)  # specks, and particles counted by size alone, are not measured
    classes[at] = rows["region_class"]
    filled = {name: np.full(len(table), np.nan) for name in (*_PROBABILITIES, *FEATURES, *_PLANE)}
    for name, values in filled.items():
        if name in rows:
            values[at] = rows[name]
    limit = settings.particles.max_region_area_nm2
    if limit is not None:
        large = table.numbers("area_nm2") > limit
        classes[large] = "agglomeration"
        for name in tables.REGION_CLASSES:
            filled[f"probability_{name}"][large] = float(name == "agglomeration")
    faulted = classes == "stacking_fault"
    trace, offset = (np.where(faulted, filled.pop(name), np.nan) for name in _PLANE)
    columns = {**filled, "region_class": classes, "fault_trace_deg": trace, "fault_offset_nm": offset}
    return table.filled(columns)


def _as_single(probability: np.ndarray, classifier: DefectClassifier) -> tuple[np.ndarray, np.ndarray]:
    """Leave out the classes that a part of a split region cannot have, since it is one particle."""
    known = [name for name in _SINGLE if name in classifier.classes]
    if not known:
        return probability, np.full(len(probability), UNSURE)
    columns = [classifier.classes.index(name) for name in known]
    share = probability[:, columns]
    share = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
    best = share.argmax(axis=1)
    names = np.where(share.max(axis=1, initial=0) >= classifier.unsure_threshold, np.array(known)[best], UNSURE)
    changed = probability.copy()
    changed[:, columns] = share
    return changed, names


def _fault_states(rows: Mapping[str, np.ndarray], row_of: np.ndarray) -> dict[str, np.ndarray]:
    """Return fault state, probability and trace of each particle; its row is −1 where it was not measured."""
    known = row_of >= 0
    state = np.full(len(row_of), "unknown", dtype=object)
    state[known] = [FAULT_STATES.get(name, "unknown") for name in rows["region_class"][row_of[known]]]

    def own(name: str) -> np.ndarray:
        values = np.full(len(row_of), np.nan)
        if name in rows:
            values[known] = rows[name][row_of[known]]
        return values

    fault, other = (own(f"probability_{name}") for name in FAULT_STATES)
    on_zone = fault + other
    trace, offset = (np.where(state == "fault", own(name), np.nan) for name in _PLANE)
    return {
        "fault_state": state,
        "fault_probability": np.divide(fault, on_zone, out=np.full(len(row_of), np.nan), where=on_zone > 0),
        "fault_trace_deg": trace,
        "fault_offset_nm": offset,
    }


def _exclusions(table: tables.Rows, regions: tables.Rows, min_probability: float) -> dict[str, np.ndarray]:
    """Stop counting particles whose region is no particle, or several particles that were not split."""
    reason = table.texts("exclusion_reason")
    owner, ids = table.integers("region_id"), regions.integers("region_id")
    for name, why in (("no_particle", "no_particle"), ("agglomeration", "agglomerate")):
        sure = np.nan_to_num(regions.numbers(f"probability_{name}")) >= min_probability
        if name == "agglomeration":
            sure &= regions.numbers("n_parts") == 1
        reason = np.where(np.isin(owner, ids[sure]) & (reason == ""), why, reason)
    return {
        "exclusion_reason": np.array([text or None for text in reason], dtype=object),
        "counted": table.flags("counted") & (reason == ""),
    }
