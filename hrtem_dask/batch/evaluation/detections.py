"""Evaluate detectors: run them where necessary, and score the instances that they found against the true ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from distributed import Client

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.run.run import run
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.detection.instances import Instances
from hrtem_dask.errors import NothingToAnalyseError, SettingsError
from hrtem_dask.evaluation.detection import pair_detections, precision_table, summarize_pairs
from hrtem_dask.evaluation.detection.overlaps import KINDS
from hrtem_dask.provenance import WHOLE_PACKAGE, code_version
from hrtem_dask.settings import DETECTION_METHODS, Settings
from hrtem_dask.spreadsheet_text import without_formulas
from hrtem_dask.storage.annotations import read_annotations
from hrtem_dask.storage.annotations.found_instances import found_instances
from hrtem_dask.storage.annotations.simulated_instances import simulated_instances
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.results import Results, open_results
from hrtem_dask.storage.simulated import open_simulated, truth_ids

__all__ = ["DetectionEvaluation", "DetectionOptions", "evaluate_detections"]

LEAST_SCORE = 0.05
"""Runs for an evaluation keep instances down to this score: the average precision needs the unsure ones too."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """What of instances is compared, and how."""

    kind: str | None = None
    """``rotated_boxes``, ``boxes`` or ``masks``; by default rotated boxes for rotated_rcnn, and for mask_rcnn masks, or
    boxes where the truth has no masks."""
    class_names: Sequence[str] | None = None
    """Names of the classes 0, 1, … of text files with annotations."""
    any_class: bool = False
    """Whether all instances count as of one class, where the truth names them differently than the detector."""
    seed: int = 0
    """Seed of the bootstrap over micrographs."""


@dataclass(frozen=True)
class DetectionEvaluation:
    """Scores of one or several detectors."""

    classes: pd.DataFrame
    """A row per method and class, and for ``all`` (average precisions and recalls are means over the classes there, the
    rest is of all instances together): `precision_table` (COCO's average precisions, recalls by size) and
    `summarize_pairs` (precision, recall, F1, biases), with 95 % intervals from five micrographs on."""
    pairs: pd.DataFrame
    """A row per method and pair of a found and a true instance, see `DetectionPairs`, with ``micrograph``."""
    counts: pd.DataFrame
    """A row per method, micrograph and class: ``n_true``, ``n_predicted``, ``n_matched``."""
    notes: tuple[str, ...]
    """What was left out, and what the numbers do not say."""
    folder: Location
    """The folder of the scores."""


@dataclass(frozen=True)
class _Truth:
    """True instances by the name that joins them with results."""

    instances: dict[str, Instances]
    inputs: list[str]
    store: str | None = None
    notes: list[str] = field(default_factory=list)

    def join(self, micrographs: pd.DataFrame) -> pd.Series:
        """Return the name of the truth of each row of a run's table, null where there is none."""
        if self.store is not None:
            return truth_ids(micrographs, open_simulated(self.store))
        names = micrographs["source"].map(lambda path: Path(str(path)).name)
        return names.where(names.isin(list(self.instances)))


def evaluate_detections(
    truth: str | Path,
    *,
    results: str | Path | None = None,
    methods: Sequence[str] = DETECTION_METHODS[:1],
    models: Sequence[str | Path] = (),
    out: str | Path = "evaluation",
    settings: Settings | None = None,
    options: DetectionOptions | None = None,
    cluster: Cluster | Client | str | None = None,
) -> DetectionEvaluation:
    """Score detectors on micrographs with known instances.

    Parameters
    ----------
    truth : str or path-like
        Annotations with their images, in any format of `storage.annotations`, or a simulated store of the regime
        ``rods`` or ``vesicles``.
    results : str or path-like, optional
        Results of a run with a detector over these micrographs. By default, each method is run into ``<out>/<method>``
        and scored.
    methods : sequence of str
        ``rotated_rcnn`` or ``mask_rcnn``, or both.
    models : sequence of str or path-like
        Detectors for one method, each named after its file; by default the bundled one.
    out : str or path-like
        Folder to write to.
    settings : Settings, optional
        Settings of the runs; instances below its `detection.min_score` count for the average precisions only.
    options : DetectionOptions, optional
        What is compared, and how.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.

    Returns
    -------
    DetectionEvaluation
        The scores, also written to `out`: ``detections.json``, ``detection_classes.csv``, ``detection_pairs.csv`` and
        ``detection_counts.csv``.

    Raises
    ------
    NothingToAnalyseError
        If there is no truth, or no result for these micrographs.
    SettingsError
        If a method is unknown, or truth and detector have no class in common.
    """
    options, settings = options or DetectionOptions(), settings or Settings()
    if options.kind is not None and options.kind not in KINDS:
        raise SettingsError(f"what is compared must be one of {', '.join(KINDS)}, got {options.kind!r}")
    known, folder = _open(truth, options), Location.of(out)
    parts, about = [], {}
    if results is not None:
        opened = open_results(results)
        used = Settings.from_toml(opened.folder.read_bytes("run.toml").decode())
        least = used.detection.min_score
        known.notes.append(f"the results hold no instance with a score below {least:g}: average precisions are too low")
        parts.append(_score(known, opened, used, str(used.segmentation.chosen_method), options, least))
        about[str(used.segmentation.chosen_method)] = used.to_toml()
    else:
        with connect(cluster, device=settings.execution.device) as client:
            for name, chosen in _runs(methods, models, settings):
                logger.info("running %s", name)
                run(known.inputs, folder.path(name), settings=chosen, cluster=client)
                opened = open_results(folder.path(name))
                parts.append(_score(known, opened, chosen, name, options, settings.detection.min_score))
                about[name] = chosen.to_toml()
    classes, pairs, counts = (pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))
    evaluation = DetectionEvaluation(classes, pairs, counts, tuple(dict.fromkeys(known.notes)), folder)
    _write(evaluation, {"truth": str(truth), "is_simulated": known.store is not None, "settings": about})
    return evaluation


def _open(truth: str | Path, options: DetectionOptions) -> _Truth:
    """Read the true instances."""
    if Location.of(truth).exists("simulation.toml"):
        store = open_simulated(truth)
        return _Truth({one.name: one.instances for one in simulated_instances(store)}, [str(truth)], str(truth))
    images = read_annotations(truth, class_names=options.class_names)
    present = [one for one in images if one.image_path is not None]
    notes = [f"{one.name}: its image was not found" for one in images if one.image_path is None]
    if not present:
        raise NothingToAnalyseError(f"{truth}: no annotated image was found: put images beside their annotations")
    named = {Path(str(one.image_path)).name: one.instances.with_ignored(_ignored(one.instances, one.doubtful))
             for one in present}  # fmt: skip
    if len(named) < len(present):
        raise SettingsError(f"{truth}: two annotated images have the same file name: give each its own")
    return _Truth(named, [str(one.image_path) for one in present], notes=notes)


def _ignored(instances: Instances, doubtful: np.ndarray) -> np.ndarray:
    """Return which true instances are neither asked for nor wrong."""
    return instances.ignored | doubtful if doubtful.any() else instances.ignored


def _runs(methods: Sequence[str], models: Sequence[str | Path], settings: Settings) -> list[tuple[str, Settings]]:
    """Return the runs to score: name and settings."""
    unknown = sorted(set(methods) - set(DETECTION_METHODS))
    if unknown:
        raise SettingsError(
            f"{unknown[0]!r} is no detector: masks and instances are scored separately; detectors are "
            f"{', '.join(DETECTION_METHODS)}"
        )
    if models and len(methods) > 1:
        raise SettingsError("models are given for one method: name it alone (--methods)")
    low = {"min_score": min(settings.detection.min_score, LEAST_SCORE)}
    made = []
    for method in methods:
        files: list[str | None] = [str(model) for model in models] or [None]
        for file in files:
            changed = {"method": method, "model": file}
            name = method if file is None or len(files) == 1 else Path(file).stem
            made.append((name, settings.updated({"segmentation": changed, "detection": low})))
    if len({name for name, _ in made}) < len(made):
        raise SettingsError("two models have the same file name: give each its own")
    return made


def _score(
    truth: _Truth, results: Results, settings: Settings, name: str, options: DetectionOptions, min_score: float
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Score one run: rows of classes, pairs and counts."""
    ids, found = truth.join(results.micrographs), found_instances(results)
    of_truth = {str(t): found[str(m)] for t, m in zip(ids, results.micrographs["micrograph_id"], strict=True)
                if isinstance(t, str) and str(m) in found}  # fmt: skip
    names = [one for one in truth.instances if one in of_truth]
    truth.notes.extend(
        f"{name}: {one} was not analyzed, and is left out" for one in truth.instances if one not in names
    )
    if not names:
        raise NothingToAnalyseError(f"{results.folder.url}: no micrograph of the truth was analyzed there")
    true, predicted = [truth.instances[one] for one in names], [of_truth[one] for one in names]
    if options.any_class:
        true, predicted = ([_of_one_class(one) for one in side] for side in (true, predicted))
    classes = _common_classes(true, predicted)
    kind = options.kind or _kind(str(settings.segmentation.chosen_method), true)
    paired = pair_detections(true, predicted, kind=kind, min_score=min_score, class_names=classes)
    summary = summarize_pairs(paired, n_images=len(names), seed=options.seed).replace({"class_name": {"all": "mean"}})
    precision = precision_table(true, predicted, kind=kind, class_names=classes, seed=options.seed)
    # both count instances, at different scores
    table = precision.drop(columns="n_predicted").merge(summary.drop(columns="n_true"), on="class_name")
    table["class_name"] = table["class_name"].replace({"mean": "all"})
    table.insert(0, "method", name)
    table.insert(2, "kind", kind)
    pairs, counts = (
        part.assign(method=name, micrograph=[names[int(i)] for i in part["image"]]).drop(columns="image")
        for part in (paired.pairs, paired.counts)
    )
    return table, pairs, counts


def _of_one_class(instances: Instances) -> Instances:
    """Return the same instances, all of one class."""
    return Instances.from_rotated_boxes(
        instances.rotated_boxes,
        shape=instances.shape,
        class_names="any",
        scores=instances.scores,
        ignored=instances.ignored,
        masks=instances.masks,
    )


def _common_classes(true: Sequence[Instances], predicted: Sequence[Instances]) -> list[str]:
    """Return the classes of the truth; refuse detectors that know none of them."""
    asked, named = (sorted({str(n) for one in side for n in one.class_names}) for side in (true, predicted))
    if named and asked and not set(asked) & set(named):
        raise SettingsError(
            f"the truth has the classes {', '.join(asked)}, the detector found {', '.join(named)}: compare them "
            "without their classes (--any-class), or name the classes of the annotations (--class)"
        )
    return asked


def _kind(method: str, true: Sequence[Instances]) -> str:
    """Return what is compared by default."""
    if method == "rotated_rcnn":
        return "rotated_boxes"
    return "masks" if all(one.masks is not None for one in true) else "boxes"


def _write(evaluation: DetectionEvaluation, about: dict[str, object]) -> None:
    """Write the tables, and how they were made."""
    folder = evaluation.folder
    for name in ("classes", "pairs", "counts"):
        table = without_formulas(getattr(evaluation, name))
        folder.write_bytes(f"detection_{name}.csv", table.to_csv(index=False).encode())
    rows = evaluation.classes.astype(object).where(evaluation.classes.notna(), None).to_dict("records")
    folder.write_json(
        "detections.json",
        {**about, "notes": list(evaluation.notes), "code_version": code_version(WHOLE_PACKAGE), "scores": rows},
    )
