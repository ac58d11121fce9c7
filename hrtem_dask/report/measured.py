"""What was measured: samples, instrument, pixel sizes, what was taken and what was not, and the quality of each image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["LISTED", "describe_measurement", "describe_quality"]

LISTED = 50
"""Rows of a list that are printed; the whole list is in the table beside it."""
STATUSES = ("done", "empty", "set_aside", "failed")
_DOUBTFUL = 20
_ANALYSED = ("done", "empty")


def describe_measurement(micrographs: pd.DataFrame, particles: pd.DataFrame) -> dict[str, Any]:
    """Say what was measured and what was left out.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.

    Returns
    -------
    dict
        Ready for JSON: ``n_micrographs``, ``n_files``, ``status``, ``samples``, ``instruments``, ``voltages_kv``,
        ``magnification``, ``pixel_size_nm``, ``pixel_size_sources``, ``acquired``, ``field_nm2``,
        ``lattice_scale_ratio``, ``calibration_flags``, ``quality_flags``, ``left_out`` and ``particles``.
    """
    analysed = micrographs[micrographs["status"].isin(_ANALYSED)]
    known = analysed.dropna(subset=["pixel_size_y_nm", "pixel_size_x_nm"])
    fields = known["height_px"] * known["pixel_size_y_nm"] * known["width_px"] * known["pixel_size_x_nm"]
    times = analysed["acquired_at"].dropna().sort_values()
    return {
        "n_micrographs": len(micrographs),
        "n_files": int(micrographs["source"].nunique()),
        "n_corrected": int(micrographs["corrected"].fillna(False).sum()),
        "status": {status: int((micrographs["status"] == status).sum()) for status in STATUSES},
        "samples": _samples(micrographs, particles),
        "instruments": _counts(analysed["instrument"]),
        "voltages_kv": _counts(analysed["voltage_kv"]),
        "magnification": spread(analysed["magnification"]),
        "pixel_size_nm": {"y": spread(analysed["pixel_size_y_nm"]), "x": spread(analysed["pixel_size_x_nm"])},
        "pixel_size_sources": _counts(analysed["pixel_size_source"]),
        "acquired": {"first": str(times.iloc[0]), "last": str(times.iloc[-1])} if len(times) else None,
        "field_nm2": float(fields.sum()) if len(fields) else None,
        "lattice_scale_ratio": spread(analysed["lattice_scale_ratio"]),
        "calibration_flags": _flags(micrographs["calibration_flags"]),
        "quality_flags": _flags(micrographs["quality_flags"]),
        "left_out": _left_out(micrographs),
        "particles": _particles(particles),
    }


def describe_quality(micrographs: pd.DataFrame) -> dict[str, Any]:
    """Say how far the masks can be trusted.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.

    Returns
    -------
    dict
        ``predicted_dice``, ``mask_agreement``, ``sharpness``, ``seam_score`` (each as `spread`) of what was analysed,
        and ``doubtful``: the micrographs of the lowest predicted Dice coefficient.
    """
    analysed = micrographs[micrographs["status"].isin(_ANALYSED)]
    names = ("predicted_dice", "mask_agreement", "sharpness", "seam_score")
    worst = analysed.dropna(subset=["predicted_dice"]).sort_values("predicted_dice", kind="stable").head(_DOUBTFUL)
    columns = ["micrograph_id", "sample", "predicted_dice", "n_counted", "coverage", "sharpness", "quality_flags"]
    return {**{name: spread(analysed[name]) for name in names}, "doubtful": plain_rows(worst[columns])}


def spread(values: pd.Series) -> dict[str, Any]:
    """Return the range of some values.

    Parameters
    ----------
    values : pandas.Series
        Numbers, nulls among them.

    Returns
    -------
    dict
        ``n``, ``n_unknown``, ``min``, ``median`` and ``max``; the last three None where there is no value.
    """
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    known = numbers[np.isfinite(numbers)]
    found: dict[str, Any] = {"n": len(known), "n_unknown": len(numbers) - len(known)}
    if not len(known):
        return found | {"min": None, "median": None, "max": None}
    return found | {"min": float(known.min()), "median": float(np.median(known)), "max": float(known.max())}


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table.

    Returns
    -------
    list of dict
        A dict per row; nulls are None.
    """
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()} for row in rows]


def _samples(micrographs: pd.DataFrame, particles: pd.DataFrame) -> list[dict[str, Any]]:
    """Count the micrographs and particles of each sample."""
    counted = particles[particles["counted"].fillna(False).astype(bool)]
    per_sample = counted["sample"].fillna("").value_counts()
    rows = []
    for name, of in micrographs.groupby(micrographs["sample"].fillna("")):
        status = {s: int((of["status"] == s).sum()) for s in STATUSES}
        rows.append({"sample": str(name), "n_micrographs": len(of), **status, "n_counted": int(per_sample.get(name, 0))})
    return rows


def _counts(values: pd.Series) -> list[dict[str, Any]]:
    """Count the different values, the most frequent first; None stands for what is not stated."""
    counts = values.astype(object).where(values.notna(), None).value_counts(dropna=False)
    return [{"value": None if pd.isna(value) else value, "n": int(n)} for value, n in counts.items()]


def _flags(values: pd.Series) -> list[dict[str, Any]]:
    """Count flags, which stand comma-separated."""
    flags = values.dropna().str.split(",").explode().str.strip()
    return [{"flag": str(flag), "n": int(n)} for flag, n in flags[flags != ""].value_counts().items()]


def _left_out(micrographs: pd.DataFrame) -> dict[str, Any]:
    """List what was set aside or failed, with the reasons."""
    out = micrographs[micrographs["status"].isin(["set_aside", "failed"])]
    out = out.assign(reason=out["reason"].fillna("no reason stated"), file=out["source"].str.split("/").str[-1])
    reasons = out.groupby(["status", "reason"]).size().sort_values(ascending=False, kind="stable")
    return {
        "n": len(out),
        "reasons": [{"status": s, "reason": r, "n": int(n)} for (s, r), n in list(reasons.items())[:LISTED]],
        "micrographs": plain_rows(out[["file", "micrograph_id", "status", "reason"]].head(LISTED)),
    }


def _particles(particles: pd.DataFrame) -> dict[str, Any]:
    """Count the particles, and why some are not counted."""
    counted = particles["counted"].fillna(False).astype(bool)
    reasons = particles.loc[~counted, "exclusion_reason"].fillna("not stated").value_counts()
    return {
        "n": len(particles),
        "n_counted": int(counted.sum()),
        "excluded": [{"reason": str(reason), "n": int(n)} for reason, n in reasons.items()],
        "n_split": int(particles["split_confidence"].notna().sum()),
    }
