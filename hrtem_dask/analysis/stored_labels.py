"""Labels and rows of an earlier run as a checkpoint: what later stages change is taken back out of them.

Later stages are the lattices of particles, the classes of regions, and what follows from both. The result equals what
the search for particles gave, so these stages can be done again with other settings, without the segmenter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import fourier, tables
from hrtem_dask.analysis.outcomes import Labelled
from hrtem_dask.particles.assembly import unclassified_regions
from hrtem_dask.particles.find import Particles
from hrtem_dask.settings import Settings

__all__ = ["restore_labelled"]

_OF_MASK = (
    "seam_score", "regime", "network_scale", "network_scale_score", "network_scale_margin",
    "edge_position_px", "fused_area_fraction", "mask_agreement", "predicted_dice", "pixel_size_in_training",
)  # fmt: skip
"""Columns of a micrograph that only its mask and probability tell."""
_LATER_OF_PARTICLES = {
    "micrograph_id", "sample", "fault_probability", "fault_trace_deg", "fault_offset_nm",
    *fourier.LATTICE_COLUMNS, *fourier.ZONE_AXIS_COLUMNS,
    *(column.name for column in tables.PARTICLES if column.name.startswith("groschner2021_")),
}  # fmt: skip
_LATER_OF_REGIONS = {
    "micrograph_id", "sample", "fault_trace_deg", "fault_offset_nm",
    *(f"probability_{name}" for name in tables.REGION_CLASSES), *(column.name for column in tables.REGION_FEATURES),
}  # fmt: skip


def restore_labelled(
    labels: np.ndarray, row: Mapping[str, Any], regions: pd.DataFrame, particles: pd.DataFrame, settings: Settings
) -> Labelled | None:
    """Return one micrograph as it was after the search for particles.

    Parameters
    ----------
    labels : numpy.ndarray of int32
        Shape (y, x): the labels that are stored.
    row : mapping
        Its row of `tables.MICROGRAPHS`, analyzed with equal settings but for ``fourier``, ``defects`` and ``quality``.
    regions : pandas.DataFrame
        Its rows of `tables.REGIONS`.
    particles : pandas.DataFrame
        Its rows of `tables.PARTICLES`.
    settings : Settings
        Of these, ``particles.max_region_area_nm2``.

    Returns
    -------
    Labelled or None
        What the search for particles gave; None where the rows do not tell, because one crystal fills the field or
        labels were corrected by hand.
    """
    known = {name: None if pd.isna(value) else value for name, value in row.items()}
    if known.get("field_kind") == "one_crystal" or known.get("corrected"):
        return None
    limit = settings.particles.max_region_area_nm2
    found = tables.Rows.of_table(particles.drop(columns=list(_LATER_OF_PARTICLES)), tables.PARTICLES)
    reason = found.texts("exclusion_reason")
    too_large = found.numbers("area_nm2") > (np.inf if limit is None else limit)
    # the rule of counting gives this reason to what is too large; all others have it from their class
    reason = np.where((reason == "no_particle") | ((reason == "agglomerate") & ~too_large), "", reason)
    found = found.filled(
        {
            "exclusion_reason": np.array([text or None for text in reason], dtype=object),
            "counted": reason == "",
            "fault_state": np.full(len(found), "unknown", dtype=object),
        }
    )
    of_regions = tables.Rows.of_table(regions.drop(columns=list(_LATER_OF_REGIONS)), tables.REGIONS)
    classes = unclassified_regions(
        of_regions.integers("region_id"), of_regions.numbers("area_nm2"), found, max_region_area_nm2=limit
    )
    of_regions = of_regions.filled({"region_class": classes})
    scale = known.get("network_scale")
    n_too_small = known.get("n_too_small")
    n_with_row = int((reason == "too_small").sum())
    return Labelled(
        found=Particles(
            labels=labels,
            region_rows=of_regions,
            particle_rows=found,
            n_removed=0 if n_too_small is None else int(n_too_small) - n_with_row,
            n_uncertain=int(known.get("n_uncertain") or 0),
        ),
        micrograph={name: known.get(name) for name in _OF_MASK},
        network_scale=None if scale is None else float(scale),
        is_calibrated=known.get("verdict") is not None,
        execution={"engine": "labels of an earlier run"},
    )
