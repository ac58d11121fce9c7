"""Amorphous carbon: a random packing of atoms, and the phase shift that it causes."""

from __future__ import annotations

import numba
import numpy as np
import scipy.fft

from hrtem_dask.simulation.imaging.scattering import scattering_phase

__all__ = ["carbon_phase", "random_packing"]

ATOMS_PER_NM3 = 100.0
"""Corresponds to 2.0 g/cm³, between soft (1.8) and hard amorphous carbon (2.2)."""
MIN_DISTANCE_NM = 0.13
"""Smallest distance of two atoms; the bond lengths of carbon are 0.14 to 0.15 nm."""
MAX_TRIALS_PER_ATOM = 30


@numba.njit(cache=True)
def _pack(rng, width, height, depth, n_wanted, min_distance, max_trials):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add atoms one by one where no other atom is too near; return their positions (n, 3).

    Each cell of a grid with the minimal distance as its edge holds a linked list of its atoms, so that a trial is
    compared with the atoms of 27 cells only.
    """
    cell = min_distance
    nx, ny, nz = int(width / cell) + 1, int(height / cell) + 1, int(depth / cell) + 1
    head = np.full((nz, ny, nx), -1, np.int32)
    following = np.full(n_wanted, -1, np.int32)
    out = np.empty((n_wanted, 3), np.float32)
    n, trials, limit = 0, 0, min_distance * min_distance
    while n < n_wanted and trials < max_trials * n_wanted:
        trials += 1
        x, y, z = rng.random() * width, rng.random() * height, rng.random() * depth
        i, j, k = int(x / cell), int(y / cell), int(z / cell)
        free = True
        for kk in range(max(k - 1, 0), min(k + 2, nz)):
            for jj in range(max(j - 1, 0), min(j + 2, ny)):
                for ii in range(max(i - 1, 0), min(i + 2, nx)):
                    other = head[kk, jj, ii]
                    while other >= 0 and free:
                        dx, dy, dz = out[other, 0] - x, out[other, 1] - y, out[other, 2] - z
                        if dx * dx + dy * dy + dz * dz < limit:
                            free = False
                        other = following[other]
                if not free:
                    break
            if not free:
                break
        if free:
            out[n, 0], out[n, 1], out[n, 2] = x, y, z
            following[n] = head[k, j, i]
            head[k, j, i] = n
            n += 1
    return out[:n]


def random_packing(rng: np.random.Generator, width_nm: float, height_nm: float, depth_nm: float) -> np.ndarray:
    """Pack carbon atoms at random, with a distance of at least 0.13 nm between any two.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    width_nm, height_nm, depth_nm : float
        Edges of the box along x, y, z (nm).

    Returns
    -------
    numpy.ndarray
        Shape (n, 3), float32: x, y, z (nm); 100 atoms per nm³.
    """
    n = round(ATOMS_PER_NM3 * width_nm * height_nm * depth_nm)
    return np.asarray(_pack(rng, width_nm, height_nm, depth_nm, max(n, 1), MIN_DISTANCE_NM, MAX_TRIALS_PER_ATOM))


def carbon_phase(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    sampling_nm: float,
    thickness_nm: np.ndarray,
    voltage_kv: float,
    limit_per_nm: float,
) -> np.ndarray:
    """Return the phase shift by an amorphous carbon film.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    shape : tuple of int
        Shape (y, x) in px.
    sampling_nm : float
        Distance between pixels (nm).
    thickness_nm : numpy.ndarray
        Shape (y, x): thickness of the film in each pixel (nm).
    voltage_kv : float
        Acceleration voltage (kV).
    limit_per_nm : float
        Band limit (1/nm).

    Returns
    -------
    numpy.ndarray
        Shape (y, x), float32: phase (rad), periodic.
    """
    phase = np.zeros(shape, np.float32)
    depth = float(thickness_nm.max())
    if depth <= 0:
        return phase
    atoms = random_packing(rng, shape[1] * sampling_nm, shape[0] * sampling_nm, depth)
    y, x = atoms[:, 1] / sampling_nm, atoms[:, 0] / sampling_nm
    row, column = np.minimum(y.astype(int), shape[0] - 1), np.minimum(x.astype(int), shape[1] - 1)
    kept = atoms[:, 2] < thickness_nm[row, column]
    density = np.zeros(shape, np.float32)
    _add_points(density, y[kept], x[kept])
    # spreading over four pixels is a convolution with a triangle, which is divided out of the transfer function
    fy, fx = scipy.fft.fftfreq(shape[0]), scipy.fft.rfftfreq(shape[1])
    triangle = np.multiply.outer(np.sinc(fy) ** 2, np.sinc(fx) ** 2)
    frequency = np.hypot.outer(fy, fx) / sampling_nm
    transfer = scattering_phase("C", frequency, voltage_kv, limit_per_nm) / triangle / sampling_nm**2
    spectrum = scipy.fft.rfft2(density, workers=1) * transfer.astype(np.float32)
    return np.asarray(scipy.fft.irfft2(spectrum, s=shape, workers=1), np.float32)


@numba.njit(cache=True)
def _add_points(density, y, x):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Distribute each point over the four nearest pixels (bilinear weights) of a periodic grid, in place."""
    height, width = density.shape
    for n in range(y.size):
        i, j = int(y[n]), int(x[n])
        v, u = y[n] - i, x[n] - j
        below, right = (i + 1) % height, (j + 1) % width
        i, j = i % height, j % width
        density[i, j] += (1 - v) * (1 - u)
        density[i, right] += (1 - v) * u
        density[below, j] += v * (1 - u)
        density[below, right] += v * u
