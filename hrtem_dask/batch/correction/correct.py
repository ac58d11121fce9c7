"""Take labels that were corrected by hand back into the results: only their micrographs are measured again."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
from distributed import Client

from hrtem_dask import loading, tables
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import failure_reason, stream
from hrtem_dask.batch.run.plan import make_plan
from hrtem_dask.batch.run.preparation import checked_models
from hrtem_dask.batch.run.progress import RunLog
from hrtem_dask.batch.run.record_analysis import ModelHashes
from hrtem_dask.batch.run.task import AnalysisTask, Outcome
from hrtem_dask.batch.run.task_results import analyse_tasks
from hrtem_dask.cluster_settings import Cluster, Device
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError, SettingsError, error_text
from hrtem_dask.settings import Settings
from hrtem_dask.storage import ledger, zarr_store
from hrtem_dask.storage.compaction import compact, copies_in, read_run_file
from hrtem_dask.storage.corrections import (
    create_corrections,
    labels_hash,
    read_corrections,
    remove_correction,
    write_correction,
)
from hrtem_dask.storage.exchange.corrected_files import CorrectedFile, LabelFormat, exported_hashes, list_corrected
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.overlays import write_overlay_index
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.results import find_record, listed_record, open_results, pixel_size_of
from hrtem_dask.storage.run_lock import RunLock

__all__ = ["CorrectionOutcome", "CorrectionSummary", "State", "correct", "undo_corrections"]

State = Literal["corrected", "undone", "unchanged", "failed"]
"""How the correction of one micrograph can end."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CorrectionOutcome:
    """How the correction of one micrograph ended."""

    micrograph_id: str
    """Name of the micrograph."""
    path: str
    """Path of the corrected labels."""
    state: State
    """How it ended: corrected, undone, unchanged or failed."""
    reason: str = ""
    """Why it failed, in words."""
    record: loading.MicrographRecord | None = None
    """Record of the micrograph, if it has to be measured again."""


@dataclass(frozen=True)
class CorrectionSummary:
    """How a correction ended."""

    results: str
    """The results folder."""
    files: tuple[CorrectionOutcome, ...]
    """How each file ended, in the order of micrograph ids."""
    n_corrected: int
    """Number of micrographs of the results whose labels are corrected, now or by earlier calls."""

    def count(self, state: State) -> int:
        """Count the files of one state.

        Parameters
        ----------
        state : {"corrected", "undone", "unchanged", "failed"}
            How the correction ended.

        Returns
        -------
        int
            Number of files of this state.
        """
        return sum(file.state == state for file in self.files)


@dataclass(frozen=True)
class _CorrectedLabels:
    """A file of labels, the row of its micrograph, and the hash of the labels that were exported."""

    file: CorrectedFile
    row: pd.Series
    exported_hash: str | None


def correct(
    results: str | Path,
    corrected: str | Path,
    *,
    form: LabelFormat | None = None,
    device: Device | None = None,
    cluster: Cluster | Client | str | None = None,
) -> CorrectionSummary:
    """Take corrected labels back into a results folder.

    Only the rows of micrographs whose labels were edited change; they are measured as a run measures them. The labels
    are kept in ``corrections/``, and later runs use them as long as the file of the micrograph is the same. The reason
    of each file that cannot be used is logged as a warning.

    Parameters
    ----------
    results : str or path-like
        The results folder.
    corrected : str or path-like
        The edited folder of `export`; or label files named after their micrographs, a COCO file, or a Zarr store.
        Micrographs that are not in it stay as they are.
    form : {"coco", "labels", "tiff", "zarr"}, optional
        Format of the labels; by default the one that is found.
    device : {"auto", "cpu", "cuda"}, optional
        Where images are processed, by default as in the run.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.

    Returns
    -------
    CorrectionSummary
        How each file ended; a file that cannot be used does not stop the others.

    Raises
    ------
    FileNotFoundError
        If there are no results.
    NothingToAnalyseError
        If there are no labels.
    SettingsError
        If a run into `results` has not ended, or its model has changed.
    ResultsFolderError
        If a run is writing into `results`, or the results are damaged.

    Examples
    --------
    Remove the first particle of a micrograph, as an image editor would:

    >>> import tempfile
    >>> import tifffile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n_particles=3)
    >>> settings = hd.Settings().updated({"segmentation": {"method": "otsu"}})
    >>> before = hd.run(folder / "images", folder / "results", settings=settings, cluster="threads")
    >>> _ = hd.export(folder / "results", folder / "export", formats="tiff", images=False, cluster="threads")
    >>> (file,) = (folder / "export" / "labels").glob("*.tif")
    >>> labels = tifffile.imread(file)
    >>> labels[labels == 1] = 0
    >>> tifffile.imwrite(file, labels)
    >>> summary = hd.correct(folder / "results", folder / "export", cluster="threads")
    >>> summary.count("corrected")
    1
    >>> len(hd.open_results(folder / "results").particles) == before.n_particles - 1
    True
    """
    files = list_corrected(corrected, form=form)
    exported = exported_hashes(corrected)
    with RunLock(open_results(results).folder) as lock:
        return _take_back(_Session.open(results, device, lock), files, exported, cluster)


def _take_back(
    session: _Session,
    files: Sequence[CorrectedFile],
    exported: Mapping[str, str],
    cluster: Cluster | Client | str | None,
) -> CorrectionSummary:
    """Store the labels that were edited, and measure their micrographs again."""
    matched, outcomes = _match(files, session.rows(), exported)
    create_corrections(session.folder)
    with connect(cluster, device=session.settings.execution.device) as client:
        for labels, result in stream(client, _store_correction, matched, session.folder, key="correct"):
            if isinstance(result, BaseException):
                result = CorrectionOutcome(
                    labels.file.micrograph_id, labels.file.path, "failed", failure_reason(result)
                )
            outcomes.append(result)
        return session.measure_again(client, outcomes)


def undo_corrections(
    results: str | Path,
    only: str,
    *,
    device: Device | None = None,
    cluster: Cluster | Client | str | None = None,
) -> CorrectionSummary:
    """Undo corrections: their micrographs get the labels of the segmenter again.

    Parameters
    ----------
    results : str or path-like
        The results folder.
    only : str
        Pattern of micrograph ids, such as ``2024-*``; ``*`` for all.
    device : {"auto", "cpu", "cuda"}, optional
        Where images are processed, by default as in the run.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.

    Returns
    -------
    CorrectionSummary
        How each correction ended; one whose micrograph can no longer be read stays.

    Raises
    ------
    FileNotFoundError
        If there are no results.
    NothingToAnalyseError
        If no correction matches.
    SettingsError
        If a run into `results` has not ended, or its model has changed.
    ResultsFolderError
        If a run is writing into `results`, or the results are damaged.

    Examples
    --------
    >>> import tempfile
    >>> import cv2
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n_particles=3)
    >>> settings = hd.Settings().updated({"segmentation": {"method": "otsu"}})
    >>> before = hd.run(folder / "images", folder / "results", settings=settings, cluster="threads")
    >>> _ = hd.export(folder / "results", folder / "export", formats="labels", images=False, cluster="threads")
    >>> (file,) = (folder / "export" / "labels").glob("*.png")
    >>> labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    >>> _ = cv2.imwrite(str(file), 0 * labels)
    >>> _ = hd.correct(folder / "results", folder / "export", cluster="threads")
    >>> len(hd.open_results(folder / "results").particles)
    0
    >>> hd.undo_corrections(folder / "results", "*", cluster="threads").count("undone")
    1
    >>> len(hd.open_results(folder / "results").particles) == before.n_particles
    True
    """
    with RunLock(open_results(results).folder) as lock:
        return _undo(_Session.open(results, device, lock), only, cluster)


def _undo(session: _Session, only: str, cluster: Cluster | Client | str | None) -> CorrectionSummary:
    """Remove corrections, and measure their micrographs again."""
    names = [name for name in read_corrections(session.folder) if fnmatch.fnmatchcase(name, only)]
    if not names:
        raise NothingToAnalyseError(f"no corrected micrograph {only!r} in {session.folder.url}")
    rows = session.rows()
    outcomes = []
    for name in names:
        try:
            # a correction that no row uses needs no measurement
            used = name in rows and _is_true(rows[name]["corrected"])
            record = find_record(rows[name]) if used else None
        except (HrtemDaskError, OSError, ValueError) as error:
            outcomes.append(CorrectionOutcome(name, name, "failed", error_text(error)))
        else:
            remove_correction(session.folder, name)
            outcomes.append(CorrectionOutcome(name, name, "undone", record=record))
    with connect(cluster, device=session.settings.execution.device) as client:
        return session.measure_again(client, outcomes)


def _match(
    files: Sequence[CorrectedFile], rows: Mapping[str, pd.Series], exported: Mapping[str, str]
) -> tuple[list[_CorrectedLabels], list[CorrectionOutcome]]:
    """Find the micrograph of each file; a file without one has failed."""
    matched: dict[str, _CorrectedLabels] = {}
    failed = []
    for file in files:
        name = file.micrograph_id
        if name not in rows:
            reason = f"there is no micrograph {name!r} in the results: name the file after its micrograph_id"
        elif (status := str(rows[name]["status"])) not in tables.ANALYZED_STATUSES:
            reason = f"the micrograph has no labels to correct: its status is {status}, see its reason"
        elif name in matched:
            reason = f"{matched[name].file.path} belongs to the same micrograph: leave one of them out"
        else:
            matched[name] = _CorrectedLabels(file, rows[name], exported.get(name))
            continue
        failed.append(CorrectionOutcome(name, file.path, "failed", reason))
    return list(matched.values()), failed


def _is_true(value: object) -> bool:
    """Return a flag of a table; a null counts as false."""
    return value is not pd.NA and bool(value)


def _store_correction(labels: _CorrectedLabels, folder: Location) -> CorrectionOutcome:
    """Read the labels of one micrograph, and store them if they were edited; on a worker."""
    name, path, row = labels.file.micrograph_id, labels.file.path, labels.row
    try:
        edited = labels.file.read()
        shape = (int(row["height_px"]), int(row["width_px"]))
        if edited.shape != shape:
            reason = f"its shape is {edited.shape}, that of the micrograph is {shape}: do not crop or scale labels"
            return CorrectionOutcome(name, path, "failed", reason)
        found = labels_hash(edited)
        # labels that were not edited are no correction, even if a later run has found other ones
        if found == labels.exported_hash:
            return CorrectionOutcome(name, path, "unchanged")
        if found == labels_hash(label_packs.read_labels(folder, name)):
            return CorrectionOutcome(name, path, "unchanged")
        record = find_record(row)
        write_correction(
            folder,
            name,
            edited,
            pixel_size_nm=pixel_size_of(row),
            source_stat=loading.source_stat(record.source),
            source_hash=str(row["source_hash"]),
        )
    except (HrtemDaskError, OSError, ValueError) as error:
        return CorrectionOutcome(name, path, "failed", error_text(error))
    return CorrectionOutcome(name, path, "corrected", record=record)


@dataclass(frozen=True)
class _Session:
    """A results folder whose run has ended, with the settings, models and ledger of the run."""

    folder: Location
    micrographs: pd.DataFrame
    settings: Settings
    models: ModelHashes
    entries: dict[str, ledger.Entry]
    lock: RunLock

    @classmethod
    def open(cls, results: str | Path, device: Device | None, lock: RunLock) -> _Session:
        """Open a results folder, and refuse it if new rows would not fit the others."""
        opened = open_results(results)
        results_folder = opened.folder
        run_file = read_run_file(results_folder)
        settings = Settings().updated(run_file["settings"])
        if device is not None:
            settings = settings.updated({"execution": {"device": device}})
        models, known = checked_models(settings), run_file.get("models", {})
        before = ModelHashes(known.get("segmentation"), known.get("defects"))
        if models != before:
            raise SettingsError(f"the models of the run were {before}, they are {models} now: run again first")
        micrographs, entries = opened.micrographs, ledger.read_entries(results_folder)
        analysed = micrographs.loc[micrographs["settings_hash"].notna(), "micrograph_id"]
        unfinished = [n for n in analysed if n not in entries or entries[n].status == "interrupted"]
        if unfinished:
            raise SettingsError(
                f"a run into {results_folder.url} has not ended or was cut off ({len(unfinished)} micrographs, such as "
                f"{unfinished[0]}): let it end or run again, then correct"
            )
        return cls(results_folder, micrographs, settings, models, entries, lock)

    def rows(self) -> dict[str, pd.Series]:
        """Return each micrograph's row by its name."""
        return {str(row["micrograph_id"]): row for _, row in self.micrographs.iterrows()}

    def measure_again(self, client: Client, outcomes: Sequence[CorrectionOutcome]) -> CorrectionSummary:
        """Measure the micrographs that have changed, and write the tables again."""
        files = {one.micrograph_id + one.path: one for one in outcomes}
        changed = {one.record.micrograph_id: one for one in outcomes if one.record is not None}
        if changed:
            done = dict(self.entries)
            with RunLog(self.folder) as log:
                for outcome in self._analyse(client, [one.record for one in changed.values() if one.record]):
                    one = changed[outcome.entry.micrograph_id]
                    done[one.micrograph_id] = outcome.entry
                    log.write(one.state, micrograph_id=one.micrograph_id, file=one.path, reason=outcome.reason)
                    if outcome.entry.status == "failed":
                        failed = replace(one, state="failed", reason=str(outcome.reason), record=None)
                        files[one.micrograph_id + one.path] = failed
                self.lock.check()
                listed = [listed_record(row) for _, row in self.micrographs.iterrows()]
                copies = copies_in(self.micrographs)
                compact(self.folder, listed, done, self.entries, self.settings, copies)
                write_overlay_index(self.folder, open_results(self.folder).micrographs)
        for one in files.values():
            if one.state == "failed":
                logger.warning("%s: %s", one.path, one.reason)
        n_corrected = int(open_results(self.folder.url).micrographs["corrected"].fillna(False).sum())
        ordered = sorted(files.values(), key=lambda one: (one.micrograph_id, one.path))
        return CorrectionSummary(self.folder.url, tuple(ordered), n_corrected)

    def _analyse(self, client: Client, records: Sequence[loading.MicrographRecord]) -> Iterator[Outcome]:
        """Analyze micrographs with the corrections as they are now, and draw their overlays."""
        plan = make_plan(records, self.entries, self.settings, self.models, read_corrections(self.folder))
        # the overlay of a corrected micrograph is drawn whether or not it is in the sample
        tasks = [AnalysisTask(tuple(replace(item, overlay=True) for item in task.items)) for task in plan.tasks]
        logger.info("%d micrographs to measure again", plan.n_to_analyze)
        zarr_store.create_store(self.folder.inside(ledger.LABELS))  # a run that has packed all labels has none
        return analyse_tasks(client, tasks, self.settings, self.folder, self.models, self.lock)
