"""Settings of the classification of regions and of the search for faults."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from hrtem_dask.errors import SettingsError
from hrtem_dask.settings.ranges import require

BUNDLED_DEFECT_MODEL = "models/defects.safetensors"
"""The forest that comes with the package; see ``models/defects.md``."""


@dataclass(frozen=True, kw_only=True)
class DefectSettings:
    """How regions are classified."""

    classify: bool = True
    """Classify regions and find stacking faults, where a lattice can be seen: pixels of at most 0.1 nm."""
    model: str | None = None
    """Path of the forest (`hrtem-dask train defects`); None takes the bundled one."""
    unsure_below: float | None = None
    """A region whose likeliest class is less probable than this is unsure, 0 to 1; None takes the model's own."""
    min_exclusion_probability: float = 0.9
    """A particle whose region is no_particle, or an agglomeration that was not split, with at least this probability,
    is not counted; above 1 none is left out for its class."""

    voltage_range_kv: tuple[float, float] = (150.0, 350.0)
    """Acceleration voltages (kV) for which the classifier holds; the bundled one was trained at 200 and 300 kV. At
    another voltage, where the micrograph states it, every fault state is unknown."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        low, high = self.voltage_range_kv
        if not 0 <= low <= high:
            raise SettingsError(f"defects.voltage_range_kv must be 0 ≤ from ≤ to (kV), got {low:g} and {high:g}")
        if self.unsure_below is not None:
            require("defects.unsure_below", self.unsure_below, 0, 1)
        require("defects.min_exclusion_probability", self.min_exclusion_probability, 0)

    def holds_at(self, voltage_kv: float | None) -> bool:
        """Return whether the classifier holds for a voltage.

        Parameters
        ----------
        voltage_kv : float or None
            Acceleration voltage (kV); None where it is not known.

        Returns
        -------
        bool
            True where it is not known.
        """
        return voltage_kv is None or self.voltage_range_kv[0] <= voltage_kv <= self.voltage_range_kv[1]

    @property
    def model_file(self) -> str | None:
        """Where the forest is on this machine; None where nothing is to be classified."""
        if not self.classify:
            return None
        return self.model or str(resources.files("hrtem_dask").joinpath(BUNDLED_DEFECT_MODEL))
