"""Do again what is damaged in a results folder, and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass

from distributed import Client

from hrtem_dask.batch.results_state import Verification, verify
from hrtem_dask.batch.run.run import RunSummary, make_job, run_job
from hrtem_dask.cluster_settings import Cluster, Device
from hrtem_dask.errors import ResultsFolderError, SettingsError
from hrtem_dask.provenance import code_version
from hrtem_dask.settings import Settings
from hrtem_dask.storage.compaction import read_run_file
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.results import open_results

__all__ = ["Repair", "repair"]


@dataclass(frozen=True)
class Repair:
    """What a repair has found and done."""

    found: Verification
    """What was damaged."""
    summary: RunSummary | None
    """How the repair ended; None where nothing was to be done."""

    @property
    def n_again(self) -> int:
        """Number of micrographs that were analyzed again."""
        return 0 if self.summary is None else self.summary.n_analyzed


def repair(
    results: str | os.PathLike[str],
    *,
    device: Device | None = None,
    cluster: Cluster | Client | str | None = None,
    progress: bool = False,
) -> Repair:
    """Analyze again what is damaged or was interrupted, with the inputs and settings of the run, and write its tables.

    Images that the run did not list are left out, unless ``micrographs.parquet`` is what is damaged. Micrographs that
    failed are not tried again.

    Parameters
    ----------
    results : str or path-like
        The results folder, or its fsspec URL.
    device : {"auto", "cpu", "cuda"}, optional
        Where images are processed, by default as in the run.
    cluster : Cluster, distributed.Client or str, optional
        Where to compute, as for `run`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Repair
        What was damaged, and how the repair ended.

    Raises
    ------
    ResultsFolderError
        If it is no results folder, its ``run.toml`` is damaged, or a run is writing into it.
    SettingsError
        If the version of the package or a model has changed, so that everything would be analyzed again.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n_particles=3)
    >>> _ = hd.run(folder / "images", folder / "results", method="otsu", cluster="threads")
    >>> _ = (folder / "results" / "particles.parquet").write_bytes(b"cut")
    >>> repaired = repair(folder / "results", cluster="threads")
    >>> list(repaired.found.tables), repaired.n_again, verify(folder / "results").is_sound
    (['particles.parquet'], 0, True)
    """
    found = verify(results)
    if found.is_sound and not found.interrupted:
        return Repair(found, None)
    folder = Location.of(results)
    about = read_run_file(folder)
    settings = Settings().updated(about["settings"])
    if device is not None:
        settings = settings.updated({"execution": {"device": device}})
    job = make_job(
        [str(one) for one in about.get("inputs", [])],
        folder.url,
        settings,
        metadata=about.get("metadata"),
        limit=about.get("limit"),
        retry_failed=False,
        only=_known(folder),
    )
    known = about.get("models", {})
    same_models = (job.models.segmentation, job.models.defects) == (known.get("segmentation"), known.get("defects"))
    if about.get("code_version") != code_version() or not same_models:
        raise SettingsError(
            "the version of hrtem-dask or a model has changed since the run, so everything would be analyzed again: "
            "if you want that, give the command of the run"
        )
    return Repair(found, run_job(job, cluster, progress=progress))


def _known(folder: Location) -> frozenset[str] | None:
    """Return the images of the run; None where its table cannot be read: the ledger has no files without images."""
    try:
        return frozenset(open_results(folder).micrographs["micrograph_id"].astype(str))
    except (ResultsFolderError, FileNotFoundError):
        return None
