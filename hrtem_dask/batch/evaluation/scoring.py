"""Score a results folder against the truth, a task per micrograph."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client

from hrtem_dask import analysis, backend, loading, tables
from hrtem_dask.batch.cluster.stream import failure_reason, stream
from hrtem_dask.batch.evaluation.methods import Method
from hrtem_dask.batch.listing import list_sources
from hrtem_dask.batch.run.gain import gain_reference
from hrtem_dask.batch.run.record_analysis import settings_of
from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError, UnreadableMicrographError, typed_error_text
from hrtem_dask.evaluation import MicrographScores, curve, score_micrograph, summarize_scores
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import Settings
from hrtem_dask.storage.ground_truth import GroundTruth, TrueMicrograph
from hrtem_dask.storage.results import Results

__all__ = ["UNANALYZED", "MethodScores", "score_results"]

UNANALYZED = "unanalysed as empty"
"""Group of the summary in which micrographs that could not be analyzed count as empty masks."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MethodScores:
    """Scores of one method."""

    method: Method
    """Name and settings of the method."""
    rows: pd.DataFrame
    """A row per micrograph with a readable truth."""
    objects: pd.DataFrame
    """A row per particle, true ones and found ones."""
    curves: dict[str, np.ndarray]
    """Counts over thresholds, shape (2, 101), by `truth_id`."""
    notes: tuple[str, ...]
    """What was left out, with reasons."""
    regions: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Regions with their true classes, from `region_scoring.score_classes`."""
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Scores of the classes, from `region_scoring.score_classes`."""
    detectability: pd.DataFrame = field(default_factory=pd.DataFrame)
    """What the run made of each true particle: rows of `tables.DETECTABILITY`."""

    def summarize(self, groups: Sequence[str], *, n_resamples: int, seed: int) -> pd.DataFrame:
        """Summarize the analyzed micrographs, and once more all of them with the others as empty masks.

        Parameters
        ----------
        groups : sequence of str
            Columns of `rows` to group by.
        n_resamples : int
            Number of resamples of the bootstrap.
        seed : int
            Seed of the bootstrap.

        Returns
        -------
        pandas.DataFrame
            Rows of `summarize_scores`, with a column ``method``.
        """
        analysed = self.rows[self.rows["analysed"]]
        options: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed}
        parts = [summarize_scores(analysed, self.objects, self.curves, groups=groups, **options)]
        if len(analysed) < len(self.rows):
            parts.append(summarize_scores(self.rows, self.objects, **options).assign(group=UNANALYZED))
        return pd.concat(parts, ignore_index=True).assign(method=self.method.name)

    def pooled_curve(self) -> pd.DataFrame:
        """Pool precision and recall over thresholds.

        Returns
        -------
        pandas.DataFrame
            Rows of `curve` with a column ``method``, over the micrographs that are not empty; no row if the method has
            no probability.
        """
        filled = self.rows.loc[~self.rows["truth_empty"].astype(bool), "truth_id"]
        counts = [self.curves[name] for name in filled if name in self.curves]
        pooled = curve(np.sum(counts or [np.zeros((2, 101))], axis=0)).assign(method=self.method.name)
        return pooled if counts else pooled.iloc[:0]


@dataclass(frozen=True)
class _Item:
    """One micrograph to be scored, and its row of the run, if there is one."""

    truth: TrueMicrograph
    row: Mapping[str, Any] | None

    @property
    def analysed(self) -> bool:
        return self.row is not None and self.row["status"] in tables.ANALYZED_STATUSES

    @property
    def pixel_size_nm(self) -> PixelSize | None:
        """Pixel size (y, x) that the run used, so that truth and results are measured alike."""
        if self.row is None or pd.isna(self.row["pixel_size_y_nm"]):
            return None
        return float(self.row["pixel_size_y_nm"]), float(self.row["pixel_size_x_nm"])


def rows_with_truth(truth: GroundTruth, results: Results) -> pd.DataFrame:
    """Return the micrographs of a run whose truth is known.

    Parameters
    ----------
    truth : GroundTruth
        The true masks.
    results : Results
        The results of the run.

    Returns
    -------
    pandas.DataFrame
        Rows of `tables.MICROGRAPHS`, with the index and the column ``truth_id``.

    Raises
    ------
    NothingToAnalyseError
        If there is none.
    """
    table = results.micrographs
    table = table.assign(truth_id=truth.join(table)).astype(object)
    known = table[table["truth_id"].notna()].set_index("truth_id", drop=False)
    if known.empty:
        examples = ", ".join([*truth.micrographs][:3])
        raise NothingToAnalyseError(
            f"none of the {len(table)} micrographs in {results.folder.url} has a truth here, such as {examples}: score "
            "the results of a run over these images"
        )
    return known


def score_results(
    client: Client,
    truth: GroundTruth,
    results: Results,
    method: Method,
    *,
    segment_again: bool = True,
) -> MethodScores:
    """Score the results of a run on the workers.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    truth : GroundTruth
        The true masks.
    results : Results
        The results of the run.
    method : Method
        Name and settings of the run.
    segment_again : bool
        Whether each micrograph is segmented once more, for the mask and the probability of the segmenter itself.

    Returns
    -------
    MethodScores
        Rows of all micrographs with a truth. The notes, which are logged too, name what was left out.

    Raises
    ------
    NothingToAnalyseError
        If the results belong to other micrographs, or no truth can be read.
    """
    known = rows_with_truth(truth, results)
    notes = list(_notes(truth, known, method.name))
    rows: dict[str, Any] = {str(row["truth_id"]): row for row in known.to_dict("records")}
    items = [_Item(micrograph, rows.get(name)) for name, micrograph in truth.micrographs.items()]
    scores: dict[str, MicrographScores] = {}
    unread, unsegmented = [], []
    for item, result in stream(client, _score_one, items, results, method.settings, segment_again, key="score"):
        name = item.truth.truth_id
        if isinstance(result, BaseException):
            unread.append(f"{name}: {failure_reason(result)}")
            continue
        scores[name], problem = result
        unsegmented += [f"{name}: {problem}"] if problem else []
    if not scores:
        raise NothingToAnalyseError(f"no micrograph could be scored: {unread[0]}")
    notes += [f"{method.name}: not scored: {line}" for line in sorted(unread)]
    if unsegmented:
        notes.append(
            f"{method.name}: {len(unsegmented)} micrographs could not be segmented again for the segmenter's own mask: "
            f"{min(unsegmented)}"
        )
    for note in notes:
        logger.warning("%s", note)
    return _scored(truth, [i for i in items if i.truth.truth_id in scores], scores, method, tuple(notes))


def _notes(truth: GroundTruth, known: pd.DataFrame, name: str) -> Iterator[str]:
    """Describe images without truth, and micrographs that could not be analyzed."""
    if truth.without_mask:
        yield f"{len(truth.without_mask)} images have no mask and are not scored: {_some(truth.without_mask)}"
    missing = [n for n in truth.micrographs if n not in set(known.index)]
    if missing:
        yield f"{name}: {len(missing)} micrographs with a truth are not among the results: {_some(missing)}"
    unanalysed = known[~known["status"].isin(tables.ANALYZED_STATUSES)]
    for (status, reason), rows in unanalysed.groupby(["status", "reason"], dropna=False):
        yield f"{name}: {len(rows)} {status} ({reason}): {_some(list(rows.index))}"


def _some(names: Sequence[str]) -> str:
    """Return the first few names; the table has all of them."""
    return ", ".join(map(str, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _scored(
    truth: GroundTruth,
    items: Sequence[_Item],
    scores: dict[str, MicrographScores],
    method: Method,
    notes: tuple[str, ...],
) -> MethodScores:
    """Join the tables: columns of the truth, columns of the run, and the scores."""
    run_columns = ("micrograph_id", "status", "reason")
    rows = []
    for item in items:
        row = item.row or {"status": "missing", "reason": "not among the results"}
        name = item.truth.truth_id
        rows.append(
            {"method": method.name, "truth_id": name, **{k: row.get(k) for k in run_columns}, "analysed": item.analysed}
            | scores[name].row
        )
    table = pd.DataFrame(rows)
    # columns of the truth come first, then further columns of the results, such as covariates
    run_rows = pd.DataFrame([{**(i.row or {}), "truth_id": i.truth.truth_id} for i in items])
    for more in (truth.table, run_rows):
        new = [c for c in more.columns if c not in table.columns]
        table = table.merge(more[["truth_id", *new]].astype(object), on="truth_id", how="left")
    objects = [scores[i.truth.truth_id].objects.assign(truth_id=i.truth.truth_id) for i in items]
    curves = {name: s.threshold_counts for name, s in scores.items() if s.threshold_counts is not None}
    return MethodScores(
        method=method,
        rows=table.infer_objects(),
        objects=pd.concat(objects, ignore_index=True).assign(method=method.name),
        curves=curves,
        notes=notes,
    )


def _score_one(
    item: _Item, results: Results, settings: Settings, segment_again: bool
) -> tuple[MicrographScores, str | None]:
    """Score one micrograph; return the scores, and why it could not be segmented again, or None."""
    truth, instances = item.truth.read()
    found, mask, probability, problem = np.zeros_like(truth), None, None, None
    if not item.analysed:
        mask = found > 0
    elif item.row is not None:
        found = results.labels(str(item.row["micrograph_id"]))
        if segment_again:
            try:
                mask, probability = _segment(item, settings)
            except (HrtemDaskError, OSError) as error:
                problem = typed_error_text(error)
    scores = score_micrograph(
        found,
        truth,
        pixel_size_nm=item.pixel_size_nm,
        mask=mask,
        probability=probability,
        instances=instances,
        min_area_px=settings.particles.min_area_px,
        min_area_nm2=settings.particles.min_area_nm2,
    )
    return scores, problem


def _segment(item: _Item, settings: Settings) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the mask of the segmenter itself, and its probability if it has one."""
    row = item.row or {}
    if item.truth.image is None:
        raise UnreadableMicrographError(f"{item.truth.truth_id} has a mask and no image")
    records = list_sources(loading.find_sources(item.truth.image), settings, calibrated_only=False)
    record = next(r for r in records if (r.signal, r.frame) == (row["signal"], row["frame"]))
    if loading.source_hash(record.source) != row["source_hash"]:
        raise UnreadableMicrographError(f"{record.source.path} is not the file that was analyzed, or has changed since")
    settings = settings_of(record, settings)
    gain = gain_reference(settings.filtering.flat_field)
    field = analysis.visible_field(loading.read_image(record), settings)
    prepared, _ = analysis.prepare(field.image, settings, gain=gain)
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    segmented = analysis.segment(prepared, segmenter, pixel_size_nm=item.pixel_size_nm)
    probability = backend.to_numpy(segmented.probability) if segmenter.name == "unet" else None
    mask = backend.to_numpy(segmented.mask)
    for hidden in (field.marks, field.outside):
        mask = mask if hidden is None else mask & ~hidden
    return mask, probability
