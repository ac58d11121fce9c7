"""Loading: find files, list the micrographs in them, and read one image with its pixel size in nm."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hrtem_dask.loading.access import local_copy, source_hash, source_stat
    from hrtem_dask.loading.discover import find_sources, other_kind
    from hrtem_dask.loading.pixel_sizes import calibration_flags, length_in_nm
    from hrtem_dask.loading.polarity import stated_polarity
    from hrtem_dask.loading.records import MicrographRecord, micrograph_id, set_aside_uncalibrated, to_row
    from hrtem_dask.loading.sample_table import SampleMetadata, read_metadata
    from hrtem_dask.loading.signals import list_micrographs, read_image, read_micrograph, read_single_image
    from hrtem_dask.loading.source import Source

__all__ = [
    "MicrographRecord",
    "SampleMetadata",
    "Source",
    "calibration_flags",
    "find_sources",
    "length_in_nm",
    "list_micrographs",
    "local_copy",
    "micrograph_id",
    "other_kind",
    "read_image",
    "read_metadata",
    "read_micrograph",
    "read_single_image",
    "set_aside_uncalibrated",
    "source_hash",
    "source_stat",
    "stated_polarity",
    "to_row",
]

_HOME = {
    "access": ("local_copy", "source_hash", "source_stat"),
    "polarity": ("stated_polarity",),
    "pixel_sizes": ("calibration_flags", "length_in_nm"),
    "discover": ("find_sources", "other_kind"),
    "sample_table": ("SampleMetadata", "read_metadata"),
    "records": ("MicrographRecord", "micrograph_id", "set_aside_uncalibrated", "to_row"),
    "signals": ("list_micrographs", "read_image", "read_micrograph", "read_single_image"),
    "source": ("Source",),
}


def __getattr__(name: str) -> object:
    # PEP 562: names are loaded when first used, so that `--help` does not import pandas and xarray
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f"hrtem_dask.loading.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
