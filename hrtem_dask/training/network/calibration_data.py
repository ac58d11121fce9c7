"""Micrographs with a known mask by which the predicted Dice coefficient is calibrated: simulated or labeled by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from hrtem_dask.errors import SettingsError
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation.scales.finder import LATTICE_MAX_PIXEL_NM
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.simulated import SimulatedStore, open_simulated
from hrtem_dask.training.labelled.labelled_micrograph import Labelled
from hrtem_dask.training.labelled.sources import is_simulated, list_labelled

__all__ = ["CalibrationData", "KnownMicrograph", "calibration_data", "simulated_calibration_data"]

Regime = Literal["lattice", "contrast"]


@dataclass(frozen=True, kw_only=True)
class KnownMicrograph:
    """A micrograph as it was recorded, with its true mask."""

    image: np.ndarray
    """Shape (y, x), any real dtype."""
    mask: np.ndarray
    """Shape (y, x), bool: True on particles."""
    pixel_size_nm: PixelSize | None
    """Height and width of a pixel (nm); None if it is unknown, as in simulated stores of the contrast regime."""
    valid: np.ndarray | None = None
    """Shape (y, x), bool: True where the mask is known; None means everywhere."""


@dataclass(frozen=True, kw_only=True)
class CalibrationData:
    """Micrographs of one source and one regime, which are read one after the other."""

    name: str
    """Path of the source."""
    regime: Regime
    """``"lattice"`` or ``"contrast"``."""
    micrographs: dict[str, Callable[[], KnownMicrograph]]
    """Name of each micrograph, and the function that reads it."""
    groups: tuple[str, ...]
    """Group of each micrograph: patches of one image belong to one group, which is never split."""

    def fitted_rows(self) -> np.ndarray:
        """Tell which micrographs are used for a fit; the errors are measured on the others.

        Returns
        -------
        numpy.ndarray
            Shape (n,), bool: every other group, from the first one.
        """
        numbers = {group: i for i, group in enumerate(dict.fromkeys(self.groups))}
        return np.array([numbers[group] % 2 == 0 for group in self.groups], dtype=bool)


def calibration_data(place: str | Path) -> CalibrationData:
    """Open a simulated store, or micrographs with masks drawn by hand.

    Parameters
    ----------
    place : str or path-like
        Path of a simulated store, or of labeled micrographs as for `list_labelled`. The pixel size of the first of
        these decides the regime, as in an analysis.

    Returns
    -------
    CalibrationData
        The micrographs.

    Raises
    ------
    NothingToAnalyseError
        If the path does not exist or holds no labeled micrographs.
    SettingsError
        If a micrograph, when it is read, belongs to the other regime than the first one.
    """
    # labeled micrographs lie on this machine; a store may lie in a bucket
    if not Location.of(place).is_local or is_simulated(Path(place)):
        return simulated_calibration_data(open_simulated(place))
    listed = list_labelled([place])
    regime = _regime(listed[0].read().pixel_size_nm)
    return CalibrationData(
        name=str(place),
        regime=regime,
        micrographs={one.micrograph_id: functools.partial(_read_labelled, one, regime) for one in listed},
        groups=tuple(one.group for one in listed),
    )


def simulated_calibration_data(store: SimulatedStore) -> CalibrationData:
    """Return the micrographs of a simulated store.

    Parameters
    ----------
    store : SimulatedStore
        Store from `open_simulated`.

    Returns
    -------
    CalibrationData
        The micrographs; each one is a group of its own.
    """
    contrast = store.regime.name == "contrast"
    sizes = store.micrographs.set_index("micrograph_id")["pixel_size_nm"].astype(float)
    names = [str(name) for name in sizes.index]

    def read(name: str, size: float) -> KnownMicrograph:
        # the scale of a contrast store is found from the images, as in a run over images without a pixel size
        known = None if contrast else (size, size)
        return KnownMicrograph(image=store.image(name), mask=store.labels(name) > 0, pixel_size_nm=known)

    return CalibrationData(
        name=store.folder.url,
        regime="contrast" if contrast else "lattice",
        micrographs={n: functools.partial(read, n, float(size)) for n, size in zip(names, sizes, strict=True)},
        groups=tuple(names),
    )


def _regime(pixel_size_nm: PixelSize | None) -> Regime:
    """Return the regime in which an analysis sees a micrograph with these pixels."""
    is_contrast = pixel_size_nm is None or max(pixel_size_nm) > LATTICE_MAX_PIXEL_NM
    return "contrast" if is_contrast else "lattice"


def _read_labelled(labelled: Labelled, regime: Regime) -> KnownMicrograph:
    """Read a micrograph with a mask drawn by hand."""
    read = labelled.read()
    if _regime(read.pixel_size_nm) != regime:
        raise SettingsError(
            f"{labelled.micrograph_id} belongs to the other regime than the first micrograph of its source ({regime}): "
            f"pixels of up to {LATTICE_MAX_PIXEL_NM:g} nm and others calibrate apart; give them as two sources"
        )
    image = read.image if read.recorded is None else read.recorded
    return KnownMicrograph(image=image, mask=read.mask, pixel_size_nm=read.pixel_size_nm, valid=read.valid)
