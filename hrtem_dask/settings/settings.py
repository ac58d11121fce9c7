"""Settings: one frozen dataclass per stage, read from and written to TOML.

Every length and frequency carries its unit in its name. What decides the result is hashed
(`Settings.science_hash`); what only decides how fast it comes (device, engine, tiles) is kept apart in
`ExecutionSettings` and is not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.errors import SettingsError
from hrtem_dask.provenance import record_hash
from hrtem_dask.settings.defects import DefectSettings
from hrtem_dask.settings.detection import DETECTION_METHODS, DetectionSettings
from hrtem_dask.settings.execution import ExecutionSettings
from hrtem_dask.settings.filtering import FilteringSettings
from hrtem_dask.settings.fourier import FourierSettings
from hrtem_dask.settings.loading import LoadingSettings
from hrtem_dask.settings.particles import ParticleSettings
from hrtem_dask.settings.quality import QualitySettings
from hrtem_dask.settings.segmentation import SegmentationSettings
from hrtem_dask.toml_records import parse_toml, read_record, record_to_toml, update_record

BUNDLED_MIN_MEAN_PROBABILITY = 0.8
"""`particles.min_mean_probability` with the bundled U-Net; the model card says how it was chosen."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a run.

    Examples
    --------
    >>> from hrtem_dask import Settings
    >>> settings = Settings().updated({"segmentation": {"method": "otsu"}, "fourier": {"material": "Au"}})
    >>> settings.segmentation.method, settings.fourier.material, settings.particles.min_area_px
    ('otsu', 'Au', 100)
    """

    loading: LoadingSettings = field(default_factory=LoadingSettings)
    filtering: FilteringSettings = field(default_factory=FilteringSettings)
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    particles: ParticleSettings = field(default_factory=ParticleSettings)
    fourier: FourierSettings = field(default_factory=FourierSettings)
    defects: DefectSettings = field(default_factory=DefectSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    cluster: Cluster = field(default_factory=Cluster)
    """Where tasks run; not written to ``run.toml``."""

    @property
    def particle_rules(self) -> ParticleSettings:
        """`particles`, with the least mean probability that the method and the model decide where none is set."""
        if self.particles.min_mean_probability is not None:
            return self.particles
        is_bundled = self.segmentation.chosen_method == "unet" and self.segmentation.model is None
        return dataclasses.replace(
            self.particles, min_mean_probability=BUNDLED_MIN_MEAN_PROBABILITY if is_bundled else 0
        )

    def science_hash(self) -> str:
        """Return a hash of every setting that decides what is found on a micrograph.

        Returns
        -------
        str
            16 hexadecimal digits. Left out is what the ledger holds for each micrograph (pixel size, content of
            models and flat field) and what is decided when a run ends (duplicates).
        """
        return record_hash(self._science())

    def labels_hash(self) -> str:
        """Return a hash of every setting that decides the labels, and the sizes and shapes of what they show.

        Returns
        -------
        str
            16 hexadecimal digits: `science_hash` without the settings of the stages that only use labels (``fourier``,
            ``defects``) or only judge the image (``quality``).
        """
        later = {"fourier", "defects", "quality"}
        return record_hash({name: values for name, values in self._science().items() if name not in later})

    def _science(self) -> dict[str, Any]:
        """Return every setting that decides what is found on a micrograph."""
        science = {k: v for k, v in dataclasses.asdict(self).items() if k not in {"execution", "loading", "cluster"}}
        science["segmentation"] |= {"model": None, "method": self.segmentation.chosen_method}
        if self.segmentation.chosen_method not in DETECTION_METHODS:
            del science["detection"]  # not used: the hashes of earlier runs stay
        if self.fourier.lattice:
            del science["fourier"]["lattice"]  # as it was before there was a choice
        if self.particles.min_mean_probability is None:
            del science["particles"]["min_mean_probability"]  # as it was before there was such a limit
        science["defects"] |= {"model": None}
        science["filtering"] |= {"flat_field": None}
        science["quality"] |= {"set_aside": sorted(set(self.quality.set_aside) - {"duplicate"})}
        return science

    def to_toml(self) -> str:
        """Write the settings as TOML, one table per stage.

        Returns
        -------
        str
            TOML text. TOML has no null: settings that are None are left out, which reads back as None.

        Examples
        --------
        >>> print(Settings().to_toml()[:63])
        [loading]
        pixels = false
        plausible_pixel_size_nm = [
            0.001,
        """
        return record_to_toml(self)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        r"""Read settings from TOML.

        Parameters
        ----------
        text : str
            TOML with a table per stage; settings that it does not name keep their defaults.

        Returns
        -------
        Settings
            The settings.

        Raises
        ------
        SettingsError
            If a stage or a setting is unknown, or a value has the wrong type.

        Examples
        --------
        >>> Settings.from_toml("[particles]\nmin_area_px = 50").particles.min_area_px
        50
        """
        values = parse_toml(text, "the settings")
        tables = values.get("settings", values)
        if not isinstance(tables, dict):
            raise SettingsError(f"settings must be a table, got {tables!r}: write [settings.particles] and so on")
        return cls().updated(tables)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read settings from a TOML file.

        Parameters
        ----------
        path : str or path-like
            The file. The ``run.toml`` of a finished run gives the settings of that run.

        Returns
        -------
        Settings
            The settings.

        Raises
        ------
        SettingsError
            If the file cannot be read, or as in `from_toml`; the message names the file.
        """
        return read_record(path, cls.from_toml, "the settings")

    def updated(self, tables: Mapping[str, Mapping[str, object]]) -> Self:
        """Return a copy with some settings changed.

        Parameters
        ----------
        tables : mapping
            Stage name → setting name → value.

        Returns
        -------
        Settings
            The copy.

        Raises
        ------
        SettingsError
            If a stage or a setting is unknown, or a value has the wrong type.

        Examples
        --------
        >>> Settings().updated({"segmentation": {"method": "otsu"}}).segmentation.chosen_method
        'otsu'
        """
        return update_record(self, tables)
