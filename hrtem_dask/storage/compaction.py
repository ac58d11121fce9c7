"""The end of a run: parts become the tables, the same whatever the order in which workers finished."""

from __future__ import annotations

import dataclasses
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import tomli_w

from hrtem_dask import fourier, loading, tables
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.errors import ResultsFolderError, error_text
from hrtem_dask.population import PopulationOptions
from hrtem_dask.population.fault_conditions import describe_fault_conditions
from hrtem_dask.population.same_fields import describe_same_fields
from hrtem_dask.population.size_lines import size_lines
from hrtem_dask.population.whole_run import Begin, RunStatistics, begin_here
from hrtem_dask.provenance import bytes_hash, code_version, command_line
from hrtem_dask.reasons import shared_reasons
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger
from hrtem_dask.storage.checksums import mark_old_report, write_checksums
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.packing.kept_rows import KeptRows
from hrtem_dask.storage.parquet import (
    schema_with_extra,
    to_frame,
    with_extra_columns,
    write_table,
    write_table_in_order,
)
from hrtem_dask.storage.whole_files.partial_files import together
from hrtem_dask.toml_records import record_to_dict

__all__ = ["CompactedRun", "Copy", "compact", "copies_in", "read_run_file", "write_run_file"]


@dataclass(frozen=True)
class Copy:
    """A micrograph that shows the field of another one."""

    of: str
    """`micrograph_id` of the one that is counted."""
    reason: str
    """How it is known, in words."""
    is_certain: bool = True
    """Whether it is set aside; else it is flagged."""


def write_run_file(
    folder: Location,
    settings: Settings,
    *,
    models: Mapping[str, str | None],
    inputs: Sequence[str] = (),
    metadata: str | None = None,
    limit: int | None = None,
) -> None:
    """Write ``run.toml``: what is needed to run again.

    Parameters
    ----------
    folder : Location
        The results folder.
    settings : Settings
        All settings; `Settings.from_file` reads them back from the table ``[settings]`` of this file.
    models : mapping of str to str or None
        Stage → content hash of its model.
    inputs : sequence of str
        Files, folders, globs or URLs that the run was given.
    metadata : str, optional
        Table of samples and covariates that it was given.
    limit : int, optional
        Largest number of micrographs to analyze.
    """
    content: dict[str, object] = {
        "code_version": code_version(),
        "settings_hash": settings.science_hash(),
        "inputs": list(inputs),
        "settings": record_to_dict(
            dataclasses.replace(settings, cluster=Cluster())
        ),  # where it ran is no setting of it
    }
    content |= {name: value for name, value in (("metadata", metadata), ("limit", limit)) if value is not None}
    if (command := command_line()) is not None:
        content["command"] = command
    content["models"] = {stage: content_hash for stage, content_hash in models.items() if content_hash is not None}
    folder.write_bytes("run.toml", tomli_w.dumps(content).encode())


def read_run_file(folder: Location) -> dict[str, Any]:
    """Read ``run.toml``.

    Parameters
    ----------
    folder : Location
        The results folder.

    Returns
    -------
    dict
        What `write_run_file` wrote: ``settings`` and, where there are models, ``models`` are dictionaries.

    Raises
    ------
    ResultsFolderError
        If it is missing or damaged.
    """
    try:
        content = tomllib.loads(folder.read_bytes("run.toml").decode())
        if not isinstance(content.get("settings"), dict) or not isinstance(content.get("models", {}), dict):
            raise TypeError("it has no settings")
    except (OSError, ValueError, TypeError) as error:
        raise ResultsFolderError(
            f"{folder.path('run.toml')} is missing or damaged ({error_text(error)}): run again into this folder first"
        ) from error
    return content


@dataclass(frozen=True)
class CompactedRun:
    """What the tables of a run say in short."""

    counts: dict[str, int]
    """Micrographs per status."""
    n_particles: int
    """Rows of the particle table."""
    n_too_small: int
    """Objects below the counting limit."""
    n_uncertain: int
    """Pieces of masks that are no particles, because the network is not sure of them."""
    verdicts: dict[str, Any]
    """From `population.verdicts.describe_verdicts`."""
    same_fields: dict[str, Any]
    """From `population.same_fields.describe_same_fields`."""
    fault_conditions: dict[str, Any]
    """From `population.fault_conditions.describe_fault_conditions`."""
    n_counted: int
    """Particles that enter statistics."""
    excluded: dict[str, int]
    """Reason → particles that do not enter statistics."""
    reasons: dict[str, dict[str, int]]
    """Status (set_aside, failed) → reason → number of images, most frequent first."""
    n_unset_pixels: int
    """Analyzed micrographs with the pixel size that programs write where none was set."""
    sizes: list[str]
    """Median sizes in words, from `population.size_lines`."""
    report_is_old: bool
    """Whether a report in the folder describes other tables; it says so itself, see `checksums.mark_old_report`."""


def compact(
    folder: Location,
    records: Sequence[loading.MicrographRecord],
    done: Mapping[str, ledger.Entry],
    known: Mapping[str, ledger.Entry],
    settings: Settings,
    copies: Mapping[str, Copy] | None = None,
    begin_statistics: Begin = begin_here,
) -> CompactedRun:
    """Write the tables of a run from its parts.

    Parameters
    ----------
    folder : Location
        The results folder.
    records : sequence of loading.MicrographRecord
        Every record of the run, in the order of the tables.
    done : mapping
        Name of the micrograph → the ledger's entry, of every record that was analysed.
    known : mapping
        The ledger as it was before the run: parts of micrographs that are not among today's inputs are kept.
    settings : Settings
        Of these, ``loading.duplicates``, ``quality.set_aside`` and the limits of ``particles``.
    copies : mapping of str to Copy, optional
        Micrographs that show the field of another one.
    begin_statistics : callable
        Begins the statistics as soon as their rows are known; the other tables are written before it is asked for the
        result.

    Returns
    -------
    CompactedRun
        What the end of the run prints.
    """
    entries = {r.micrograph_id: done[r.micrograph_id] for r in records if r.status == "ok"}
    others = [loading.to_row(r) for r in records if r.status != "ok"]
    rows = [to_frame(ledger.read_parts(folder, entries, "micrographs"), tables.MICROGRAPHS)]
    if others:
        rows.append(tables.conform(pd.DataFrame(others), tables.MICROGRAPHS))
    order = {r.micrograph_id: i for i, r in enumerate(records)}
    micrographs = pd.concat(rows, ignore_index=True)
    micrographs = micrographs.iloc[micrographs["micrograph_id"].map(order).argsort()].reset_index(drop=True)
    micrographs = _with_duplicates(_as_listed(micrographs, records), copies or {}, settings)
    columns = pd.DataFrame([{"sample": r.sample, **dict(r.covariates)} for r in records], index=list(order))
    joined = columns.reindex(micrographs["micrograph_id"]).set_axis(micrographs.index)
    micrographs = micrographs.assign(**{str(name): joined[name] for name in joined})
    with together():
        written = _write_tables(folder, entries, micrographs, columns, settings, begin_statistics)
    packs = {name: entry.part for name, entry in done.items() if entry.packed}
    index = label_packs.write_index(folder, packs)
    if index is not None:
        written.hashes[label_packs.INDEX] = bytes_hash(index.encode())
    write_checksums(folder, written.hashes)
    report_is_old = mark_old_report(folder)
    counts: dict[str, int] = {status: int((micrographs["status"] == status).sum()) for status in tables.STATUSES}
    corrected = int(micrographs["corrected"].fillna(False).sum())
    analyzed = micrographs[micrographs["status"] != "set_aside"]
    n_too_small, n_uncertain = (int(analyzed[name].fillna(0).sum()) for name in ("n_too_small", "n_uncertain"))
    same_fields = describe_same_fields(micrographs)
    faults = describe_fault_conditions(micrographs, written.n_known_faults, settings.defects.voltage_range_kv)
    found = written.statistics()
    content = {
        "micrographs": counts,
        "same_fields": same_fields,
        "corrected": corrected,
        "n_too_small": n_too_small,
        "n_uncertain": n_uncertain,
        "verdicts": found.verdicts,
        "fault_conditions": faults,
        "lattice_scales": _lattice_scales(written.lattices, micrographs, settings),
        **found.statistics,
    }
    folder.write_json("summary.json", content)
    ledger.remove_replaced_parts(folder, known, {**known, **done})
    reasons = {status: _reasons(micrographs, status) for status in ("set_aside", "failed")}
    sizes = size_lines(content)
    whole = found.statistics["all"]
    return CompactedRun(
        counts=counts,
        n_particles=written.n_particles,
        n_too_small=n_too_small,
        n_uncertain=n_uncertain,
        verdicts=found.verdicts,
        same_fields=same_fields,
        fault_conditions=faults,
        n_counted=whole["n_counted"],
        excluded=whole["excluded"],
        reasons=reasons,
        n_unset_pixels=_n_flagged(micrographs, "unset_pixel"),
        sizes=sizes,
        report_is_old=report_is_old,
    )


@dataclass(frozen=True)
class _Written:
    """Tables that were written."""

    hashes: dict[str, str]
    """File → hash of its content."""
    n_particles: int
    """Rows of the table of particles."""
    lattices: list[pd.DataFrame]
    """Columns `LATTICE` of particles and windows, where they are needed."""
    n_known_faults: Mapping[str, int]
    """`micrograph_id` → counted particles with a known fault state."""
    statistics: Callable[[], RunStatistics]
    """Waits for the statistics."""


def _write_tables(
    folder: Location,
    entries: Mapping[str, ledger.Entry],
    micrographs: pd.DataFrame,
    columns: pd.DataFrame,
    settings: Settings,
    begin_statistics: Begin,
) -> _Written:
    """Write all tables, and let the statistics begin as soon as the particles are known."""
    set_aside = set(micrographs.loc[micrographs["status"] == "set_aside", "micrograph_id"])
    options = PopulationOptions(
        min_area_px=settings.particles.min_area_px, min_area_nm2=settings.particles.min_area_nm2
    )
    kept = KeptRows(with_lattices=settings.fourier.material is not None)
    begun: list[Callable[[], RunStatistics]] = []

    def rows(name: str, fields: pa.Schema) -> Iterator[pa.Table]:
        yield from kept.watch(name, _final_rows(folder, name, entries, set_aside, columns, fields))
        if name == "particles":
            begun.append(begin_statistics(kept.particles, micrographs, options))
            kept.particles.clear()

    hashes, n_rows = {}, {}
    for name in sorted(tables.MICROGRAPH_PARTS, key=lambda name: name != "particles"):
        fields = schema_with_extra(columns, tables.SCHEMAS[name])
        hashes[f"{name}.parquet"], n_rows[name] = write_table_in_order(
            folder, f"{name}.parquet", rows(name, fields), fields
        )
    hashes["micrographs.parquet"] = write_table(folder, "micrographs.parquet", micrographs, tables.MICROGRAPHS)
    execution, fields = ledger.read_in_order(folder, entries, "execution"), tables.arrow_schema(tables.EXECUTION)
    hashes["execution.parquet"], _ = write_table_in_order(folder, "execution.parquet", execution, fields)
    return _Written(hashes, n_rows["particles"], kept.lattices, kept.n_known_faults, begun[0])


def _final_rows(
    folder: Location,
    name: str,
    entries: Mapping[str, ledger.Entry],
    set_aside: set[str],
    columns: pd.DataFrame,
    fields: pa.Schema,
) -> Iterator[pa.Table]:
    """Read the rows of one table, piece by piece, as they are written at the end of a run."""
    for rows in ledger.read_in_order(folder, entries, name):
        kept = _without(rows, set_aside)
        own = columns.loc[pc.unique(kept["micrograph_id"]).to_pylist()]
        yield with_extra_columns(kept, own, tables.SCHEMAS[name], fields)


def _without(table: pa.Table, micrographs: set[str]) -> pa.Table:
    """Return the rows of all other micrographs."""
    if not micrographs:
        return table
    return table.filter(pc.invert(pc.is_in(table["micrograph_id"], pa.array(sorted(micrographs), pa.string()))))


def _reasons(micrographs: pd.DataFrame, status: str) -> dict[str, int]:
    """Count the reasons of a status, those that differ in numbers and names alone as one, most frequent first."""
    rows = micrographs[micrographs["status"] == status]
    reasons = rows["reason"].astype(object).fillna("no reason is known").tolist()
    return dict(Counter(shared_reasons(reasons, rows["source"].astype(object).fillna("").tolist())).most_common())


def _n_flagged(micrographs: pd.DataFrame, flag: str) -> int:
    """Count the analyzed micrographs with a flag of the calibration."""
    analyzed = micrographs[micrographs["status"].isin(tables.ANALYZED_STATUSES)]
    return int(analyzed["calibration_flags"].fillna("").str.split(",").map(lambda names: flag in names).sum())


def _lattice_scales(
    measured: Sequence[pd.DataFrame], micrographs: pd.DataFrame, settings: Settings
) -> list[dict[str, Any]]:
    """Return the scale of each setting of the microscope by the lattice of the material; empty without a material."""
    material = settings.fourier.material
    if material is None:
        return []
    tolerance = settings.fourier.calibration_tolerance
    whole = pd.concat(measured, ignore_index=True)
    return fourier.setting_scales(whole, micrographs, material, tolerance=tolerance)


def copies_in(micrographs: pd.DataFrame) -> dict[str, Copy]:
    """Return what a table of micrographs says of copies.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`, as a run wrote them.

    Returns
    -------
    dict
        `micrograph_id` → the copy, for those that were analyzed.
    """
    rows = micrographs[micrographs["duplicate_of"].notna() & micrographs["image_hash"].notna()]
    return {
        str(row["micrograph_id"]): Copy(
            str(row["duplicate_of"]), str(row["reason"]), "possible_duplicate" not in str(row["quality_flags"])
        )
        for _, row in rows.iterrows()
    }


def _as_listed(micrographs: pd.DataFrame, records: Sequence[loading.MicrographRecord]) -> pd.DataFrame:
    """Give rows that an earlier run analysed what is listed today: a file may have moved with its folder."""
    listed = pd.DataFrame([loading.to_row(r) for r in records])
    decided = {"status", "reason", "calibration_flags", "duplicate_of"}
    own = [c for c in tables.MICROGRAPHS if c.name in listed and c.name not in decided]
    known = tuple(column for column in own if listed[column.name].notna().any())
    listed = tables.conform(listed[[column.name for column in known]], known)
    return micrographs.assign(**{column.name: listed[column.name] for column in known})


def _with_duplicates(micrographs: pd.DataFrame, copies: Mapping[str, Copy], settings: Settings) -> pd.DataFrame:
    """Set micrographs aside that show the field of another one, or flag them where that is not certain or wanted."""
    set_aside = settings.loading.duplicates == "set_aside" or "duplicate" in settings.quality.set_aside
    columns = {name: micrographs[name].tolist() for name in ("quality_flags", "duplicate_of", "reason", "status")}
    for row, name in enumerate(micrographs["micrograph_id"].astype(str)):
        if (copy := copies.get(name)) is None:
            continue
        flag = "duplicate" if copy.is_certain else "possible_duplicate"
        columns["quality_flags"][row] = ",".join([*_texts(columns["quality_flags"][row]), flag])
        columns["duplicate_of"][row] = copy.of
        known = [text for text in _texts(columns["reason"][row]) if text not in copy.reason]
        columns["reason"][row] = "; ".join([copy.reason, *known])
        if copy.is_certain and set_aside:
            columns["status"][row] = "set_aside"
    dtypes = {name: micrographs[name].dtype for name in columns}
    return micrographs.assign(
        **{name: pd.Series(values, index=micrographs.index, dtype=dtypes[name]) for name, values in columns.items()}
    )


def _texts(value: object) -> list[str]:
    """Return the text of a cell, nothing where it is null."""
    return [str(value)] if isinstance(value, str) and value else []
