"""Labels corrected by hand come back: only their micrographs are measured again."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from distributed import Client

from hrtem_dask import loading
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import stream
from hrtem_dask.batch.run import plan as planning
from hrtem_dask.batch.run.progress import RunLog
from hrtem_dask.batch.run.record_analysis import ModelHashes
from hrtem_dask.batch.run.run import analyse_tasks, checked_models
from hrtem_dask.batch.run.task import Task
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError, SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger, zarr_store
from hrtem_dask.storage.compaction import compact
from hrtem_dask.storage.corrections import (
    create_corrections,
    labels_hash,
    read_corrections,
    remove_correction,
    write_correction,
)
from hrtem_dask.storage.exchange.corrected_files import CorrectedFile, LabelFormat, exported_hashes, list_corrected
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.results import find_record, listed_record, open_results, pixel_size_of

__all__ = ["CorrectionSummary", "TakenBack", "correct", "undo_corrections"]

State = Literal["corrected", "undone", "unchanged", "failed"]


@dataclass(frozen=True)
class TakenBack:
    """What became of one file of corrected labels."""

    micrograph_id: str
    """The micrograph that it names."""
    path: str
    """Where it is."""
    state: State
    """corrected, undone, unchanged or failed."""
    reason: str = ""
    """Why it failed, in words."""
    record: loading.MicrographRecord | None = None
    """What has to be measured again."""


@dataclass(frozen=True)
class CorrectionSummary:
    """How a correction ended."""

    results: str
    """The results folder."""
    files: tuple[TakenBack, ...]
    """What became of each file."""
    n_corrected: int
    """Micrographs of the results that are corrected now, those of earlier times included."""

    def count(self, state: State) -> int:
        """Count the files of one state.

        Parameters
        ----------
        state : {"corrected", "undone", "unchanged", "failed"}
            The state.

        Returns
        -------
        int
            Their number.
        """
        return sum(file.state == state for file in self.files)


@dataclass(frozen=True)
class _Returned:
    """A file and what the results know of its micrograph."""

    file: CorrectedFile
    row: pd.Series
    exported_hash: str | None


def correct(
    results: str | Path,
    corrected: str | Path,
    *,
    form: LabelFormat | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> CorrectionSummary:
    """Take corrected labels back into a results folder.

    Only the rows of micrographs whose labels were edited change; they are measured by the code of a run. The labels are
    kept in ``corrections/``, and later runs use them as long as the micrograph's file is the same.

    Parameters
    ----------
    results : str or path-like
        The results folder.
    corrected : str or path-like
        What `export` wrote, edited; or label files named after their micrographs, a COCO file, a Zarr store. What is
        not in it stays as it is.
    form : {"coco", "labels", "tiff", "zarr"}, optional
        Their format; by default what is found.
    device : {"auto", "cpu", "cuda"}, optional
        Where images are processed, by default as in the run.
    scheduler : str, optional
        As for `run`.
    workers : int, optional
        Workers on this machine.
    client : distributed.Client, optional
        A connected client, used and left open.
    say : callable
        Takes lines for the user.

    Returns
    -------
    CorrectionSummary
        What became of each file; one that cannot be used does not stop the others.

    Raises
    ------
    FileNotFoundError
        If there are no results.
    NothingToAnalyseError
        If there are no labels.
    SettingsError
        If a run there has not ended, or its model is another one now.
    """
    files = list_corrected(corrected, form=form)
    exported = exported_hashes(corrected)
    session = _Session.open(results, device)
    returned, taken = _matched(files, session.rows(), exported)
    create_corrections(session.place)

    def work(connected: Client) -> CorrectionSummary:
        for one, result in stream(connected, _take_back, returned, session.place, key="correct"):
            if isinstance(result, BaseException):
                reason = f"{type(result).__name__}: {result}"
                result = TakenBack(one.file.micrograph_id, one.file.path, "failed", reason)
            taken.append(result)
        return session.measure_again(connected, taken, say)

    if client is not None:
        return work(client)
    with connect(scheduler, workers=workers, device=session.settings.execution.device) as own:
        return work(own)


def undo_corrections(
    results: str | Path,
    only: str,
    *,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Client | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> CorrectionSummary:
    """Forget corrections: their micrographs become what the segmenter finds.

    Parameters
    ----------
    results : str or path-like
        The results folder.
    only : str
        Pattern of micrographs; ``*`` for all.
    device : {"auto", "cpu", "cuda"}, optional
        Where images are processed, by default as in the run.
    scheduler : str, optional
        As for `run`.
    workers : int, optional
        Workers on this machine.
    client : distributed.Client, optional
        A connected client, used and left open.
    say : callable
        Takes lines for the user.

    Returns
    -------
    CorrectionSummary
        What became of each; a correction whose micrograph can no longer be read stays.

    Raises
    ------
    FileNotFoundError
        If there are no results.
    NothingToAnalyseError
        If no correction matches.
    SettingsError
        If a run there has not ended, or its model is another one now.
    """
    session = _Session.open(results, device)
    names = [name for name in read_corrections(session.place) if fnmatch.fnmatchcase(name, only)]
    if not names:
        raise NothingToAnalyseError(f"no corrected micrograph {only!r} in {session.place.url}")
    rows = session.rows()
    taken = []
    for name in names:
        try:
            # a correction that no row uses only has to be forgotten
            used = name in rows and _is_true(rows[name]["corrected"])
            record = find_record(rows[name]) if used else None
        except (HrtemDaskError, OSError, ValueError) as error:
            taken.append(TakenBack(name, name, "failed", str(error)))
        else:
            remove_correction(session.place, name)
            taken.append(TakenBack(name, name, "undone", record=record))
    if client is not None:
        return session.measure_again(client, taken, say)
    with connect(scheduler, workers=workers, device=session.settings.execution.device) as own:
        return session.measure_again(own, taken, say)


def _matched(
    files: Sequence[CorrectedFile], rows: Mapping[str, pd.Series], exported: Mapping[str, str]
) -> tuple[list[_Returned], list[TakenBack]]:
    """Find the micrograph of each file; what has none has failed."""
    returned: dict[str, _Returned] = {}
    failed = []
    for file in files:
        name = file.micrograph_id
        if name not in rows:
            reason = f"there is no micrograph {name!r} in the results: name the file after its micrograph_id"
        elif (status := str(rows[name]["status"])) not in {"done", "empty"}:
            reason = f"the micrograph has no labels to correct: it is {status}, see its reason"
        elif name in returned:
            reason = f"{returned[name].file.path} is of the same micrograph: leave one of them out"
        else:
            returned[name] = _Returned(file, rows[name], exported.get(name))
            continue
        failed.append(TakenBack(name, file.path, "failed", reason))
    return list(returned.values()), failed


def _is_true(value: Any) -> bool:
    """Read a flag that may be null."""
    return value is not pd.NA and bool(value)


def _take_back(one: _Returned, place: Location) -> TakenBack:
    """Read the labels of one micrograph and keep them where they were edited, on a worker."""
    name, row = one.file.micrograph_id, one.row
    try:
        labels = one.file.read()
        shape = (int(row["height_px"]), int(row["width_px"]))
        if labels.shape != shape:
            reason = f"its shape is {labels.shape}, the micrograph's {shape}: labels must be neither cropped nor scaled"
            return TakenBack(name, one.file.path, "failed", reason)
        found = labels_hash(labels)
        # what was not edited is no correction, even where a later run has found something else
        if found == one.exported_hash:
            return TakenBack(name, one.file.path, "unchanged")
        if found == labels_hash(zarr_store.read_labels(Location.of(place.path("labels.zarr")), name)):
            return TakenBack(name, one.file.path, "unchanged")
        record = find_record(row)
        write_correction(
            place,
            name,
            labels,
            pixel_size_nm=pixel_size_of(row),
            source_stat=loading.source_stat(record.source),
            source_hash=str(row["source_hash"]),
        )
    except (HrtemDaskError, OSError, ValueError) as error:
        return TakenBack(name, one.file.path, "failed", str(error))
    return TakenBack(name, one.file.path, "corrected", record=record)


@dataclass(frozen=True)
class _Session:
    """A results folder whose run has ended, and what is needed to go on there."""

    place: Location
    micrographs: pd.DataFrame
    settings: Settings
    models: ModelHashes
    entries: dict[str, ledger.Entry]

    @classmethod
    def open(cls, results: str | Path, device: str | None) -> _Session:
        """Open a results folder, and refuse one to which the rows of a correction would not fit."""
        opened = open_results(results)
        text = opened.folder.read_bytes("run.toml").decode()
        settings = Settings.from_toml(text)
        if device is not None:
            settings = settings.updated({"execution": {"device": device}})
        models, before = checked_models(settings), ModelHashes(**tomllib.loads(text).get("models", {}))
        if models != before:
            raise SettingsError(f"the models were {before} in the run, they are {models} now: run again first")
        micrographs, entries = opened.micrographs, ledger.read_entries(opened.folder)
        analysed = micrographs.loc[micrographs["settings_hash"].notna(), "micrograph_id"]
        unfinished = [n for n in analysed if n not in entries or entries[n].status == "interrupted"]
        if unfinished:
            raise SettingsError(
                f"a run into {opened.folder.url} goes on or was cut off ({len(unfinished)} micrographs, such as "
                f"{unfinished[0]}): let it end, or run again, then correct"
            )
        return cls(opened.folder, micrographs, settings, models, entries)

    def rows(self) -> dict[str, pd.Series]:
        """Return each micrograph's row by its name."""
        return {str(row["micrograph_id"]): row for _, row in self.micrographs.iterrows()}

    def measure_again(
        self, client: Client, taken: Sequence[TakenBack], say: Callable[[str], None]
    ) -> CorrectionSummary:
        """Measure what has changed, and make the tables anew."""
        files = {one.micrograph_id + one.path: one for one in taken}
        changed = {one.record.micrograph_id: one for one in taken if one.record is not None}
        if changed:
            corrections = read_corrections(self.place)
            records = [one.record for one in changed.values() if one.record is not None]
            plan = planning.make_plan(records, self.entries, self.settings, self.models, corrections)
            # the picture of a corrected micrograph is drawn whether or not it is in the sample
            tasks = [Task(tuple(replace(item, overlay=True) for item in task.items)) for task in plan.tasks]
            say(f"{sum(len(task.items) for task in tasks)} micrographs to measure again")
            done = dict(self.entries)
            with RunLog(self.place) as log:
                for outcome in analyse_tasks(client, tasks, self.settings, self.place, self.models):
                    one = changed[outcome.entry.micrograph_id]
                    done[one.micrograph_id] = outcome.entry
                    log.write(one.state, micrograph_id=one.micrograph_id, file=one.path, reason=outcome.reason)
                    if outcome.entry.status == "failed":
                        failed = replace(one, state="failed", reason=str(outcome.reason), record=None)
                        files[one.micrograph_id + one.path] = failed
                listed = [listed_record(row) for _, row in self.micrographs.iterrows()]
                compact(self.place, listed, done, self.entries, self.settings)
        for one in files.values():
            if one.state == "failed":
                say(f"{one.path}: {one.reason}")
        n_corrected = int(open_results(self.place.url).micrographs["corrected"].fillna(False).sum())
        ordered = sorted(files.values(), key=lambda one: (one.micrograph_id, one.path))
        return CorrectionSummary(self.place.url, tuple(ordered), n_corrected)
