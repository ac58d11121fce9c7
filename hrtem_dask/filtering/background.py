"""Uneven illumination: a low-order surface fitted to the background and divided out.

The surface is fitted to the means of a coarse grid of blocks by least trimmed squares: the half of the blocks that one
surface describes best decides, so particles, holes and film edges on up to half of the field do not pull it.
"""

from __future__ import annotations

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
    inside = values[: rows * side, : columns * side]
    means: np.ndarray = inside.reshape(rows, side, columns, side).mean(axis=(1, 3), dtype="float64")
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
    rng = np.random.default_rng(0)
    # small subsets: many of them hold background alone; the first start is the fit to all points
    weights = np.zeros((_STARTS, n))
    np.put_along_axis(weights, rng.integers(n, size=(_STARTS, 2 * p)), 1.0, axis=1)
    weights[0] = 1.0
    fits = _weighted_fits(terms, values, weights)
    for _ in range(2):
        fits = _concentrated(terms, values, fits, half)
    fits = fits[np.argsort(_trimmed(terms, values, fits, half))[:_KEPT]]
    for _ in range(_STEPS):
        before, fits = fits, _concentrated(terms, values, fits, half)
        if np.array_equal(before, fits):
            break
    residuals = _trimmed(terms, values, fits, half)
    best = int(residuals.argmin())
    return fits[best], float(residuals[best])


def _weighted_fits(terms: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return least-squares coefficients, shape (fits, terms), for each row of weights."""
    p = terms.shape[1]
    products = (terms[:, :, None] * terms[:, None]).reshape(len(terms), p * p)
    normal = (weights @ products).reshape(-1, p, p) + 1e-9 * np.eye(p)
    fits: np.ndarray = np.linalg.solve(normal, (weights @ (terms * values[:, None]))[..., None])[..., 0]
    return fits


def _concentrated(terms: np.ndarray, values: np.ndarray, fits: np.ndarray, half: int) -> np.ndarray:
    """Fit anew to the half that each fit describes best: a step that never raises the trimmed residual."""
    distance = np.abs(values - fits @ terms.T)
    farthest = np.partition(distance, half - 1, axis=1)[:, half - 1 : half]
    weights = (distance <= farthest).astype(np.float64)
    tied = np.flatnonzero(weights.sum(axis=1) != half)
    if tied.size:  # several are equally far, as blocks of one value are
        nearest = np.argpartition(distance[tied], half - 1, axis=1)[:, :half]
        chosen = np.zeros((tied.size, len(values)))
        np.put_along_axis(chosen, nearest, 1.0, axis=1)
        weights[tied] = chosen
    return _weighted_fits(terms, values, weights)


def _trimmed(terms: np.ndarray, values: np.ndarray, fits: np.ndarray, half: int) -> np.ndarray:
    """Return the root-mean-square residual of the half that each fit describes best."""
    squares = np.partition((values - fits @ terms.T) ** 2, half - 1, axis=1)[:, :half]
    residuals: np.ndarray = np.sqrt(squares.mean(axis=1))
    return residuals
