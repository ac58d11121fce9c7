"""Search the settings for training a detector: each trial is one task of a cluster."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from distributed import Client

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.stream import failure_reason, stream_with_retry
from hrtem_dask.cluster_settings import Cluster, Device
from hrtem_dask.errors import NothingToAnalyseError, SettingsError
from hrtem_dask.provenance import bytes_hash
from hrtem_dask.training.detection.annotated import read_annotated
from hrtem_dask.training.detection.random_search import Round, best_trials, draw_recipe, rounds, searched_values
from hrtem_dask.training.detection.recipes import DetectionRecipe
from hrtem_dask.training.detection.samples import Sample
from hrtem_dask.training.detection.train_detector import train_detector

__all__ = ["TRIAL_COLUMNS", "DetectorData", "search_detector"]

TRIAL_COLUMNS = ("trial", "images", "score", "map50", "map75", "seconds", "status", "reason")
"""First columns of the table of trials: number, training images at the end of the round, mean of ``map50`` and
``map75`` of the validation images there, training time (s), and ``done``, or ``failed`` with the reason."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DetectorData:
    """Files that all trials share; workers on other machines must see them under the same paths."""

    initial: str | None = None
    """Detector to start from."""
    backbone: str | None = None
    """Weights of ImageNet to start from."""
    annotated: tuple[str, ...] = ()
    """Annotated data to train on."""
    validation: tuple[str, ...] = ()
    """Annotated data that validates; by default simulated scenes do."""
    class_names: tuple[str, ...] | None = None
    """Names of numbered classes."""

    def read(self) -> tuple[list[Sample], list[Sample]]:
        """Read the annotated data.

        Returns
        -------
        annotated, validation : list of Sample
            What is trained on, and what validates.

        Raises
        ------
        AnnotationError, NothingToAnalyseError
            As `read_annotated`.
        """
        annotated, validation = (
            read_annotated(places, class_names=self.class_names) if places else []
            for places in (self.annotated, self.validation)
        )
        return annotated, validation


def search_detector(
    out: str | Path,
    recipe: DetectionRecipe,
    n_trials: int,
    *,
    data: DetectorData | None = None,
    seed: int = 0,
    device: Device = "cpu",
    workdir: str | Path | None = None,
    cluster: Cluster | Client | str | None = None,
) -> pd.DataFrame:
    """Train a detector with random settings many times, and keep the best.

    Parameters
    ----------
    out : str or path-like
        Path of the model file of the best trial.
    recipe : DetectionRecipe
        Settings that the search lies around; trial 0 has exactly these.
    n_trials : int
        Trials, at least 2.
    data : DetectorData, optional
        What they start from and train on; by default simulated scenes and random weights.
    seed : int
        Seed of the search and of each training.
    device : {"cpu", "cuda"}
        Device of the trainings.
    workdir : str or path-like, optional
        Folder for the table of trials (``trials.csv``) and a folder per trial, which all workers can write; by default
        beside the model. A search that is found there goes on.
    cluster : Cluster, distributed.Client or str, optional
        Where to train, as for `run`.

    Returns
    -------
    pandas.DataFrame
        A row per trial and round: `TRIAL_COLUMNS`, and what was drawn.

    Raises
    ------
    SettingsError
        If the work folder belongs to another search.
    AnnotationError
        If an annotation file is damaged, or there is none.
    NothingToAnalyseError
        If there is no annotated image, or no trial has a score.
    """
    out, data = Path(out), data or DetectorData()
    data.read()  # what cannot be read ends the search here, and not each trial
    folder = Path(workdir) if workdir else out.with_name(out.stem + ".search")
    plan = rounds(n_trials, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, bytes_hash("\0".join([recipe.to_toml(), str(n_trials), str(seed), repr(data)]).encode()))
    table = _Table(folder / "trials.csv", recipe, seed)
    trials: Sequence[int] = range(n_trials)
    with connect(cluster, device=device) as client:
        for number, one in enumerate(plan, 1):
            trials = trials if number == 1 else best_trials(table.scores(trials, plan[number - 2].images), one.n_trials)
            logger.info("round %d of %d: %d trials up to %d images", number, len(plan), len(trials), one.images)
            _run_round(client, table, trials, one, folder, data, seed, device)
    best = best_trials(table.scores(trials, plan[-1].images), 1)
    if not best:
        raise NothingToAnalyseError(
            f"no trial has a score: all failed, or the validation data show no instance; {table.path} has the reasons"
        )
    shutil.copyfile(_model_file(folder, best[0]), out)
    recipe_file = folder / "best.toml"
    recipe_file.write_text(draw_recipe(recipe, seed=seed, trial=best[0]).to_toml(), encoding="utf-8")
    logger.info("the best is trial %d: its settings are %s", best[0], recipe_file)
    return table.rows


def _claim(folder: Path, fingerprint: str) -> None:
    """Refuse a folder with another search."""
    stamp = folder / "search.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") != fingerprint:
        raise SettingsError(
            f"{folder}: contains a search with another recipe, seed, number of trials or data; choose another "
            "--workdir, or delete it to start again"
        )
    stamp.write_text(fingerprint, encoding="utf-8")


class _Table:
    """The trials so far, on disk after each of them."""

    def __init__(self, path: Path, recipe: DetectionRecipe, seed: int) -> None:
        self.path, self._recipe, self._seed = path, recipe, seed
        self.rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(TRIAL_COLUMNS))

    def recipe(self, trial: int) -> DetectionRecipe:
        """Return the settings of a trial."""
        return draw_recipe(self._recipe, seed=self._seed, trial=trial)

    def has(self, trial: int, images: int) -> bool:
        """Return whether a trial has ended a round."""
        return bool(((self.rows["trial"] == trial) & (self.rows["images"] == images)).any())

    def scores(self, trials: Sequence[int], images: int) -> dict[int, float]:
        """Return the scores of trials at the end of a round; failed ones are left out."""
        done = self.rows[(self.rows["images"] == images) & (self.rows["status"] == "done")]
        return {int(t): float(s) for t, s in zip(done["trial"], done["score"], strict=True) if int(t) in set(trials)}

    def add(self, trial: int, images: int, result: Mapping[str, float] | BaseException) -> None:
        """Add a row, and write the table."""
        row: dict[str, object] = {"trial": trial, "images": images}
        if isinstance(result, BaseException):
            row |= {"status": "failed", "reason": failure_reason(result)}
            logger.warning("trial %d failed: %s", trial, row["reason"])
        else:
            row |= {"score": (result["map50"] + result["map75"]) / 2, "status": "done"}
            row |= {name: result[name] for name in ("map50", "map75", "seconds")}
            logger.info("trial %d: score %.3f after %d images", trial, row["score"], images)
        row |= searched_values(self.recipe(trial))
        known = self.rows.to_dict("records")
        self.rows = pd.DataFrame([*known, row]).reindex(columns=[*TRIAL_COLUMNS, *searched_values(self._recipe)])
        self.rows = self.rows.sort_values(["images", "trial"], ignore_index=True)
        partial = self.path.with_suffix(".partial")
        self.rows.to_csv(partial, index=False)
        partial.replace(self.path)


def _model_file(folder: Path, trial: int) -> Path:
    """Return the model file of a trial."""
    return folder / f"trial-{trial:03d}" / "model.safetensors"


def _run_round(
    client: Client,
    table: _Table,
    trials: Sequence[int],
    one: Round,
    folder: Path,
    data: DetectorData,
    seed: int,
    device: str,
) -> None:
    """Train the trials that have not ended this round."""
    left = [trial for trial in trials if not table.has(trial, one.images)]
    items = [(trial, table.recipe(trial).to_toml(), str(_model_file(folder, trial))) for trial in left]
    # a trial whose worker died is tried again alone, from its checkpoint; the others are not touched
    for item, result in stream_with_retry(client, _train, items, data, one.images, seed, device, key="trial"):
        table.add(item[0], one.images, result)


def _train(item: tuple[int, str, str], data: DetectorData, images: int, seed: int, device: str) -> dict[str, float]:
    """Train one trial up to a number of images, on a worker."""
    _, toml, model = item
    Path(model).parent.mkdir(parents=True, exist_ok=True)
    annotated, validation = data.read()
    result = train_detector(
        model,
        DetectionRecipe.from_toml(toml),
        initial=data.initial,
        backbone=data.backbone,
        annotated=annotated,
        validation=validation,
        seed=seed,
        device=device,
        until_images=images,
        workdir=Path(model).parent,
    )
    row = result.rows[-1]
    return {name: row[name] for name in ("map50", "map75", "seconds")}
