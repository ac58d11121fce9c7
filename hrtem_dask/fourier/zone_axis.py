"""Along which low-index zone axis a particle is seen: patterns of a known crystal ranked by the reflections found.

Each zone axis predicts a lattice of reflections (`zone_patterns`). For each, the rotation that fits best is looked for,
and the patterns are compared by the logarithm of the likelihood of the reflections found:

- *Explained.* A reflection is drawn from the pattern, with an error of position that the particle's size
  and the lattice's strain give, or comes from elsewhere (a twin, a neighbour, the streak of a fault), uniform over the
  plane [1]. A dense pattern spreads its probability over many places, so it does not win by explaining everything.
- *Missing.* Reflections of equal frequency and strength pass the lens alike, so where one is seen its symmetric mates
  must be, too. Where none is, the lens may have a zero there [2], and it counts for less.

A reflection counts by the probability that it is none of the noise, which grows with the logarithm of its SNR up to 1:
a strong reflection is no more than one. That nothing fits, positions being at random, is the hypothesis of likelihood
1, which a confident answer must beat.

References
----------
[1] Fraley & Raftery, J. Am. Stat. Assoc. 97 (2002) 611: mixture with a uniform component for what does not belong.
[2] Williams & Carter, Transmission Electron Microscopy, 2nd ed., Springer 2009, chapter 28: contrast transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrtem_dask.crystals.materials import Material
from hrtem_dask.crystals.zone_patterns import ZonePattern, faulted_pattern, low_index_zone_axes, zone_pattern
from hrtem_dask.fourier.lattice import Reflection, find_reflections
from hrtem_dask.fourier.on_zone_score import (
    NOISE_SNR,
    evidence,
    on_zone_score,
    position_errors_per_nm,
)
from hrtem_dask.micrograph import PixelSize

__all__ = ["ZONE_AXIS_COLUMNS", "ZoneAxisCandidate", "measure_zone_axis", "zone_axis_candidates"]

ZONE_AXIS_COLUMNS = (
    "zone_axis", "zone_axis_confidence", "zone_axis_second", "zone_axis_residual", "zone_axis_rotation_deg",
    "zone_axis_spacing_ratio", "on_zone_score",
)  # fmt: skip
FOREIGN_SHARE = 0.15
"""Expected share of reflections that do not belong to the lattice."""
MISSING_MATE = 1.5
"""What a missing symmetric mate of a full reflection costs (in the logarithm of the likelihood)."""
MISSING_RING = 1.0
"""What missing rings cost that hold the whole strength of the pattern."""
GATE = 3.0
"""A reflection further than this many errors of position from every place of the pattern does not belong to it."""
FAULTED = 2.0
"""What it costs to assume a fault."""
_PLANE_PER_NM2 = 100.0
"""Area over which foreign reflections are spread: the half disk of 8 1/nm (1/nm²)."""
_FLOOR = 0.02
"""Share added to each place of a pattern, for dynamical diffraction and strengths that kinematics gets wrong."""
_SEEDS = 6
"""The strongest reflections decide which rotations are tried."""
_TURN_STEP_DEG = 0.35


@dataclass(frozen=True)
class ZoneAxisCandidate:
    """A zone axis, and how well its pattern fits the reflections found."""

    zone_axis: str
    """Such as ``"[110]"`` or ``"[11-20]"``: any member of the family is meant."""
    score: float
    """Logarithm of the likelihood over that of reflections at random; 0 is as good as nothing."""
    confidence: float
    """Probability, 0 to 1, among the candidates and the hypothesis that none of them fits, all equal before."""
    rotation_deg: float
    """Direction of the pattern's reference reflection, counter-clockwise from +x on the screen (°)."""
    reference_hkl: tuple[int, int, int]
    """That reflection: the shortest on a mirror line of the pattern."""
    period_deg: float
    """Rotation that repeats the pattern (°): `rotation_deg` is below it."""
    spacing_ratio: float
    """Measured over known spacing, the best common factor."""
    residual: float | None
    """Distance of the explained reflections from the fitted pattern, root mean squares, over their frequency; None
    of a single one."""
    n_explained: int
    """Reflections that the pattern explains."""


def zone_axis_candidates(
    reflections: Sequence[Reflection],
    material: str | Material,
    *,
    size_nm: float,
    zone_axes: Sequence[str] | None = None,
    max_frequency_per_nm: float = 10.0,
) -> tuple[ZoneAxisCandidate, ...]:
    """Rank the zone axes along which a crystal may be seen.

    Parameters
    ----------
    reflections : sequence of Reflection
        From `find_reflections`, weak ones (SNR 8 and more) included.
    material : str or Material
        Name of a known material, or a crystal of your own.
    size_nm : float
        Shorter side of the crop, or the particle's diameter (nm): reflections are about as broad as its inverse.
    zone_axes : sequence of str, optional
        Candidates; by default the usual low-index ones of `low_index_zone_axes`.
    max_frequency_per_nm : float
        Largest frequency at which reflections were looked for (1/nm).

    Returns
    -------
    tuple of ZoneAxisCandidate
        The best one first; axes of which no reflection agrees in frequency are left out.

    Raises
    ------
    ValueError
        If the material is not known, an axis cannot be read, or the size is not positive.
    """
    if not size_nm > 0:
        raise ValueError(f"size_nm must be positive, got {size_nm}")
    names = low_index_zone_axes(material) if zone_axes is None else tuple(zone_axes)
    found = _Found.of([r for r in reflections if r.snr > NOISE_SNR], size_nm)
    if not found.weight.size:
        return ()
    fits = []
    for name in names:
        pattern = zone_pattern(material, name, max_frequency_per_nm=max_frequency_per_nm)
        perfect, faulted = _best_rotation(pattern, found), None
        if (other := faulted_pattern(pattern)) is not None:
            faulted = _best_rotation(other, found, prior=-FAULTED)
        either = [fit for fit in (perfect, faulted) if fit is not None]
        fits += sorted(either, key=lambda fit: -fit.score)[:1]
    fits.sort(key=lambda fit: -fit.score)
    highest = max([0.0, *(fit.score for fit in fits)])
    likelihoods = np.exp([fit.score - highest for fit in fits])
    total = likelihoods.sum() + np.exp(-highest)
    return tuple(_candidate(fit, found, float(p / total)) for fit, p in zip(fits, likelihoods, strict=True))


def measure_zone_axis(
    crop: Any,
    *,
    pixel_size_nm: PixelSize | None,
    material: str | Material | None,
    spacing_range_nm: tuple[float, float] = (0.1, 0.42),
    zone_axes: Sequence[str] | None = None,
    reflections: Sequence[Reflection] | None = None,
) -> dict[str, float | str | None]:
    """Measure along which zone axis one particle is seen.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite: the particle with little around it.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel in nm; None where it is not known: then nothing can be said.
    material : str, Material or None
        The crystal; None leaves all but ``on_zone_score`` null.
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing looked for, in nm.
    zone_axes : sequence of str, optional
        Candidates; by default the usual low-index ones of `low_index_zone_axes`.
    reflections : sequence of Reflection, optional
        The crop's reflections with an SNR of 8 and more, where they are known already.

    Returns
    -------
    dict of str to float, str or None
        The columns of `ZONE_AXIS_COLUMNS`. None where there is nothing to measure.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the material is not known or the range of spacings is empty.
    """
    result: dict[str, float | str | None] = dict.fromkeys(ZONE_AXIS_COLUMNS)
    if pixel_size_nm is None:
        return result
    if reflections is None:
        reflections = find_reflections(
            crop,
            pixel_size_nm=pixel_size_nm,
            spacing_range_nm=spacing_range_nm,
            min_peak_snr=NOISE_SNR,
            min_share_of_strongest=0,
        )
    size_nm = min(n * step for n, step in zip(crop.shape, pixel_size_nm, strict=True))
    result["on_zone_score"] = on_zone_score(reflections, size_nm=size_nm)
    if material is None:
        return result
    candidates = zone_axis_candidates(
        reflections, material, size_nm=size_nm, zone_axes=zone_axes,
        max_frequency_per_nm=min(1 / spacing_range_nm[0], 0.5 / max(pixel_size_nm)),
    )  # fmt: skip
    if not candidates:
        return result
    best = candidates[0]
    return result | {
        "zone_axis": best.zone_axis,
        "zone_axis_confidence": best.confidence,
        "zone_axis_second": candidates[1].zone_axis if len(candidates) > 1 else None,
        "zone_axis_residual": best.residual,
        "zone_axis_rotation_deg": best.rotation_deg,
        "zone_axis_spacing_ratio": best.spacing_ratio,
    }


@dataclass(frozen=True)
class _Found:
    """The reflections found, as arrays."""

    position: np.ndarray  # (peak, 2): right, up (1/nm)
    weight: np.ndarray  # (peak,): evidence, 0 to 1
    error: np.ndarray  # (peak,): standard deviation of a component of the position (1/nm)

    @classmethod
    def of(cls, reflections: Sequence[Reflection], size_nm: float) -> _Found:
        position = np.array([(r.frequency_x_per_nm, -r.frequency_y_per_nm) for r in reflections]).reshape(-1, 2)
        snr = np.array([r.snr for r in reflections])
        return cls(position, evidence(snr), position_errors_per_nm(position, size_nm))


@dataclass(frozen=True)
class _Fit:
    """A pattern at its best rotation."""

    pattern: ZonePattern
    places: np.ndarray  # (place, 2): the pattern, mirrored or not, not turned
    turn: float  # radians
    score: float
    nearest: np.ndarray  # (peak,): index of the nearest place
    own: np.ndarray  # (peak,): whether it belongs to the pattern


def _best_rotation(pattern: ZonePattern, found: _Found, *, prior: float = 0.0) -> _Fit | None:
    """Fit a pattern, and where that is another one its mirror image; None where no reflection fits in frequency."""
    best: _Fit | None = None
    for mirror in (1,) if pattern.has_mirror else (1, -1):
        places = pattern.frequency_per_nm * np.array([1, mirror])
        turns = _rotations(pattern, places, found)
        if not turns.size:
            continue
        distance = _distances(places, turns, found)
        scores = _scores(pattern, distance, found) + prior
        k = int(scores.argmax())
        if best is None or scores[k] > best.score:
            here = distance[k]
            best = _Fit(pattern, places, turns[k], float(scores[k]), here.argmin(axis=1), here.min(axis=1) < GATE**2)
    return best


def _rotations(pattern: ZonePattern, places: np.ndarray, found: _Found) -> np.ndarray:
    """Return the rotations (radians) that put an allowed reflection where a strong one of its frequency was found."""
    frequency, known = np.hypot(*found.position[:_SEEDS].T), np.hypot(*places.T)
    near = np.abs(frequency[:, None] - known) < GATE * found.error[:_SEEDS, None]
    i, j = np.nonzero(near & (pattern.weight > 0))
    turn = np.arctan2(found.position[i, 1], found.position[i, 0]) - np.arctan2(places[j, 1], places[j, 0])
    step = np.radians(_TURN_STEP_DEG)
    return np.asarray(np.unique(np.round(turn % np.pi / step)) * step)


def _distances(places: np.ndarray, turns: np.ndarray, found: _Found) -> np.ndarray:
    """Return the squared distance of each peak from each place or its mate, in errors: (turn, peak, place)."""
    turned = np.exp(1j * turns)[:, None, None] * (places @ [1, 1j])
    peaks = (found.position @ [1, 1j])[:, None]
    squared = np.square(np.minimum(np.abs(peaks - turned), np.abs(peaks + turned)))
    return np.asarray(squared / np.square(found.error)[:, None])


def _scores(pattern: ZonePattern, distance: np.ndarray, found: _Found) -> np.ndarray:
    """Return the logarithm of the likelihood of each rotation."""
    prior = (pattern.weight + _FLOOR) / (pattern.weight + _FLOOR).sum()
    density = np.exp(-0.5 * distance) @ prior / (2 * np.pi * np.square(found.error))
    ratio = FOREIGN_SHARE + (1 - FOREIGN_SHARE) * density * _PLANE_PER_NM2
    explained = np.log1p(found.weight * (ratio - 1)).sum(axis=1)
    # a place is seen if a peak is near; within one error it is seen in full
    near = np.exp(-0.5 * np.maximum(distance - 1, 0)) * (distance < GATE**2)
    seen = (near * found.weight[:, None]).max(axis=1)  # (turn, place)
    loss = np.zeros(len(distance))
    for ring in np.unique(pattern.ring[pattern.ring >= 0]):
        members = pattern.ring == ring
        brightest = seen[:, members].max(axis=1)
        if not pattern.streak[members].any():
            loss += MISSING_MATE * (brightest[:, None] - seen[:, members]).sum(axis=1)
        loss += MISSING_RING * pattern.weight[members].sum() * (1 - brightest)
    return np.asarray(explained - loss)


def _candidate(fit: _Fit, found: _Found, confidence: float) -> ZoneAxisCandidate:
    """Refine rotation and scale by least squares over the explained reflections, and put the fit into words."""
    own = fit.own
    known = fit.places[fit.nearest[own]] @ [1, 1j] * np.exp(1j * fit.turn)
    peaks = found.position[own] @ [1, 1j]
    peaks = np.where((peaks * known.conj()).real < 0, -peaks, peaks)
    weight = found.weight[own] / np.square(found.error[own])
    factor = (weight * peaks * known.conj()).sum() / (weight * np.square(np.abs(known))).sum()
    distance, frequency = (weight @ np.square(np.abs(z)) for z in (peaks - factor * known, peaks))
    return ZoneAxisCandidate(
        zone_axis=fit.pattern.zone_axis,
        score=fit.score,
        confidence=confidence,
        rotation_deg=float(np.degrees(fit.turn + np.angle(factor)) % fit.pattern.period_deg),
        reference_hkl=fit.pattern.reference_hkl,
        period_deg=fit.pattern.period_deg,
        spacing_ratio=float(1 / np.abs(factor)),
        residual=float(np.sqrt(distance / frequency)) if own.sum() > 1 else None,
        n_explained=int(own.sum()),
    )
