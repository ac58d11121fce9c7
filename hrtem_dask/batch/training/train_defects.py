"""Train the classifier of regions on tables, simulated stores or folders of crops; its tasks run on a cluster."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from distributed import Client

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.training.region_tables import region_table
from hrtem_dask.batch.training.search_on_cluster import on_cluster
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.defects import save_classifier
from hrtem_dask.errors import NothingToAnalyseError, SettingsError, UnreadableMicrographError
from hrtem_dask.settings import Settings
from hrtem_dask.training.forest.presets import preset
from hrtem_dask.training.forest.region_samples import make_samples, require_columns
from hrtem_dask.training.forest.subsets import score_subsets
from hrtem_dask.training.forest.train_forest import TrainedForest, train_forest
from hrtem_dask.training.labelled.crop_folders import crop_table

__all__ = ["RegionOptions", "read_files", "read_regions", "train_from"]

STORE_FILE = "simulation.toml"
"""File by which a folder is known as a simulated store."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegionOptions:
    """How labeled regions are read."""

    settings: Settings | None = None
    """Settings of the segmentation of simulated stores; by default ``Settings()``."""
    pixel_size_nm: float | None = None
    """Pixel size (nm) of crops whose files state none."""
    groups: str | Path | None = None
    """CSV file with the columns ``file`` (name of a crop) and ``micrograph_id``."""


def read_files(folders: Sequence[str | Path], options: RegionOptions | None = None) -> dict[Path, pd.DataFrame]:
    """Read labeled regions that need no cluster: all but simulated stores.

    Parameters
    ----------
    folders : sequence of str or path-like
        Tables (``.csv``, ``.parquet``), simulated stores, or folders with a folder of crops per class.
    options : RegionOptions, optional
        Details of crops.

    Returns
    -------
    dict of pathlib.Path to pandas.DataFrame
        The regions of each table and of each folder of crops.

    Raises
    ------
    NothingToAnalyseError
        If a folder holds no labeled region.
    SettingsError
        If a table or the file ``options.groups`` has other columns.
    UnreadableMicrographError
        If a table cannot be read.
    """
    options = options or RegionOptions()
    groups = None if options.groups is None else _read_groups(Path(options.groups))
    files = {}
    for folder in map(Path, folders):
        if folder.is_file() and folder.suffix.lower() in {".csv", ".parquet"}:
            files[folder] = _read_table(folder)
            require_columns(files[folder])
        elif folder.is_dir() and not (folder / STORE_FILE).exists():
            files[folder] = crop_table(folder, pixel_size_nm=options.pixel_size_nm, groups=groups)
        elif not folder.is_dir():
            raise NothingToAnalyseError(
                f"{folder}: this is neither a table (.csv, .parquet) nor a simulated store nor a folder of crops"
            )
    return files


def read_regions(
    folders: Sequence[str | Path],
    client: Client,
    options: RegionOptions | None = None,
    files: Mapping[Path, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Read labeled regions.

    Parameters
    ----------
    folders : sequence of str or path-like
        Tables (``.csv``, ``.parquet``), simulated stores, or folders with a folder of crops per class.
    client : distributed.Client
        The cluster, which measures simulated stores.
    options : RegionOptions, optional
        Segmentation of simulated stores, and details of crops.
    files : mapping of pathlib.Path to pandas.DataFrame, optional
        What `read_files` has read of them; by default it is read here, with the same errors.

    Returns
    -------
    pandas.DataFrame
        All regions, one table below the other.
    """
    options = options or RegionOptions()
    files = read_files(folders, options) if files is None else files
    parts = []
    for folder in map(Path, folders):
        if folder in files:
            parts.append(files[folder])
            continue
        rows = region_table([folder], client, options.settings)
        parts.append(rows.assign(micrograph_id=f"{folder.name}/" + rows["micrograph_id"].astype(str)))
    return pd.concat(parts, ignore_index=True)


def train_from(
    data: Sequence[str | Path],
    out: str | Path,
    *,
    preset_name: str = "default",
    n_candidates: int = 1,
    test_data: Sequence[str | Path] = (),
    seed: int = 0,
    options: RegionOptions | None = None,
    cluster: Cluster | Client | str | None = None,
) -> tuple[TrainedForest, pd.DataFrame | None]:
    """Train a classifier of regions and save it.

    Parameters
    ----------
    data : sequence of str or path-like
        Labeled regions, as for `read_regions`.
    out : str or path-like
        The safetensors file to write.
    preset_name : str
        Name of one of `training.forest.presets.PRESETS`.
    n_candidates : int
        Number of sets of hyper-parameters to try, at least 1.
    test_data : sequence of str or path-like
        Regions that are not used in training, to score on.
    seed : int
        Seed of folds, forests and search.
    options : RegionOptions, optional
        How regions are read.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.

    Returns
    -------
    trained : TrainedForest
        The classifier and its scores.
    test : pandas.DataFrame or None
        Rows of `score_subsets` on the test regions; None without them.
    """
    training, features = preset(preset_name)
    training = dataclasses.replace(training, n_candidates=n_candidates, seed=seed)
    files = read_files([*data, *test_data], options)  # before a cluster starts, which wrong data need not
    with connect(cluster, device="cpu") as client:
        samples = make_samples(read_regions(data, client, options, files), features=features)
        logger.info("features: %s", ", ".join(samples.features))
        trained = train_forest(samples, training, map_tasks=on_cluster(client))
        save_classifier(trained.classifier, out)
        if not test_data:
            return trained, None
        test = make_samples(
            read_regions(test_data, client, options, files), features=samples.features, classes=samples.classes
        )
    probability = trained.classifier.predict_probability(test.values)
    return trained, score_subsets(test, probability, unsure_threshold=trained.classifier.unsure_threshold, seed=seed)


def _read_groups(path: Path) -> dict[str, str]:
    """Read the micrograph of each crop, by file name."""
    table = _read_table(path)
    if not {"file", "micrograph_id"} <= set(table):
        raise SettingsError(
            f"{path}: needs the columns file and micrograph_id, it has {', '.join(map(str, table.columns))}"
        )
    return dict(zip(table["file"].astype(str), table["micrograph_id"].astype(str), strict=True))


def _read_table(path: Path) -> pd.DataFrame:
    """Read a table."""
    try:
        return pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UnreadableMicrographError(f"{path}: cannot be read as a table: {error}") from error
