"""The lazy notebook API: micrographs as chunked xarray, each stage a lazy step, tables as dask.dataframe.

``open_micrographs → segment → label → measure, classify`` build a graph and compute nothing. Each micrograph is read by
one task, segmented by a second, and labelled, measured and classified by a third. A batch calls the same three
functions one after the other, so both give the same rows, failures included. The graph carries NumPy chunks and paths
only: a model is loaded by path, once per worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import xarray as xr
from dask.delayed import Delayed, delayed

from hrtem_dask import loading, tables
from hrtem_dask.batch.collection_tasks import (
    image_of,
    labels_of,
    mask_of,
    probability_of,
    rows_of,
    segment_on_host,
)
from hrtem_dask.batch.collection_tree import add_variables, node_name, stack_images
from hrtem_dask.batch.description import describe, describe_html
from hrtem_dask.batch.listing import find_inputs, list_sources
from hrtem_dask.batch.run.record_analysis import analyse_segmented_record, read_record
from hrtem_dask.chosen_settings import SettingsLike, choose_settings
from hrtem_dask.errors import suggestion
from hrtem_dask.micrograph import make_micrograph
from hrtem_dask.settings import Settings

__all__ = ["Collection", "classify", "label", "measure", "open_micrographs", "segment"]


@dataclass(frozen=True)
class Collection:
    """Many micrographs, lazily.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import hrtem_dask as hd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", np.zeros((64, 80), np.float32))
    ...     settings = hd.Settings().updated({"loading": {"pixel_size_nm": 0.05}})
    ...     micrographs = hd.open_micrographs(folder, settings=settings)
    >>> len(micrographs), list(micrographs.tree.children)
    (1, ['64x80'])
    """

    index: pd.DataFrame
    """One row per 2-D image, and one per signal or file that yields none (``status``, ``reason``)."""
    tree: xr.DataTree
    """One node per image shape; its Dataset stacks that shape's images as ``intensity (micrograph, y, x)``, and after
    `segment` and `label` also ``probability``, ``mask`` and ``labels``."""
    settings: Settings
    """The settings that every step uses."""
    _records: tuple[loading.MicrographRecord, ...] = field(repr=False)
    _stages: Mapping[str, Mapping[str, Delayed]] = field(repr=False, default_factory=dict)

    def __len__(self) -> int:
        """Count the micrographs that can be analysed."""
        return len(self._records)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the micrographs that can be analysed."""
        return (record.micrograph_id for record in self._records)

    def __getitem__(self, micrograph_id: str) -> xr.DataArray:
        """Return one micrograph, still lazy: the intensity of `micrograph`."""
        return self.micrograph(micrograph_id)

    def __repr__(self) -> str:
        """Describe the collection in a few lines."""
        return "\n".join(describe(self.index, self._records, self._variables(), self.settings))

    def _repr_html_(self) -> str:
        """Describe the collection in a few lines, for notebooks."""
        return describe_html(describe(self.index, self._records, self._variables(), self.settings))

    def _variables(self) -> list[str]:
        """Return what the steps so far have added to each micrograph."""
        return list(next(iter(self._stages.values()), {}))

    def micrograph(self, micrograph_id: str, variable: str = "intensity") -> xr.DataArray:
        """Return one micrograph, still lazy.

        Parameters
        ----------
        micrograph_id : str
            Its name in the index.
        variable : str
            ``intensity``, or what a step has added.

        Returns
        -------
        xarray.DataArray
            (y, x), with its own coordinates in nm.

        Raises
        ------
        KeyError
            If there is no such micrograph or variable.
        """
        if not isinstance(micrograph_id, str):
            raise TypeError(
                f"need the name of a micrograph, got {type(micrograph_id).__name__}: list(micrographs) has the names"
            )
        record = next((r for r in self._records if r.micrograph_id == micrograph_id), None)
        if record is None:
            raise KeyError(
                f"no micrograph {micrograph_id!r} that can be analysed{suggestion(micrograph_id, list(self))}"
            )
        stacked = self.tree[node_name(record)][variable]
        image = stacked.data[list(stacked.indexes["micrograph"]).index(micrograph_id)]
        return make_micrograph(
            image, pixel_size_nm=record.pixel_size_nm, pixel_size_source=record.pixel_size_source, name=variable
        )


def open_micrographs(
    inputs: str | Path | Sequence[str | Path],
    *,
    settings: SettingsLike | None = None,
    pixel_size_nm: float | None = None,
    method: str | None = None,
    material: str | None = None,
    metadata: str | Path | None = None,
) -> Collection:
    """Open micrographs lazily: files are listed, no image is read.

    Parameters
    ----------
    inputs : str, path-like or sequence of these
        Files, folders, globs, or fsspec URLs.
    settings : Settings, mapping, str or path-like, optional
        Settings of this and the following steps, a dictionary of those that differ from the defaults, or the path of a
        TOML file.
    pixel_size_nm : float, optional
        Pixel size (nm) of all files, instead of what they state: ``loading.pixel_size_nm``.
    method : {"unet", "otsu", "fourier"}, optional
        How particles are separated from the support: ``segmentation.method``.
    material : str, optional
        Known material, such as ``"Au"``, whose lattice checks the pixel size: ``fourier.material``.
    metadata : str or path-like, optional
        Table that gives files their sample and covariates; see `loading.read_metadata`.

    Returns
    -------
    Collection
        Index and lazy images, one chunk per micrograph.

    Raises
    ------
    NothingToAnalyseError
        If there is no file.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.simulation import SceneContrast, simulate_scene
    >>> scene = simulate_scene(
    ...     seed=1,
    ...     shape=(96, 128),
    ...     pixel_size_nm=0.05,
    ...     n_particles=2,
    ...     diameter_nm=(1, 1.5),
    ...     contrast=SceneContrast(darkness=0.6),
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", scene.image)
    ...     micrographs = hd.open_micrographs(folder, pixel_size_nm=0.05, method="otsu")
    ...     image = micrographs.tree["96x128"].intensity[0].compute()
    >>> bool((image == scene.image).all())
    True
    """
    chosen = choose_settings(settings, pixel_size_nm=pixel_size_nm, method=method, material=material)
    sources = find_inputs(inputs)
    samples = loading.read_metadata(metadata) if metadata is not None else None
    records = list_sources(sources, chosen, samples)
    rows = pd.DataFrame([loading.to_row(r) for r in records])
    index = tables.conform(rows, tables.MICROGRAPHS)[list(rows.columns)].set_index("micrograph_id", drop=False)
    usable = tuple(r for r in records if r.status == "ok")
    stages: dict[str, dict[str, Delayed]] = {}
    for record in usable:
        read = delayed(read_record)(record)
        stages[record.micrograph_id] = {"read": read, "intensity": delayed(image_of)(read)}
    return Collection(index, stack_images(usable, stages, "intensity", None), chosen, usable, stages)


def segment(micrographs: Collection, *, settings: SettingsLike | None = None) -> Collection:
    """Separate particles from the support on every micrograph, lazily.

    Parameters
    ----------
    micrographs : Collection
        From `open_micrographs`.
    settings : Settings, mapping, str or path-like, optional
        Used from here on, instead of the collection's.

    Returns
    -------
    Collection
        With ``probability`` (float32) and ``mask`` (bool) in its tree; also of micrographs that ``quality.set_aside``
        excludes later, so that they can be looked at.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.simulation import SceneContrast, simulate_scene
    >>> scene = simulate_scene(
    ...     seed=1,
    ...     shape=(96, 128),
    ...     pixel_size_nm=0.05,
    ...     n_particles=2,
    ...     diameter_nm=(1, 1.5),
    ...     contrast=SceneContrast(darkness=0.6),
    ... )
    >>> settings = hd.Settings().updated({"loading": {"pixel_size_nm": 0.05}, "segmentation": {"method": "otsu"}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", scene.image)
    ...     segmented = hd.segment(hd.open_micrographs(folder, settings=settings))
    ...     mask = segmented.tree["96x128"].mask[0].compute()
    >>> bool(np.mean(mask == (scene.labels > 0)) > 0.95)
    True
    """
    _require_collection(micrographs)
    chosen = micrographs.settings if settings is None else choose_settings(settings)
    stages: dict[str, dict[str, Delayed]] = {}
    for record in micrographs._records:
        known = micrographs._stages[record.micrograph_id]
        segmented = delayed(segment_on_host, pure=False)(known["read"], chosen)
        stages[record.micrograph_id] = {
            "read": known["read"],
            "intensity": known["intensity"],
            "segmented": segmented,
            "probability": delayed(probability_of)(segmented),
            "mask": delayed(mask_of)(segmented),
        }
    tree = micrographs.tree.copy()
    for variable, dtype in (("probability", np.dtype(np.float32)), ("mask", np.dtype(np.bool_))):
        tree = add_variables(tree, stack_images(micrographs._records, stages, variable, dtype))
    return replace(micrographs, tree=tree, settings=chosen, _stages=stages)


def label(micrographs: Collection) -> Collection:
    """Find the particles of every micrograph, lazily.

    Parameters
    ----------
    micrographs : Collection
        From `segment`.

    Returns
    -------
    Collection
        With ``labels`` (int32, 0 = background) in its tree. They are made from the probability and the mask of
        `segment`, so each micrograph is segmented once, and they are those of a batch: a micrograph that
        ``quality.set_aside`` excludes has no label.

    Raises
    ------
    ValueError
        If the collection is not segmented yet.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.simulation import SceneContrast, simulate_scene
    >>> scene = simulate_scene(
    ...     seed=1,
    ...     shape=(96, 128),
    ...     pixel_size_nm=0.05,
    ...     n_particles=2,
    ...     diameter_nm=(1, 1.5),
    ...     contrast=SceneContrast(darkness=0.6),
    ... )
    >>> settings = hd.Settings().updated({"loading": {"pixel_size_nm": 0.05}, "segmentation": {"method": "otsu"}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", scene.image)
    ...     labelled = hd.label(hd.segment(hd.open_micrographs(folder, settings=settings)))
    ...     labels = labelled.tree["96x128"].labels[0].compute()
    >>> labels.dtype, int(labels.max())
    (dtype('int32'), 2)
    """
    _require(micrographs, "segmented", "segment")
    stages: dict[str, dict[str, Delayed]] = {}
    for record in micrographs._records:
        known = micrographs._stages[record.micrograph_id]
        analysed = delayed(analyse_segmented_record, pure=False)(known["segmented"], micrographs.settings)
        stages[record.micrograph_id] = {**known, "analysed": analysed, "labels": delayed(labels_of)(analysed)}
    added = stack_images(micrographs._records, stages, "labels", np.dtype(np.int32))
    return replace(micrographs, tree=add_variables(micrographs.tree, added), _stages=stages)


def measure(micrographs: Collection, table: str = "particles") -> dd.DataFrame:
    """Measure every particle, lazily.

    Parameters
    ----------
    micrographs : Collection
        From `label`.
    table : {"particles", "regions", "windows", "fault_traces", "instance_runs", "micrographs"}
        Which rows.

    Returns
    -------
    dask.dataframe.DataFrame
        The rows and dtypes of a batch's table, one partition per micrograph. A micrograph that fails has no
        particles, and its row of ``micrographs`` gives the reason. The collection's index lists what was set aside.

    Raises
    ------
    ValueError
        If the collection is not labelled yet.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.simulation import SceneContrast, simulate_scene
    >>> scene = simulate_scene(
    ...     seed=1,
    ...     shape=(96, 128),
    ...     pixel_size_nm=0.05,
    ...     n_particles=2,
    ...     diameter_nm=(1, 1.5),
    ...     contrast=SceneContrast(darkness=0.6),
    ... )
    >>> settings = hd.Settings().updated({"loading": {"pixel_size_nm": 0.05}, "segmentation": {"method": "otsu"}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", scene.image)
    ...     particles = hd.measure(hd.label(hd.segment(hd.open_micrographs(folder, settings=settings))))
    ...     diameters = particles.equivalent_diameter_nm.compute()
    >>> bool(diameters.between(1.2, 1.4).all())
    True
    """
    _require(micrographs, "analysed", "label")
    if table not in tables.SCHEMAS:
        raise KeyError(f"no table {table!r}{suggestion(table, list(tables.SCHEMAS))}")
    schema = tables.SCHEMAS[table]
    covariates = pd.DataFrame([dict(r.covariates) for r in micrographs._records], index=range(len(micrographs)))
    meta = tables.empty(schema).join(covariates.iloc[:0])
    parts = [
        delayed(rows_of, pure=False)(micrographs._stages[record.micrograph_id]["analysed"], table, covariates.iloc[[i]])
        for i, record in enumerate(micrographs._records)
    ] or [delayed(meta)]
    with dask.config.set({"dataframe.convert-string": False}):
        lazy: dd.DataFrame = dd.from_delayed(parts, meta=meta, verify_meta=False)
    return lazy


def classify(micrographs: Collection) -> dd.DataFrame:
    """Classify every region, lazily: faulted, without a fault, misoriented, agglomeration, no particle, or unsure.

    `analysis.classify` does the same to one micrograph and gives its regions together with its particles; here the
    particles with their fault states come from `measure`.

    Parameters
    ----------
    micrographs : Collection
        From `label`.

    Returns
    -------
    dask.dataframe.DataFrame
        The rows and dtypes of a batch's regions table, one partition per micrograph: ``region_class``, a probability
        per class, and the features that decided it.

    Raises
    ------
    ValueError
        If the collection is not labelled yet.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.simulation import SceneContrast, simulate_scene
    >>> scene = simulate_scene(
    ...     seed=1,
    ...     shape=(96, 128),
    ...     pixel_size_nm=0.05,
    ...     n_particles=2,
    ...     diameter_nm=(1, 1.5),
    ...     contrast=SceneContrast(darkness=0.6),
    ... )
    >>> settings = hd.Settings().updated({"loading": {"pixel_size_nm": 0.05}, "segmentation": {"method": "otsu"}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", scene.image)
    ...     regions = hd.classify(hd.label(hd.segment(hd.open_micrographs(folder, settings=settings))))
    ...     classes = regions.region_class.compute()
    >>> len(classes)
    2
    """
    return measure(micrographs, "regions")


def _require(micrographs: Collection, stage: str, step: str) -> None:
    """Refuse what is no collection, or one that a step has not been applied to yet."""
    _require_collection(micrographs)
    if any(stage not in known for known in micrographs._stages.values()):
        raise ValueError(f"the collection is not {stage} yet: call {step}(micrographs) first")


def _require_collection(micrographs: object) -> None:
    """Refuse what is no collection, and say how to get one."""
    if not isinstance(micrographs, Collection):
        raise TypeError(
            f"need a Collection, got {type(micrographs).__name__}: open files with open_micrographs(…) first"
        )
