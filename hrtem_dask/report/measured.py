"""Description of the data: samples, instrument, pixel sizes, excluded micrographs and particles, image quality."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask.population.particle_table import is_counted
from hrtem_dask.reasons import shared_reasons
from hrtem_dask.report.json_types import JsonDict

__all__ = ["LISTED", "describe_measurement", "describe_quality"]

LISTED = 50
"""Largest number of rows of a printed list; the whole list is in the Parquet tables."""
STATUSES = ("done", "empty", "set_aside", "failed")
_DOUBTFUL = 20
_ANALYZED = ("done", "empty")


def describe_measurement(micrographs: pd.DataFrame, particles: pd.DataFrame) -> JsonDict:
    """Describe the analyzed micrographs and particles, and those that were left out.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.

    Returns
    -------
    dict
        Ready for JSON: ``n_micrographs``, of the analyzed ones ``n_with_particles``, ``n_one_crystal`` and
        ``n_without_particles``, ``n_files``, ``status``, ``samples``, ``instruments``, ``voltages_kv``,
        ``magnification``, ``pixel_size_nm``, ``pixel_size_sources``, ``acquired``, ``field_nm2``,
        ``lattice_scale_ratio``, ``calibration_flags``, ``quality_flags``, ``left_out`` and ``particles``.
    """
    analyzed = micrographs[micrographs["status"].isin(_ANALYZED)]
    known = analyzed.dropna(subset=["pixel_size_y_nm", "pixel_size_x_nm"])
    height_px, width_px = (known[f"field_{side}_px"].fillna(known[f"{side}_px"]) for side in ("height", "width"))
    fields = height_px * known["pixel_size_y_nm"] * width_px * known["pixel_size_x_nm"]
    times = analyzed["acquired_at"].dropna().sort_values()
    with_particles = (analyzed["n_particles"].fillna(0) > 0).to_numpy(bool)
    one_crystal = (analyzed["field_kind"] == "one_crystal").fillna(False).to_numpy(bool) & ~with_particles
    return {
        "n_micrographs": len(micrographs),
        "n_with_particles": int(with_particles.sum()),
        "n_one_crystal": int(one_crystal.sum()),
        "n_without_particles": int((~with_particles & ~one_crystal).sum()),
        "n_files": int(micrographs["source"].nunique()),
        "n_corrected": int(micrographs["corrected"].fillna(False).sum()),
        "status": {status: int((micrographs["status"] == status).sum()) for status in STATUSES},
        "samples": _samples(micrographs, particles),
        "instruments": _counts(analyzed["instrument"]),
        "voltages_kv": _counts(analyzed["voltage_kv"]),
        "magnification": spread(analyzed["magnification"]),
        "pixel_size_nm": {"y": spread(analyzed["pixel_size_y_nm"]), "x": spread(analyzed["pixel_size_x_nm"])},
        "pixel_size_sources": _counts(analyzed["pixel_size_source"]),
        "acquired": {"first": str(times.iloc[0]), "last": str(times.iloc[-1])} if len(times) else None,
        "field_nm2": float(fields.sum()) if len(fields) else None,
        "lattice_scale_ratio": spread(analyzed["lattice_scale_ratio"]),
        "calibration_flags": _flags(micrographs["calibration_flags"]),
        "quality_flags": _flags(micrographs["quality_flags"]),
        "left_out": _left_out(micrographs),
        "particles": _particles(particles)
        | {name: int(analyzed[name].fillna(0).sum()) for name in ("n_too_small", "n_uncertain")},
    }


def describe_quality(micrographs: pd.DataFrame) -> JsonDict:
    """Describe how reliable the masks are.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.

    Returns
    -------
    dict
        ``predicted_dice``, ``mask_agreement``, ``sharpness``, ``seam_score`` of the analyzed micrographs (each as
        `spread` returns it), and ``doubtful``: the micrographs with the lowest predicted Dice coefficient.
    """
    analyzed = micrographs[micrographs["status"].isin(_ANALYZED)]
    names = ("predicted_dice", "mask_agreement", "sharpness", "seam_score")
    worst = analyzed.dropna(subset=["predicted_dice"]).sort_values("predicted_dice", kind="stable").head(_DOUBTFUL)
    columns = ["micrograph_id", "sample", "predicted_dice", "n_counted", "coverage", "sharpness", "quality_flags",
               "verdict", "doubt_reasons"]  # fmt: skip
    return {**{name: spread(analyzed[name]) for name in names}, "doubtful": plain_rows(worst[columns])}


def spread(values: pd.Series) -> JsonDict:
    """Describe the range of some values.

    Parameters
    ----------
    values : pandas.Series
        Numbers; nulls are allowed.

    Returns
    -------
    dict
        ``n``, ``n_unknown``, ``min``, ``median`` and ``max``; the last three are None if no value is known.

    Examples
    --------
    >>> import pandas as pd
    >>> spread(pd.Series([0.9, None, 0.7]))
    {'n': 2, 'n_unknown': 1, 'min': 0.7, 'median': 0.8, 'max': 0.9}
    """
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    known = numbers[np.isfinite(numbers)]
    found: JsonDict = {"n": len(known), "n_unknown": len(numbers) - len(known)}
    if not len(known):
        return found | {"min": None, "median": None, "max": None}
    return found | {"min": float(known.min()), "median": float(np.median(known)), "max": float(known.max())}


def plain_rows(table: pd.DataFrame) -> list[JsonDict]:
    """Convert the rows of a table to dicts of plain values.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table.

    Returns
    -------
    list of dict
        One dict per row; nulls are None.
    """
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()} for row in rows]


def _samples(micrographs: pd.DataFrame, particles: pd.DataFrame) -> list[JsonDict]:
    """Count the micrographs and particles of each sample."""
    counted = particles[is_counted(particles)]
    per_sample = counted["sample"].fillna("").value_counts()
    rows = []
    for name, table in micrographs.groupby(micrographs["sample"].fillna("")):
        status = {s: int((table["status"] == s).sum()) for s in STATUSES}
        rows.append(
            {"sample": str(name), "n_micrographs": len(table), **status, "n_counted": int(per_sample.get(name, 0))}
        )
    return rows


def _counts(values: pd.Series) -> list[JsonDict]:
    """Count the distinct values, most frequent first; None counts the rows without a value."""
    counts = values.astype(object).where(values.notna(), None).value_counts(dropna=False)
    names: list[str | float | None] = counts.index.tolist()
    return [
        {"value": None if pd.isna(name) else name, "n": int(n)} for name, n in zip(names, counts.tolist(), strict=True)
    ]


def _flags(values: pd.Series) -> list[JsonDict]:
    """Count the flags of comma-separated lists."""
    flags = values.dropna().str.split(",").explode().str.strip()
    return [{"flag": str(flag), "n": int(n)} for flag, n in flags[flags != ""].value_counts().items()]


def _left_out(micrographs: pd.DataFrame) -> JsonDict:
    """List the micrographs that were set aside or failed, with the reasons; those of one file and reason together."""
    out = micrographs[micrographs["status"].isin(["set_aside", "failed"])]
    out = out.assign(reason=out["reason"].fillna("no reason stated"), file=out["source"].str.split("/").str[-1])
    out["reason"] = shared_reasons(out["reason"].astype(str).tolist(), out["source"].astype(str).tolist())
    reasons = out.groupby(["status", "reason"]).size().sort_values(ascending=False, kind="stable").rename("n")
    by_file = out.groupby(["file", "status", "reason"], sort=False)
    files = by_file.agg(micrograph_id=("micrograph_id", "first"), n=("micrograph_id", "size")).reset_index()
    return {
        "n": len(out),
        "reasons": plain_rows(reasons.reset_index().head(LISTED)),
        "n_files": len(files),
        "micrographs": plain_rows(files[["file", "micrograph_id", "n", "status", "reason"]].head(LISTED)),
    }


def _particles(particles: pd.DataFrame) -> JsonDict:
    """Count the particles, and the reasons why some are left out of the statistics."""
    counted = pd.Series(is_counted(particles), index=particles.index)
    reasons = particles.loc[~counted, "exclusion_reason"].fillna("not stated").value_counts()
    return {
        "n": len(particles),
        "n_counted": int(counted.sum()),
        "excluded": [{"reason": str(reason), "n": int(n)} for reason, n in reasons.items()],
        "n_split": int(particles["split_confidence"].notna().sum()),
        "equivalent_diameter_px": spread(particles.loc[counted, "equivalent_diameter_px"]),
        "n_without_shape": int((counted & particles["solidity"].isna()).sum()),
    }
