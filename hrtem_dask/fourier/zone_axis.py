"""Low-index zone axis of a particle: the patterns of a known crystal are ranked by the reflections found.

The likelihood of a pattern is described in `zone_axis_fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.backend import Array
from hrtem_dask.crystals.faulted_patterns import faulted_pattern
from hrtem_dask.crystals.materials import Material
from hrtem_dask.crystals.zone_axes import low_index_zone_axes
from hrtem_dask.crystals.zone_patterns import zone_pattern
from hrtem_dask.fourier.lattice import Reflection, find_reflections
from hrtem_dask.fourier.on_zone_score import NOISE_SNR, on_zone_score
from hrtem_dask.fourier.zone_axis_fit import FoundReflections, PatternFit, best_rotation
from hrtem_dask.micrograph import PixelSize

__all__ = ["ZONE_AXIS_COLUMNS", "ZoneAxisCandidate", "measure_zone_axis", "zone_axis_candidates"]

ZONE_AXIS_COLUMNS = (
    "zone_axis", "zone_axis_confidence", "zone_axis_second", "zone_axis_residual", "zone_axis_rotation_deg",
    "zone_axis_spacing_ratio", "on_zone_score",
)  # fmt: skip
_ONE_ROW_DEG = 10.0
"""Reflections within this angle of the strongest one (°) are of the same row of fringes."""
_CALIBRATION = (2.034, 1.069, -1.746)
"""Intercept, slope of the logit of the uncalibrated confidence, slope of ln(size in nm), fitted to 2260 simulated
particles of three sets of equal weight (multislice, 200 and 300 kV, Au, Ag, Pt, CdSe, CdTe; particles weighted so that
56 % are on a zone axis, 39 % misoriented and 5 % between)."""
_LEAST = 1e-3
FAULTED = 2.0
"""Cost of the assumption of a fault."""


@dataclass(frozen=True)
class ZoneAxisCandidate:
    """A zone axis, and the agreement of its pattern with the reflections found."""

    zone_axis: str
    """Such as ``"[110]"`` or ``"[11-20]"``, which stands for its whole family."""
    score: float
    """Logarithm of the likelihood relative to that of random reflections; 0 is no better than chance."""
    confidence: float
    """Probability, 0 to 1, that the particle is seen along this axis, within 5.5°. It follows from the likelihoods of
    the candidates and of the hypothesis that none fits, with equal prior probabilities; with reflections in one
    direction only, it is at most 1/(n + 1) for n candidates at first, since a tilted crystal shows them too. It is then
    calibrated on simulated particles (`_calibrated`)."""
    rotation_deg: float
    """Direction of the reference reflection of the pattern, counter-clockwise from +x on the screen (°)."""
    reference_hkl: tuple[int, int, int]
    """The reference reflection: that of the lowest frequency on a mirror line of the pattern."""
    period_deg: float
    """Rotation that repeats the pattern (°); `rotation_deg` is smaller."""
    spacing_ratio: float
    """Measured over known spacing: the best common factor. NaN, like `rotation_deg`, if no reflection is explained."""
    residual: float | None
    """Root mean square distance of the explained reflections from the fitted pattern, relative to their frequency;
    None for a single one."""
    n_explained: int
    """Number of reflections that the pattern explains."""


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
        From `find_reflections` with a minimal SNR of 8, largest SNR first.
    material : str or Material
        Name of a known material, or a material of your own.
    size_nm : float
        Shorter side of the crop, or diameter of the particle (nm); its inverse is about the width of a reflection.
    zone_axes : sequence of str, optional
        Candidates; by default the usual low-index ones of `low_index_zone_axes`.
    max_frequency_per_nm : float
        Largest frequency at which reflections were searched (1/nm).

    Returns
    -------
    tuple of ZoneAxisCandidate
        Best candidate first. Axes without a reflection that agrees in frequency are left out.

    Raises
    ------
    ValueError
        If the material is not known, an axis cannot be read, or the size is not positive.

    Examples
    --------
    Reflections of gold along [100], the two {200} and {220}:

    >>> q = 2 / 0.40782
    >>> spots = [(0, q), (q, 0), (q, q), (-q, q)]
    >>> best = zone_axis_candidates([Reflection(y, x, 100.0) for y, x in spots], "Au", size_nm=4.0)[0]
    >>> best.zone_axis, best.reference_hkl, round(best.spacing_ratio, 3)
    ('[100]', (0, 2, 0), 1.0)
    """
    if not size_nm > 0:
        raise ValueError(f"size_nm must be positive, got {size_nm}")
    names = low_index_zone_axes(material) if zone_axes is None else tuple(zone_axes)
    found = FoundReflections.from_reflections([r for r in reflections if r.snr > NOISE_SNR], size_nm)
    if not found.weight.size:
        return ()
    fits = []
    for name in names:
        pattern = zone_pattern(material, name, max_frequency_per_nm=max_frequency_per_nm)
        perfect, faulted = best_rotation(pattern, found), None
        if (other := faulted_pattern(pattern)) is not None:
            faulted = best_rotation(other, found, prior=-FAULTED)
        either = [fit for fit in (perfect, faulted) if fit is not None]
        fits += sorted(either, key=lambda fit: -fit.score)[:1]
    fits.sort(key=lambda fit: -fit.score)
    highest = max([0.0, *(fit.score for fit in fits)])
    likelihoods = np.exp([fit.score - highest for fit in fits])
    total = likelihoods.sum() + np.exp(-highest)
    known = [_known_axis(fit, found, len(fits)) for fit in fits]
    confidences = _calibrated(likelihoods / total * known, size_nm)
    return tuple(_candidate(fit, found, float(p)) for fit, p in zip(fits, confidences, strict=True))


def measure_zone_axis(
    crop: Array,
    *,
    pixel_size_nm: PixelSize | None,
    material: str | Material | None,
    spacing_range_nm: tuple[float, float] = (0.1, 0.42),
    zone_axes: Sequence[str] | None = None,
    reflections: Sequence[Reflection] | None = None,
) -> dict[str, float | str | None]:
    """Measure the zone axis of one particle.

    Parameters
    ----------
    crop : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite: the bounding box of the particle; the size of the particle follows from
        it.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel in nm; None if it is unknown: then nothing is measured.
    material : str, Material or None
        Material of the particle; with None only ``on_zone_score`` is measured.
    spacing_range_nm : tuple of float
        Smallest and largest lattice spacing to search for, in nm.
    zone_axes : sequence of str, optional
        Candidates; by default the usual low-index ones of `low_index_zone_axes`.
    reflections : sequence of Reflection, optional
        Reflections with an SNR of 8 and more, if they are known already; those of the crop with a margin of 0.6 nm are
        better than those of the crop alone, which are searched by default.

    Returns
    -------
    dict of str to float, str or None
        Values of the columns `ZONE_AXIS_COLUMNS`; None where nothing was found.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If the material is not known or the range of spacings is empty.

    Examples
    --------
    >>> x_nm = 0.03 * np.arange(120)
    >>> gold_100 = np.cos(4 * np.pi * x_nm / 0.40782)[:, None] + np.cos(4 * np.pi * x_nm / 0.40782)
    >>> image = gold_100 + np.random.default_rng(0).normal(0, 0.3, (120, 120))
    >>> measured = measure_zone_axis(
    ...     image, pixel_size_nm=(0.03, 0.03), material="Au", zone_axes=["[100]", "[110]", "[111]"]
    ... )
    >>> measured["zone_axis"]
    '[100]'
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


def _known_axis(fit: PatternFit, found: FoundReflections, n_candidates: int) -> float:
    """Return how far the reflections fix the axis, 0 to 1: a tilt about one row of fringes leaves the row as it is."""
    direction = found.position @ [1, 1j]
    strongest = direction[fit.explained][:1]
    if not strongest.size:
        return 1.0
    angle = np.degrees(np.abs(np.angle((direction / strongest) ** 2))) / 2  # 0 to 90: a reflection and its mate are one
    second = fit.explained & (angle > _ONE_ROW_DEG)
    only_one_row = float(np.prod(1 - found.weight[second]))
    return 1 - only_one_row * (1 - 1 / (n_candidates + 1))


def _calibrated(confidences: np.ndarray, size_nm: float) -> np.ndarray:
    """Calibrate the confidence of the best candidate; the others share what is left in their proportions.

    The likelihood does not know that large particles show more reflections by chance, nor that what is assumed of the
    lens is not always so. Both are measured: a logistic regression of whether the axis is right.
    """
    if not confidences.size:
        return confidences
    best = float(np.clip(confidences[0], _LEAST, 1 - _LEAST))
    level, slope, by_size = _CALIBRATION
    calibrated = 1 / (1 + np.exp(-(level + slope * np.log(best / (1 - best)) + by_size * np.log(size_nm))))
    others = np.minimum(confidences[1:] * (1 - calibrated) / (1 - best), calibrated)
    return np.concatenate([[calibrated], others])


def _candidate(fit: PatternFit, found: FoundReflections, confidence: float) -> ZoneAxisCandidate:
    """Refine rotation and scale of a fit by least squares over the explained reflections."""
    explained = fit.explained
    known = fit.positions[fit.nearest[explained]] @ [1, 1j] * np.exp(1j * fit.rotation)
    peaks = found.position[explained] @ [1, 1j]
    peaks = np.where((peaks * known.conj()).real < 0, -peaks, peaks)
    weight = found.weight[explained] / np.square(found.error[explained])
    factor = complex(np.nan, np.nan)  # where nothing is explained, nothing is known of rotation and scale
    if explained.any():
        factor = (weight * peaks * known.conj()).sum() / (weight * np.square(np.abs(known))).sum()
    distance, frequency = (weight @ np.square(np.abs(z)) for z in (peaks - factor * known, peaks))
    return ZoneAxisCandidate(
        zone_axis=fit.pattern.zone_axis,
        score=fit.score,
        confidence=confidence,
        rotation_deg=float(np.degrees(fit.rotation + np.angle(factor)) % fit.pattern.period_deg),
        reference_hkl=fit.pattern.reference_hkl,
        period_deg=fit.pattern.period_deg,
        spacing_ratio=float(1 / np.abs(factor)),
        residual=float(np.sqrt(distance / frequency)) if explained.sum() > 1 else None,
        n_explained=int(explained.sum()),
    )
