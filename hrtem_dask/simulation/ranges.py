"""Ranges of the conditions that vary from one simulated micrograph to the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from hrtem_dask.errors import SettingsError
from hrtem_dask.provenance import record_hash
from hrtem_dask.simulation.crystals import CRYSTALS
from hrtem_dask.simulation.shapes import SHAPES
from hrtem_dask.toml_records import check_types, parse_toml, read_record, record_to_dict, record_to_toml, update_record

__all__ = ["Range", "SimulationRanges", "TomlRanges"]

Range = tuple[float, float]
"""Smallest and largest value; drawn uniformly, or uniformly in the logarithm where the field mentions it."""


@dataclass(frozen=True, kw_only=True)
class TomlRanges:
    """Ranges that are written as TOML, read from TOML, and hashed; the base of the ranges of each regime."""

    def to_toml(self) -> str:
        """Write the ranges as TOML.

        Returns
        -------
        str
            TOML text, read back by `from_toml`.
        """
        return record_to_toml(self)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read ranges from TOML.

        Parameters
        ----------
        text : str
            TOML; what it does not name keeps its default.

        Returns
        -------
        SimulationRanges or ContrastRanges
            The ranges, of the class that this method is called on.

        Raises
        ------
        SettingsError
            If a name is unknown or a value impossible.
        """
        values = parse_toml(text, "the simulation's ranges")
        ranges = values.get("ranges", values)
        if not isinstance(ranges, dict):
            raise SettingsError(f"ranges must be a table, got {ranges!r}: write [ranges] and one range per line")
        # the hash of a file that writes 80 for 80.0 is that of its own digits, as it has always been
        return update_record(cls(), ranges, keep_whole=True)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read ranges from a TOML file.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        SimulationRanges or ContrastRanges
            The ranges, of the class that this method is called on.

        Raises
        ------
        SettingsError
            As `from_toml`, with the file named.
        """
        return read_record(path, cls.from_toml, "the ranges")

    def hash(self) -> str:
        """Return a hash of all ranges.

        Returns
        -------
        str
            16 hexadecimal digits.
        """
        return record_hash(record_to_dict(self))

    def check_values(self, *, positive: Iterable[str], may_be_negative: bool = False) -> None:
        """Refuse values that are impossible in every regime.

        Parameters
        ----------
        positive : iterable of str
            Names of pairs that must be above 0.
        may_be_negative : bool
            Whether the other pairs may be below 0.

        Raises
        ------
        SettingsError
            If a value has a wrong type, a pair is no pair or of impossible numbers, a name that ends in ``_fraction``
            has no number from 0 to 1, or ``size_px`` is not from 64 to 4096.
        """
        check_types(self)
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            least, what = (-np.inf, "from ≤ to") if may_be_negative else (0.0, "0 ≤ from ≤ to")
            if isinstance(value, tuple) and not (len(value) == 2 and least <= value[0] <= value[1]):
                raise SettingsError(f"{f.name} must be a pair {what}, got {value!r}")
            if f.name.endswith("_fraction") and not 0 <= value <= 1:
                raise SettingsError(f"{f.name} must be from 0 to 1, got {value!r}")
            if f.name == "size_px" and not 64 <= value <= 4096:
                raise SettingsError(f"size_px must be from 64 to 4096, got {value!r}")
        for name in positive:
            if not getattr(self, name)[0] > 0:
                raise SettingsError(f"{name} must be positive, got {getattr(self, name)!r}")

    def check_weights(self, known_names: Mapping[str, Iterable[str]]) -> None:
        """Check the weights by which names are drawn.

        Parameters
        ----------
        known_names : mapping
            Field with weights → names that may have one.

        Raises
        ------
        SettingsError
            If a name is unknown, a weight is negative, or no weight is positive.
        """
        for name, known in known_names.items():
            weights: Mapping[str, float] = getattr(self, name)
            unknown = sorted(set(weights) - set(known))
            if unknown:
                raise SettingsError(f"unknown name {unknown[0]!r} in {name}: known are {', '.join(known)}")
            if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
                raise SettingsError(f"{name} need weights of 0 and more, one of them positive, got {dict(weights)!r}")


@dataclass(frozen=True, kw_only=True)
class SimulationRanges(TomlRanges):
    """Ranges from which the conditions of each micrograph are drawn; a pair is the smallest and the largest value."""

    size_px: int = 512
    """Height and width of a micrograph (px)."""
    pixel_size_nm: Range = (0.02, 0.06)
    """Pixel size (nm)."""
    materials: Mapping[str, float] = field(
        default_factory=lambda: {"Au": 0.42, "CdSe": 0.32, "CdSe-zb": 0.14, "Pt": 0.04, "Ag": 0.04, "CdTe": 0.04}
    )
    """Relative frequency of each material; all particles of a micrograph have the same material."""
    shapes: Mapping[str, float] = field(
        default_factory=lambda: {
            "sphere": 0.25,
            "ellipsoid": 0.25,
            "truncated_octahedron": 0.2,
            "faceted": 0.2,
            "rod": 0.1,
        }
    )
    """Relative frequency of each shape."""
    empty_fraction: float = 0.12
    """Share of micrographs without a particle."""
    coverage: Range = (0.02, 0.3)
    """Share of the field that particles are drawn to cover."""
    median_diameter_nm: Range = (2.5, 7.0)
    """Median of the lognormal size distribution of a micrograph (nm); drawn uniformly in the logarithm."""
    diameter_spread: float = 0.25
    """Standard deviation of the logarithm of the diameter."""
    diameter_limits_nm: Range = (2.0, 15.0)
    """Smallest and largest diameter of a particle (nm)."""
    touching_fraction: float = 0.15
    """Share of particles placed against another one, touching or overlapping."""
    misoriented_fraction: float = 0.4
    """Share of particles more than 5.5° from every low-index zone axis."""
    between_fraction: float = 0.05
    """Share of particles 3.5° to 5.5° from a low-index zone axis."""
    fault_fraction: float = 0.45
    """Share of faulted particles."""
    carbon_thickness_nm: Range = (2.0, 12.0)
    """Thickness of the amorphous carbon (nm)."""
    carbon_variation: Range = (0.0, 0.35)
    """Relative standard deviation of the thickness over the field, on scales of several nm."""
    edge_fraction: float = 0.12
    """Share of micrographs in which the thickness of the film has a step along a line: an edge, a fold, a hole."""
    voltage_kv: float = 300.0
    """Acceleration voltage (kV)."""
    defocus_nm: Range = (0.0, 80.0)
    """Defocus (nm), positive is underfocus."""
    overfocus_fraction: float = 0.1
    """Share of micrographs in which the sign of the defocus is reversed."""
    cs_mm: Range = (-0.01, 1.2)
    """Spherical aberration (mm) without a corrector; half of the micrographs have a corrector and at most 0.02 mm."""
    astigmatism_nm: Range = (0.0, 6.0)
    """Two-fold astigmatism (nm)."""
    coma_nm: Range = (0.0, 60.0)
    """Axial coma (nm)."""
    focal_spread_nm: Range = (2.0, 6.0)
    """Standard deviation of the defocus (nm)."""
    aperture_per_nm: Range = (6.0, 14.0)
    """Objective aperture (1/nm)."""
    absorption: Range = (0.02, 0.14)
    """Ratio of the absorptive to the elastic potential: inelastic and diffuse scattering is lost for the image."""
    vibration_nm: Range = (0.02, 0.06)
    """Standard deviation of the specimen's vibration (nm)."""
    drift_nm: Range = (0.0, 0.1)
    """Drift of the specimen during the exposure (nm)."""
    dose_per_nm2: Range = (1.0e4, 6.0e5)
    """Electrons per nm²; drawn uniformly in the logarithm."""
    mtf_at_nyquist: Range = (0.15, 0.7)
    """Modulation transfer of the scintillator at the Nyquist frequency."""
    background: Range = (0.0, 0.25)
    """Share of electrons that carry no contrast."""
    gradient: Range = (0.0, 0.3)
    """Change of the illumination across the field over its mean."""
    n_spikes: Range = (0, 8)
    """Number of X-ray spikes."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        positive = ("pixel_size_nm", "median_diameter_nm", "diameter_limits_nm", "dose_per_nm2", "aperture_per_nm")
        self.check_values(positive=positive, may_be_negative=True)
        if self.carbon_thickness_nm[0] < 0:
            raise SettingsError(f"carbon_thickness_nm must be at least 0, got {self.carbon_thickness_nm!r}")
        if self.pixel_size_nm[1] > 0.1:
            raise SettingsError(f"pixel_size_nm must be at most 0.1 nm to show a lattice, got {self.pixel_size_nm!r}")
        if self.misoriented_fraction + self.between_fraction > 1:
            raise SettingsError("misoriented_fraction and between_fraction add up to more than 1")
        self.check_weights({"materials": CRYSTALS, "shapes": SHAPES})


def draw(rng: np.random.Generator, limits: Range, *, logarithmic: bool = False) -> float:
    """Draw from a range.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    limits : tuple of float
        Smallest and largest value, both positive if `logarithmic`.
    logarithmic : bool
        Whether to draw uniformly in the logarithm.

    Returns
    -------
    float
        The drawn value.
    """
    return float(np.exp(rng.uniform(*np.log(limits)))) if logarithmic else float(rng.uniform(*limits))


def choose(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """Draw a name with a probability proportional to its weight.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    weights : mapping of str to float
        Weight of each name, 0 or more.

    Returns
    -------
    str
        The drawn name.
    """
    names, values = list(weights), np.array(list(weights.values()), float)
    return names[int(rng.choice(len(names), p=values / values.sum()))]
