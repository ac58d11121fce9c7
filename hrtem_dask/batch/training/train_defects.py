"""Train the classifier of regions from whatever holds labelled regions, its tasks on a cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from distributed import Client

from hrtem_dask.batch.training.region_tables import region_table
from hrtem_dask.batch.training.search_on_cluster import on_cluster
from hrtem_dask.defects import save_classifier
from hrtem_dask.errors import NothingToAnalyseError, SettingsError, UnreadableMicrographError
from hrtem_dask.settings import Settings
from hrtem_dask.training.forest.presets import preset
from hrtem_dask.training.forest.region_samples import make_samples
from hrtem_dask.training.forest.subsets import score_subsets
from hrtem_dask.training.forest.train_forest import TrainedForest, train_forest
from hrtem_dask.training.labelled.crop_folders import crop_table

__all__ = ["read_regions", "train_from"]


def read_regions(
    places: Sequence[str | Path],
    client: Client,
    *,
    settings: Settings | None = None,
    pixel_size_nm: float | None = None,
    groups: str | Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Read labelled regions.

    Parameters
    ----------
    places : sequence of str or path-like
        Tables (``.csv``, ``.parquet``), simulated stores, or folders with a folder of crops per class.
    client : distributed.Client
        Measures simulated stores.
    settings : Settings, optional
        Of the segmentation of simulated stores.
    pixel_size_nm : float, optional
        Pixel size (nm) of crops that state none.
    groups : str or path-like, optional
        CSV with the columns ``file`` (name of a crop) and ``micrograph_id``.
    say : callable
        Takes lines for the user.

    Returns
    -------
    pandas.DataFrame
        All of them, one below the other.

    Raises
    ------
    NothingToAnalyseError
        If a place holds no labelled region.
    UnreadableMicrographError
        If a table cannot be read.
    """
    mapping = None
    if groups is not None:
        named = _read_table(Path(groups))
        if not {"file", "micrograph_id"} <= set(named):
            raise SettingsError(
                f"{groups}: needs the columns file and micrograph_id, it has {', '.join(map(str, named.columns))}"
            )
        mapping = dict(zip(named["file"].astype(str), named["micrograph_id"].astype(str), strict=True))
    parts = []
    for place in map(Path, places):
        if place.is_file() and place.suffix.lower() in {".csv", ".parquet"}:
            parts.append(_read_table(place))
        elif (place / "simulation.toml").exists():
            rows = region_table([place], client, settings, say=say)
            parts.append(rows.assign(micrograph_id=f"{place.name}/" + rows["micrograph_id"].astype(str)))
        elif place.is_dir():
            parts.append(crop_table(place, pixel_size_nm=pixel_size_nm, groups=mapping))
        else:
            raise NothingToAnalyseError(
                f"{place}: is no table (.csv, .parquet), no simulated store and no folder of crops"
            )
    return pd.concat(parts, ignore_index=True)


def train_from(
    places: Sequence[str | Path],
    out: str | Path,
    client: Client,
    *,
    preset_name: str = "default",
    n_candidates: int = 1,
    test_places: Sequence[str | Path] = (),
    seed: int = 0,
    settings: Settings | None = None,
    pixel_size_nm: float | None = None,
    groups: str | Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[TrainedForest, pd.DataFrame | None]:
    """Train a classifier and save it.

    Parameters
    ----------
    places : sequence of str or path-like
        As for `read_regions`.
    out : str or path-like
        The safetensors file to write.
    client : distributed.Client
        The cluster.
    preset_name : str
        Of `training.forest.presets.PRESETS`.
    n_candidates : int
        Hyper-parameters to try.
    test_places : sequence of str or path-like
        Regions that have no part in training, to score on.
    seed : int
        Of folds, forests and search.
    settings : Settings, optional
        As for `read_regions`.
    pixel_size_nm : float, optional
        As for `read_regions`.
    groups : str or path-like, optional
        As for `read_regions`.
    say : callable
        Takes lines for the user.

    Returns
    -------
    trained : TrainedForest
        The classifier and its scores.
    test : pandas.DataFrame or None
        Rows of `score_subsets` on the test regions.
    """
    training, features = preset(preset_name)
    training = dataclasses.replace(training, n_candidates=n_candidates, seed=seed)

    def read(some: Sequence[str | Path]) -> pd.DataFrame:
        return read_regions(some, client, settings=settings, pixel_size_nm=pixel_size_nm, groups=groups, say=say)

    samples = make_samples(read(places), features=features)
    say(f"features: {', '.join(samples.features)}")
    trained = train_forest(samples, training, map_tasks=on_cluster(client))
    save_classifier(trained.classifier, out)
    if not test_places:
        return trained, None
    test = make_samples(read(test_places), features=samples.features, classes=samples.classes)
    probability = trained.classifier.predict_probability(test.values)
    return trained, score_subsets(test, probability, unsure_threshold=trained.classifier.unsure_threshold, seed=seed)


def _read_table(path: Path) -> pd.DataFrame:
    """Read a table."""
    try:
        return pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UnreadableMicrographError(f"{path}: cannot be read as a table: {error}") from error
