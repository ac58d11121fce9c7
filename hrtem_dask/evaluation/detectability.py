"""What a run made of each true particle: whether it was found and counted, and what was said of its fault."""

from __future__ import annotations

import pandas as pd

from hrtem_dask import tables
from hrtem_dask.tables.true_regions import particle_class

__all__ = ["detectability_table"]

_STATES = {"stacking_fault": "fault", "no_stacking_fault": "no_fault", "misoriented": "misoriented"}


def detectability_table(
    objects: pd.DataFrame, truth: pd.DataFrame, micrographs: pd.DataFrame, found: pd.DataFrame
) -> pd.DataFrame:
    """List the true particles inside the images, with what a run says of them.

    Parameters
    ----------
    objects : pandas.DataFrame
        Rows of `compare_objects` with ``truth_id``.
    truth : pandas.DataFrame
        Rows of `simulation.TRUTH_PARTICLES`.
    micrographs : pandas.DataFrame
        Rows of `simulation.TRUTH_MICROGRAPHS`.
    found : pandas.DataFrame
        Rows of `tables.PARTICLES` with ``truth_id``, the name of the micrograph in the truth.

    Returns
    -------
    pandas.DataFrame
        Rows of `tables.DETECTABILITY`. Particles that the border cuts, or below the counting limit, are left out.

    Examples
    --------
    >>> objects = pd.DataFrame({"truth_id": ["a", "a"], "side": "true", "label": [1, 2], "partner_label": [7, None]})
    >>> objects = objects.assign(touches_edge=False, is_small=False)
    >>> truth = pd.DataFrame({"micrograph_id": "a", "particle_id": [1, 2], "equivalent_diameter_nm": 5.0})
    >>> truth = truth.assign(orientation="on_zone", n_faults=[1, 0], fault_visible=[True, False], material="Au")
    >>> about = pd.DataFrame({"micrograph_id": ["a"], "pixel_size_nm": 0.04, "dose_per_nm2": 1e5})
    >>> found = pd.DataFrame({"truth_id": ["a"], "particle_id": 7, "counted": True, "fault_state": "fault"})
    >>> detectability_table(objects, truth, about, found)[["true_state", "found", "fault_state"]].to_numpy().tolist()
    [['fault', True, 'fault'], ['no_fault', False, <NA>]]
    """
    chosen = (objects["side"] == "true") & ~objects["touches_edge"].astype(bool) & ~objects["is_small"].astype(bool)
    known = objects.loc[chosen, ["truth_id", "label", "partner_label"]]
    known = known.rename(columns={"truth_id": "micrograph_id", "label": "particle_id"})
    rows = known.merge(truth, on=["micrograph_id", "particle_id"])
    rows = rows.merge(micrographs[["micrograph_id", "pixel_size_nm", "dose_per_nm2"]], on="micrograph_id", how="left")
    said = found[["truth_id", "particle_id", "counted", "fault_state"]]
    said = said.rename(columns={"truth_id": "micrograph_id", "particle_id": "partner_label"})
    said = said.astype({"partner_label": float})
    rows = rows.astype({"partner_label": float}).merge(said, on=["micrograph_id", "partner_label"], how="left")
    is_found = rows["counted"].astype("boolean").fillna(False).to_numpy(dtype=bool)
    about = rows[["orientation", "n_faults", "fault_visible"]].astype(object)
    about = about.where(about.notna(), None)
    classes = [_STATES.get(str(particle_class(row))) for _, row in about.iterrows()]
    states = rows["fault_state"].astype(object)
    return tables.conform(
        pd.DataFrame(
            {
                "micrograph_id": rows["micrograph_id"],
                "true_diameter_nm": rows["equivalent_diameter_nm"],
                "true_state": classes,
                "found": is_found,
                "fault_state": states.where(is_found & states.notna().to_numpy(), None),
                "material": rows["material"],
                "pixel_size_nm": rows["pixel_size_nm"],
                "dose_per_nm2": rows["dose_per_nm2"],
            }
        ),
        tables.DETECTABILITY,
    )
