"""The verdicts of a run: how many micrographs are doubtful, why, and whether its sizes depend on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.population.particle_table import is_counted

__all__ = ["KEPT", "LEFT_OUT", "describe_verdicts", "doubtful_micrographs", "verdict_lines"]

MAX_DOUBTFUL_SHARE = 1 / 3
"""Share of counted particles from doubtful micrographs above which the sizes of a population are marked doubtful: a
median stays among the other particles as long as fewer than half are wrong, but half leaves no reserve."""
N_NAMED = 5
"""Largest number of micrographs that are named for each reason."""
KEPT, LEFT_OUT = "kept", "left out"
_COLUMNS = ("micrograph_id", "sample", "status", "verdict", "doubt_reasons", "field_kind")


def doubtful_micrographs(micrographs: pd.DataFrame) -> set[str]:
    """Return the names of the analyzed micrographs whose verdict is doubtful.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`; tables of earlier versions have no verdicts.

    Returns
    -------
    set of str
        Values of ``micrograph_id``.

    Examples
    --------
    >>> table = pd.DataFrame({"micrograph_id": ["a", "b"], "status": "done", "verdict": ["trusted", "doubtful"]})
    >>> doubtful_micrographs(table)
    {'b'}
    """
    analyzed = _analyzed(micrographs)
    return set(analyzed.loc[(analyzed["verdict"] == "doubtful").fillna(False).astype(bool), "micrograph_id"])


def describe_verdicts(
    micrographs: pd.DataFrame, particles: pd.DataFrame, *, leave_out_doubtful: bool = False
) -> dict[str, Any]:
    """Count the verdicts of a run, and the particles that come from doubtful micrographs.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.
    leave_out_doubtful : bool
        Whether the statistics leave doubtful micrographs out (`PopulationOptions.leave_out_doubtful`).

    Returns
    -------
    dict
        Ready for JSON: ``doubtful_micrographs`` (``"kept"`` or ``"left out"``), ``max_doubtful_share``; the counts of
        all samples, which are ``n_analyzed``, ``n_trusted``, ``n_doubtful``, ``n_one_crystal`` (fields that one crystal
        fills: they have no mask that could be judged), ``n_without_verdict`` (all others), ``n_counted``,
        ``n_counted_doubtful``, ``doubtful_share`` (of the counted particles; None without any) and
        ``sizes_are_doubtful``; ``reasons``: ``reason``, ``n`` and up to five ``micrographs`` each, most frequent first;
        and ``samples``: name → the same counts.
    """
    analyzed = _analyzed(micrographs)
    doubtful = analyzed[(analyzed["verdict"] == "doubtful").fillna(False).astype(bool)]
    counted = particles.loc[is_counted(particles), ["sample", "micrograph_id"]]
    sample_of = analyzed["sample"].astype(object).fillna("")
    counted_sample = counted["sample"].astype(object).fillna("")
    names = sorted({*sample_of, *particles["sample"].astype(object).fillna("")})
    return {
        "doubtful_micrographs": LEFT_OUT if leave_out_doubtful else KEPT,
        "max_doubtful_share": MAX_DOUBTFUL_SHARE,
        **_counts(analyzed, counted, leave_out_doubtful),
        "reasons": _reasons(doubtful),
        "samples": {
            name: _counts(analyzed[sample_of == name], counted[counted_sample == name], leave_out_doubtful)
            for name in names
        },
    }


def verdict_lines(verdicts: Mapping[str, Any]) -> list[str]:
    """Put the verdicts of a run into words.

    Parameters
    ----------
    verdicts : mapping
        From `describe_verdicts`.

    Returns
    -------
    list of str
        Lines to print: how many micrographs are doubtful, why, and what can be done. Empty where nothing was analyzed.

    Examples
    --------
    >>> table = pd.DataFrame({"micrograph_id": ["a", "b"], "sample": "Au", "status": "done"})
    >>> table = table.assign(verdict=["trusted", "doubtful"], doubt_reasons=[None, "predicted Dice below 0.7"])
    >>> counted = pd.DataFrame({"sample": "Au", "micrograph_id": ["a", "a", "b"], "counted": True})
    >>> verdict_lines(describe_verdicts(table, counted))[:2]
    ['1 of 2 micrographs is doubtful', '  1 because: predicted Dice below 0.7 (b)']
    """
    names = ("n_doubtful", "n_analyzed", "n_without_verdict", "n_one_crystal")
    n, m, unknown, crystals = (int(verdicts[key]) for key in names)
    lines = []
    if m > unknown + crystals:
        lines.append(f"{n} of {m} micrographs {'is' if n == 1 else 'are'} doubtful")
    for found in verdicts["reasons"]:
        more = ", …" if found["n"] > len(found["micrographs"]) else ""
        lines.append(f"  {found['n']} because: {found['reason']} ({', '.join(found['micrographs'])}{more})")
    if verdicts["sizes_are_doubtful"]:
        lines.append(
            f"  {100 * verdicts['doubtful_share']:.0f} % of the counted particles come from them: so are the sizes"
        )
    if n:
        lines.append(
            "  look at their overlays (--overlays all draws every one); if outlines are wrong, state the particle "
            "size (--diameter or --diameter-px), correct labels (hrtem-dask export --doubtful N, then correct), or "
            "fine-tune the network (docs/training.md)"
        )
    if unknown:
        lines.append(
            f"{unknown} of {m} micrographs {'has' if unknown == 1 else 'have'} no verdict: nothing predicts the "
            "quality of these masks (Otsu, Fourier, or a model without calibration: hrtem-dask train quality)"
        )
    if crystals:
        lines.append(
            f"{crystals} of {m} micrographs {'is' if crystals == 1 else 'are'} filled by one crystal: no particles, "
            "and no verdict; see the tables windows and fault_traces"
        )
    return lines


def _analyzed(micrographs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of analyzed micrographs, with null verdicts where the table has none."""
    known = [name for name in _COLUMNS if name in micrographs]
    rows = micrographs.loc[micrographs["status"].isin(tables.ANALYZED_STATUSES), known]
    return tables.conform(rows, tuple(c for c in tables.MICROGRAPHS if c.name in _COLUMNS))


def _counts(analyzed: pd.DataFrame, counted: pd.DataFrame, leave_out_doubtful: bool) -> dict[str, Any]:
    """Count the verdicts of one population, and its counted particles."""
    verdict = analyzed["verdict"].astype(object)
    one_crystal = (analyzed["field_kind"] == "one_crystal").fillna(False).to_numpy(bool) & verdict.isna().to_numpy()
    doubtful = set(analyzed.loc[(verdict == "doubtful").to_numpy(bool), "micrograph_id"])
    n_counted, n_doubtful = len(counted), int(counted["micrograph_id"].isin(doubtful).sum())
    share = n_doubtful / n_counted if n_counted else None
    return {
        "n_analyzed": len(analyzed),
        "n_trusted": int(np.count_nonzero(verdict == "trusted")),
        "n_doubtful": len(doubtful),
        "n_one_crystal": int(one_crystal.sum()),
        "n_without_verdict": int(verdict.isna().sum() - one_crystal.sum()),
        "n_counted": n_counted,
        "n_counted_doubtful": n_doubtful,
        "doubtful_share": share,
        "sizes_are_doubtful": share is not None and share > MAX_DOUBTFUL_SHARE and not leave_out_doubtful,
    }


def _reasons(doubtful: pd.DataFrame) -> list[dict[str, Any]]:
    """Group doubtful micrographs by reason; one with several reasons is in several groups."""
    single = doubtful.assign(reason=doubtful["doubt_reasons"].astype(object).fillna("not stated").str.split("; "))
    names = {str(reason): rows["micrograph_id"].tolist() for reason, rows in single.explode("reason").groupby("reason")}
    return [
        {"reason": reason, "n": len(ids), "micrographs": ids[:N_NAMED]}
        for reason, ids in sorted(names.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
