"""Uneven illumination: a low-order surface fitted to the background and divided out.

The surface is fitted to the means of a coarse grid of blocks by least trimmed squares: the half of the blocks that one
surface describes best decides, so particles, holes and film edges on up to half of the field do not pull it.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

from hrtem_dask.backend import array_namespace, to_numpy
from hrtem_dask.filtering.intensity import as_float32

__all__ = ["background_surface", "flatten_background"]

BLOCKS = 24
"""Most blocks along the longer side of the grid."""
MIN_BLOCK_PX = 8
"""Smallest side of a block (px): smaller ones follow noise and lattice."""
MIN_CHANGE = 0.08
"""A surface that changes over the field by less than this share of its level is no uneven illumination."""
MIN_GAIN = 0.85
"""A higher order is accepted where it lowers the trimmed residual below this share of the lower order's."""
MIN_LEVEL = 0.2
"""Where the surface falls below this share of its median, it is subtracted: a division would amplify noise."""
_STARTS = 150
_KEPT = 5
_STEPS = 12


def flatten_background(image: np.ndarray) -> np.ndarray:
    """Divide an image by the surface of its uneven illumination.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype, finite, spikes already removed.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32. An image without uneven illumination is returned unchanged, bit by bit. The surface is
        divided out relative to its median, so the level of the image stays; it is subtracted where the image is not
        positive or the surface falls below a fifth of its median.
    """
    values = as_float32(image)
    xp = array_namespace(values)
    side = max(MIN_BLOCK_PX, -(-max(values.shape) // BLOCKS))
    coefficients = background_surface(to_numpy(_block_means(values, side)))
    if coefficients is None:
        return values
    y, x = (_powers(_positions(n, side)) for n in values.shape)
    surface = xp.asarray((y @ coefficients).astype(np.float32)) @ xp.asarray(x.T.astype(np.float32))
    level = float(coefficients[0, 0])
    if level > 0 and float(surface.min()) > MIN_LEVEL * level and float(values.min()) >= 0:
        flat: np.ndarray = values / (surface / xp.float32(level))
    else:
        flat = values - (surface - xp.float32(level))
    return flat


def background_surface(blocks: np.ndarray) -> np.ndarray | None:
    """Fit the surface of the background to block means.

    Parameters
    ----------
    blocks : numpy.ndarray
        Shape (rows, columns), float: mean intensity of each block.

    Returns
    -------
    numpy.ndarray or None
        Shape (3, 3), float64: coefficient of yⁱ xʲ at row i and column j, with y and x from −1 to 1 between the centers
        of the outermost blocks: a plane, or a quadratic surface where that describes the background clearly better.
        None where neither does, or the change over the field is below 8 % of the level (of the spread of the blocks,
        where the level is near zero).

    References
    ----------
    Rousseeuw, Least median of squares regression, J. Am. Stat. Assoc. 79 (1984) 871: least trimmed squares.
    """
    if min(blocks.shape) < 3:
        return None
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in blocks.shape), indexing="ij")
    values = blocks.astype(np.float64).ravel()
    terms = {order: _terms(y.ravel(), x.ravel(), order) for order in (0, 1, 2)}
    fits = {order: _least_trimmed_squares(t, values) for order, t in terms.items()}
    order = 0
    for higher in (1, 2):
        if fits[higher][1] < MIN_GAIN ** (higher - order) * fits[order][1]:
            order = higher
    surface = terms[order] @ fits[order][0]
    scale = max(abs(float(np.median(surface))), float(values.std()))
    if order == 0 or np.ptp(surface) <= MIN_CHANGE * scale:
        return None
    coefficients = np.zeros((3, 3))
    coefficients[tuple(np.array(_orders(order)).T)] = fits[order][0]
    return coefficients


def _block_means(values: np.ndarray, side: int) -> np.ndarray:
    """Return the means of square blocks; the remainder at the right and lower border is left out."""
    rows, columns = (n // side for n in values.shape)
    # whole rows are added faster than pieces of them
    sums = values[: rows * side].reshape(rows, side, values.shape[1]).sum(axis=1, dtype="float64")
    means: np.ndarray = sums[:, : columns * side].reshape(rows, columns, side).sum(axis=2) / side**2
    return means


def _positions(n: int, side: int) -> np.ndarray:
    """Return the position of each pixel, −1 at the center of the first block and 1 at that of the last one."""
    span = (n // side - 1) * side
    positions: np.ndarray = (2 * np.arange(n) - (side - 1)) / span - 1
    return positions


def _powers(positions: np.ndarray) -> np.ndarray:
    """Return powers 0, 1 and 2, shape (n, 3)."""
    return np.stack([np.ones_like(positions), positions, positions**2], axis=1)


def _orders(order: int) -> list[tuple[int, int]]:
    """Return the exponents of y and x of all monomials up to an order."""
    return [(i, j) for i, j in itertools.product(range(order + 1), repeat=2) if i + j <= order]


def _terms(y: np.ndarray, x: np.ndarray, order: int) -> np.ndarray:
    """Return the monomials up to an order, shape (n, terms)."""
    return np.stack([y**i * x**j for i, j in _orders(order)], axis=1)


def _least_trimmed_squares(terms: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the coefficients of the best half of the points, and their root-mean-square residual."""
    n, p = terms.shape
    half = (n + p + 1) // 2
    fit: _Fit | _Level = _Fit(terms, values, half) if p > 1 else _Level(values, half)
    fits = fit.weighted(_start_weights(n, 2 * p))
    for _ in range(2):
        fits = fit.concentrated(fits)
    fits = fits[np.argsort(fit.trimmed(fits))[:_KEPT]]
    for _ in range(_STEPS):
        before, fits = fits, fit.concentrated(fits)
        if np.array_equal(before, fits):
            break
    residuals = fit.trimmed(fits)
    best = int(residuals.argmin())
    return fits[best], float(residuals[best])


@functools.lru_cache(maxsize=12)
def _start_weights(n: int, n_chosen: int) -> np.ndarray:
    """Return weights of small subsets, many of which hold background alone; the first one is that of all points."""
    chosen = np.random.default_rng(0).integers(n, size=(_STARTS, n_chosen))
    weights = np.zeros((_STARTS, n))
    weights[np.arange(_STARTS)[:, None], chosen] = 1.0
    weights[0] = 1.0
    return weights


class _Fit:
    """Least squares of many subsets of the same points; `fits` has the shape (fits, terms)."""

    def __init__(self, terms: np.ndarray, values: np.ndarray, half: int) -> None:
        n, self.p = terms.shape
        self.terms, self.values, self.half = np.ascontiguousarray(terms.T), values, half
        products = (terms[:, :, None] * terms[:, None]).reshape(n, self.p**2)
        self.products = np.concatenate([products, terms * values[:, None]], axis=1)

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """Return least-squares coefficients for each row of weights."""
        sums = weights @ self.products
        normal = sums[:, : self.p**2].reshape(-1, self.p, self.p) + 1e-9 * np.eye(self.p)
        fits: np.ndarray = np.linalg.solve(normal, sums[:, self.p**2 :, None])[..., 0]
        return fits

    def concentrated(self, fits: np.ndarray) -> np.ndarray:
        """Fit anew to the half that each fit describes best: a step that never raises the trimmed residual."""
        distance = self._distances(fits)
        near = distance <= np.partition(distance, self.half - 1, axis=1)[:, self.half - 1 : self.half]
        if np.count_nonzero(near) != self.half * len(near):  # several are equally far, as blocks of one value are
            tied = np.flatnonzero(np.count_nonzero(near, axis=1) != self.half)
            nearest = np.argpartition(distance[tied], self.half - 1, axis=1)[:, : self.half]
            near[tied] = False
            near[tied[:, None], nearest] = True
        return self.weighted(near.astype(np.float64))

    def trimmed(self, fits: np.ndarray) -> np.ndarray:
        """Return the root-mean-square residual of the half that each fit describes best."""
        nearest = np.partition(self._distances(fits), self.half - 1, axis=1)[:, : self.half]
        residuals: np.ndarray = np.sqrt(np.square(nearest, out=nearest).mean(axis=1))
        return residuals

    def _distances(self, fits: np.ndarray) -> np.ndarray:
        distance: np.ndarray = fits @ self.terms
        distance -= self.values
        np.abs(distance, out=distance)
        return distance


class _Level:
    """The same for a level alone: the nearest half are neighbors in the order of values, so all fits are known."""

    def __init__(self, values: np.ndarray, half: int) -> None:
        self.values, ordered = values, np.sort(values)
        self.middle = float(ordered[half])  # sums of squares about it lose no digits
        windows = np.lib.stride_tricks.sliding_window_view(ordered - self.middle, half)
        self.means, self.squares = windows.mean(axis=1), windows.var(axis=1)
        self.ends = (ordered[: len(windows) - 1] + ordered[half:]) / 2  # from here on the next window is nearer

    def weighted(self, weights: np.ndarray) -> np.ndarray:
        """Return the mean for each row of weights."""
        return np.asarray(weights @ self.values / weights.sum(axis=1))[:, None]

    def concentrated(self, fits: np.ndarray) -> np.ndarray:
        """Return the mean of the half that is nearest to each level."""
        return np.asarray(self.means[np.searchsorted(self.ends, fits)] + self.middle)

    def trimmed(self, fits: np.ndarray) -> np.ndarray:
        """Return the root-mean-square residual of the half that is nearest to each level."""
        at = np.searchsorted(self.ends, fits[:, 0])
        return np.asarray(np.sqrt(self.squares[at] + (self.means[at] + self.middle - fits[:, 0]) ** 2))
