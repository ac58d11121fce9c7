"""Power spectra of a few tiles of a micrograph, and measures of blur, drift, lattice and noise from them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft

from hrtem_dask.hann_window import hann
from hrtem_dask.micrograph import PixelSize

__all__ = ["TileSpectra", "tile_spectra", "unit_range"]

TILE_PX = 256
MAX_TILES_PER_AXIS = 4
MIN_TILE_PX = 96
"""Smaller images have too few frequencies to measure blur or drift."""
RING_WIDTH = 2
N_SECTORS = 12
MORPHOLOGY_LIMIT_PER_NM = 1.0
"""Below this frequency outlines of particles dominate the spectrum, above it carbon and lattice."""
MORPHOLOGY_LIMIT_PER_PX = 0.05
REFERENCE_PER_NM = 5.0
"""Information limit of a good micrograph; the smallest that lattice fringes of metals (0.2 nm) need."""
REFERENCE_PER_PX = 0.1
"""The same where the pixel size is not known: 5 1/nm at 0.02 nm per pixel, the finest sampling in use."""
MIN_SNR = 0.5
MAX_RATIO_ERROR = 0.03
SURE_PEAK_SNR = 20.0
MIN_RINGS = 4


def unit_range(values: np.ndarray, extremes: tuple[float, float]) -> np.ndarray:
    """Scale values linearly to the range of their extremes.

    Parameters
    ----------
    values : numpy.ndarray
        Any real dtype and shape.
    extremes : tuple of float
        Values that become 0 and 1; they must differ.

    Returns
    -------
    numpy.ndarray of float32
        Same shape.
    """
    if values.dtype in (np.uint8, np.uint16):  # differences are exact in float32, and their quotient is rounded once
        unit: np.ndarray = np.subtract(values, np.float32(extremes[0]), dtype=np.float32)
        unit /= np.float32(extremes[1] - extremes[0])
        return unit
    wide: np.ndarray = np.subtract(values, extremes[0], dtype=np.float64)
    wide /= extremes[1] - extremes[0]
    return wide.astype(np.float32)


@dataclass(frozen=True)
class _Rings:
    """Geometry of the frequencies of a tile, the same for all tiles of one shape."""

    ring: np.ndarray
    """Shape (n,), int: ring of each frequency that is used, axes left out."""
    group: np.ndarray
    """Shape (n,), int: ring × sectors + sector."""
    used: np.ndarray
    """Shape (y, x // 2 + 1), bool."""
    corner: np.ndarray
    """Shape (m,): places beyond the Nyquist frequency, where there is only noise, counted along the rows."""
    frequency: np.ndarray
    """Shape (rings,): middle of each ring, in 1/nm or 1/px."""
    nyquist: float
    """The lower Nyquist frequency of the two axes, in 1/nm or 1/px."""

    @functools.cached_property
    def places(self) -> np.ndarray:
        """Shape (n,): place of each frequency that is used, counted along the rows."""
        return np.flatnonzero(self.used)

    @functools.cached_property
    def members(self) -> np.ndarray:
        """Shape (group, largest number): which frequencies a group has, filled up with n, the number after the last."""
        n_groups = len(self.frequency) * N_SECTORS
        count = np.bincount(self.group, minlength=n_groups)
        place = np.arange(self.group.size) - np.repeat(np.cumsum(count) - count, count)
        order = np.argsort(self.group, kind="stable")
        members = np.full((n_groups, int(count.max(initial=1))), self.group.size)
        members[self.group[order], place] = order
        return members


@functools.lru_cache(maxsize=16)
def _rings(shape: tuple[int, int], pixel_size: PixelSize) -> _Rings:
    fy = scipy.fft.fftfreq(shape[0], pixel_size[0])[:, None]
    fx = scipy.fft.rfftfreq(shape[1], pixel_size[1])[None, :]
    f = np.hypot(fy, fx)
    nyquist = 0.5 / max(pixel_size)
    step = RING_WIDTH * max(1 / (n * p) for n, p in zip(shape, pixel_size, strict=True))
    n_rings = int(nyquist / step)
    ring = (f / step).astype(int)
    sector = np.floor((np.arctan2(fy, fx) / np.pi % 1.0) * N_SECTORS).astype(int) % N_SECTORS
    # scan lines and the rest of the border effect lie on the axes
    off_axis = (np.abs(fy) > 0) & (np.abs(fx) > 0)
    used = off_axis & (ring < n_rings) & (ring > 0)
    corner = off_axis & (f > nyquist)
    frequency = (np.arange(n_rings) + 0.5) * step
    group = ring[used] * N_SECTORS + sector[used]
    return _Rings(ring[used], group, used, np.flatnonzero(corner), frequency, nyquist)


@dataclass(frozen=True)
class TileSpectra:
    """Power spectra of the tiles of one image."""

    rings: _Rings
    reference: float
    """Information limit of a good micrograph, in the units of the rings."""
    lowest: float
    """Frequency below which outlines of particles dominate the spectrum."""
    tiles: np.ndarray
    """Shape (tile, y, x // 2 + 1): power of each frequency."""
    levels: np.ndarray
    """Shape (ring, sector): median power; NaN where the group is empty."""
    noise: float
    """Median power beyond the Nyquist frequency."""

    @functools.cached_property
    def ring_levels(self) -> np.ndarray:
        """Shape (ring,): median over sectors; NaN for the first, which the window fills."""
        levels = np.full(len(self.levels), np.nan)
        known = np.isfinite(self.levels).sum(axis=1) >= N_SECTORS // 2
        known[:1] = False
        rows = self.levels[known]
        middle = np.median if np.isfinite(rows).all() else np.nanmedian  # ten times as fast
        levels[known] = middle(rows, axis=1)
        return levels

    def band(self, lowest: float, highest: float) -> np.ndarray:
        """Return which rings lie between two frequencies and are known.

        Parameters
        ----------
        lowest, highest : float
            Frequencies in the units of the rings.

        Returns
        -------
        numpy.ndarray of bool
            Shape (ring,).
        """
        f = self.rings.frequency
        return np.asarray((f >= lowest) & (f <= highest) & np.isfinite(self.ring_levels))

    def above_noise(self, lowest: float) -> np.ndarray:
        """Return the rings whose signal stands above the noise.

        Parameters
        ----------
        lowest : float
            Frequency from which on, in the units of the rings.

        Returns
        -------
        numpy.ndarray of int
            Their numbers.
        """
        return np.flatnonzero(
            self.band(lowest, np.inf) & (np.nan_to_num(self.ring_levels) > (1 + MIN_SNR) * self.noise)
        )

    def sharpness(self) -> float:
        """Compare the signal in the upper two fifths of the band up to the reference with that below it."""
        if self.peak_snr(0.6 * self.reference) > SURE_PEAK_SNR:
            return 1.0  # lattice reflections prove a sharp image, even where carbon is too weak to show it
        limit = self.reference
        while True:
            low, high = self.band(0.2 * limit, 0.6 * limit), self.band(0.6 * limit, limit)
            if min(low.sum(), high.sum()) < 2:
                return np.nan
            coarse = float(np.median(self.ring_levels[low])) - self.noise
            fine = float(self.ring_levels[high].mean())
            # about a sixth of the frequencies are independent: the window and overlapping tiles correlate neighbors
            error = fine / np.sqrt(len(self.tiles) * np.count_nonzero(high[self.rings.ring]) / 6)
            fine -= self.noise
            if fine > 4 * error or 2 * error < MAX_RATIO_ERROR * coarse:
                return float(np.clip(fine / coarse, 0, 1)) if coarse > 0 else 1.0
            # noise hides both, which does not mean blur. The outlines of particles, whose power falls no faster than
            # f^-4, allow the same comparison at lower frequencies
            limit /= 2**0.5

    def anisotropy(self) -> float:
        """Return the second harmonic over angle of the signal, the same for all frequencies in drift."""
        rings = self.above_noise(self.lowest)
        rings = rings[np.isfinite(self.levels[rings]).all(axis=1)]
        if rings.size < MIN_RINGS:
            return np.nan
        rings = rings[rings >= rings[-1] / 2]
        signal = self.levels[rings] - self.noise
        over_angle = np.median(signal / signal.mean(axis=1, keepdims=True), axis=0)
        angle = 2 * np.pi * np.arange(N_SECTORS) / N_SECTORS
        harmonic = abs(np.sum(over_angle * np.exp(1j * angle))) / abs(over_angle.sum())
        return float(min(1.0, 2 * harmonic))

    @functools.cached_property
    def peaks(self) -> np.ndarray:
        """Shape (n,): power over the median of the ring, mean of 3 × 3 frequencies, in the tile where it is highest."""
        level = self.ring_levels[self.rings.ring]
        divisor = np.full(self.rings.used.shape, np.inf, np.float32)  # what is not known becomes 0
        divisor.reshape(-1)[self.rings.places] = np.where(level > 0, level, np.inf)
        ratio, strongest = np.empty_like(divisor), np.zeros_like(divisor)
        for tile in self.tiles:
            np.divide(tile, divisor, out=ratio)
            # a particle is smaller than the tile, so that its reflections are wider than one frequency
            np.maximum(strongest, cv2.blur(ratio, (3, 3)), out=strongest)
        return np.where(level > 0, strongest.reshape(-1)[self.rings.places], np.nan)

    def peak_snr(self, lowest: float) -> float:
        """Return the strongest peak over the median power of its ring.

        Parameters
        ----------
        lowest : float
            Frequency from which on, in the units of the rings.

        Returns
        -------
        float
            At least 0; NaN where no ring is known.
        """
        peaks = self.peaks[self.rings.frequency[self.rings.ring] >= lowest]
        peaks = peaks[np.isfinite(peaks)]
        return float(peaks.max()) if peaks.size else np.nan

    def granularity(self) -> float:
        """Return the median power of the rings between outlines and information limit."""
        level = self.ring_levels[self.band(self.lowest, self.reference)]
        return float(np.median(level)) if level.size else np.nan


def tile_spectra(
    pixels: np.ndarray, extremes: tuple[float, float], pixel_size_nm: PixelSize | None
) -> TileSpectra | None:
    """Transform up to 16 tiles of an image.

    Parameters
    ----------
    pixels : numpy.ndarray
        Shape (y, x), finite.
    extremes : tuple of float
        Smallest and largest pixel, which differ.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; None counts frequencies in 1/px.

    Returns
    -------
    TileSpectra or None
        None for an image too small for it.
    """
    shape = tuple(scipy.fft.prev_fast_len(min(n, TILE_PX), real=True) for n in pixels.shape)
    if min(shape) < MIN_TILE_PX:
        return None
    rings = _rings(shape, pixel_size_nm or (1.0, 1.0))
    if len(rings.frequency) < MIN_TILE_PX // (4 * RING_WIDTH):
        return None  # pixels so far from square that the axes share few frequencies
    tiles = _tiles(pixels, extremes, shape)
    power = _power(tiles)
    flat = power.reshape(len(power), -1)
    levels = _group_medians(_over_tiles(flat.take(rings.places, axis=1)), rings.members)
    noise = max(float(np.median(_over_tiles(flat.take(rings.corner, axis=1)))), 1e-9 * float(np.nanmax(levels)))
    nyquist = rings.nyquist
    known = pixel_size_nm is not None
    return TileSpectra(
        rings=rings,
        reference=min(REFERENCE_PER_NM, 0.8 * nyquist) if known else REFERENCE_PER_PX,
        lowest=min(MORPHOLOGY_LIMIT_PER_NM, nyquist / 5) if known else MORPHOLOGY_LIMIT_PER_PX,
        tiles=power,
        levels=levels.reshape(-1, N_SECTORS),
        noise=noise,
    )


def _tiles(pixels: np.ndarray, extremes: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
    """Cut tiles spread over the image, in units of its range, without X-ray spikes."""
    starts = [
        np.linspace(0, n - side, min(MAX_TILES_PER_AXIS, max(1, round(2 * n / side) - 1))).astype(int)
        for n, side in zip(pixels.shape, shape, strict=True)
    ]
    corners = [(y, x) for y in starts[0] for x in starts[1]]
    overlap = pixels.size < len(corners) * shape[0] * shape[1]  # then scaling the image takes less than all tiles
    is_integer = pixels.dtype.kind == "u"  # spikes are found faster in these
    source = unit_range(pixels, extremes) if overlap and not is_integer else pixels
    tiles = np.stack([source[y : y + shape[0], x : x + shape[1]] for y, x in corners])
    if is_integer:
        return unit_range(_without_spikes(tiles), extremes)
    return _without_spikes(tiles if overlap else unit_range(tiles, extremes))


def _without_spikes(tiles: np.ndarray) -> np.ndarray:
    """Replace X-ray spikes in tiles by the median of their surroundings, in place."""
    smooth = np.empty_like(tiles)
    for tile, median in zip(tiles, smooth, strict=True):
        cv2.medianBlur(tile, 3, dst=median)
    residual = cv2.absdiff(tiles.reshape(-1, tiles.shape[2]), smooth.reshape(-1, tiles.shape[2])).reshape(tiles.shape)
    limit = 8 * float(residual[:, ::4, ::4].std())
    spikes = np.flatnonzero(residual > (int(limit) if tiles.dtype.kind == "u" else limit))
    tiles.reshape(-1)[spikes] = smooth.reshape(-1)[spikes]
    return tiles


def _power(tiles: np.ndarray) -> np.ndarray:
    """Return the power of each frequency of each tile, shape (tile, y, x // 2 + 1); the tiles are overwritten."""
    window = np.multiply.outer(*(hann(n, periodic=True) for n in tiles.shape[1:])).astype(np.float32)
    total, unit_window = window.sum(), window / np.sqrt((window**2).sum())
    power = np.empty((*tiles.shape[:2], tiles.shape[2] // 2 + 1), np.float32)
    for tile, out in zip(tiles, power, strict=True):  # one after the other: each fits into the cache
        tile -= (tile * window).sum() / total
        tile *= unit_window
        spectrum = scipy.fft.rfft2(tile)
        np.square(spectrum.real, out=out)
        out += np.square(spectrum.imag)
    return power


def _over_tiles(power: np.ndarray) -> np.ndarray:
    """Return the median over the tiles, by a sorting network, in a tenth of the time of NumPy's; overwrites them."""
    rows = list(power)
    spare = np.empty_like(rows[0])
    for i, j in _sorting_network(len(rows)):
        np.minimum(rows[i], rows[j], out=spare)
        np.maximum(rows[i], rows[j], out=rows[j])
        rows[i], spare = spare, rows[i]
    n = len(rows)
    return np.asarray((rows[(n - 1) // 2] + rows[n // 2]) / 2)


@functools.cache
def _sorting_network(n: int) -> tuple[tuple[int, int], ...]:
    """Return the comparisons that sort n values: Batcher's odd-even merge sort (AFIPS Proc. 32 (1968) 307)."""
    pairs = []
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k % p, n - k, 2 * k):
                near = range(j, j + min(k, n - j - k))
                pairs += [(i, i + k) for i in near if i // (2 * p) == (i + k) // (2 * p)]
            k //= 2
        p *= 2
    return tuple(pairs)


def _group_medians(values: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return the median of each group, whose members are numbers of values; NaN for an empty one."""
    rows = np.sort(np.append(values, np.inf).astype(values.dtype)[members], axis=1)
    count = np.count_nonzero(members < values.size, axis=1)
    filled = np.flatnonzero(count)
    medians = np.full(len(members), np.nan)
    low, high = (rows[filled, at[filled]].astype(np.float64) for at in ((count - 1) // 2, count // 2))
    medians[filled] = (low + high) / 2
    return medians
