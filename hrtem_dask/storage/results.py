"""The results of a run, read back: tables, labels, and from any row to its pixels."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hrtem_dask import loading, tables
from hrtem_dask.errors import NothingToAnalyseError, ResultsFolderError, error_text, suggestion
from hrtem_dask.micrograph import PixelSize, make_micrograph
from hrtem_dask.population.size_lines import size_lines
from hrtem_dask.storage.ledger import RARE_TABLES
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.parquet import read_table
from hrtem_dask.tables.datasets import to_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Results", "crop", "find_record", "listed_record", "open_results", "pixel_size_of"]


@dataclass(frozen=True)
class Results:
    """A results folder, opened for reading.

    Each table is read once, so it stays as it was when it was first asked for: open the folder again after a new run.

    Examples
    --------
    See `open_results`.
    """

    folder: Location
    """The results folder."""
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[Results], tuple[Location]]:
        """Travel to a worker without the tables."""
        return type(self), (self.folder,)

    def table(self, name: str) -> pd.DataFrame:
        """Return one table.

        Parameters
        ----------
        name : {"micrographs", "regions", "particles", "windows", "fault_traces", "instance_runs", "execution"}
            Which one. The tables of windows and fault traces of an older run, which had none, are empty.

        Returns
        -------
        pandas.DataFrame
            With its schema's dtypes. It is a copy, which may be modified.

        Raises
        ------
        KeyError
            If there is no table of that name.
        FileNotFoundError
            If the run has not ended.
        ResultsFolderError
            If the table is damaged.
        """
        return self._table(name).copy()

    def _table(self, name: str) -> pd.DataFrame:
        """Return one table as it was read, not to be modified."""
        if name not in tables.SCHEMAS:
            raise KeyError(f"no table {name!r}{suggestion(str(name), list(tables.SCHEMAS))}")
        if name not in self._tables:
            file, schema = f"{name}.parquet", tables.SCHEMAS[name]
            absent = name in RARE_TABLES and not self.folder.exists(file)
            try:
                self._tables[name] = tables.empty(schema) if absent else read_table(self.folder, file, schema)
            except FileNotFoundError:
                raise
            except (OSError, ValueError, KeyError) as error:  # Arrow's errors are ValueErrors
                raise ResultsFolderError(
                    f"the table {self.folder.path(name)}.parquet is damaged ({error_text(error)}): run again into this "
                    "folder, which writes its tables again without analyzing what is done"
                ) from error
        return self._tables[name]

    @property
    def micrographs(self) -> pd.DataFrame:
        """One row per 2-D image, and one per file that yields none."""
        return self.table("micrographs")

    @property
    def regions(self) -> pd.DataFrame:
        """One row per region."""
        return self.table("regions")

    @property
    def particles(self) -> pd.DataFrame:
        """One row per particle."""
        return self.table("particles")

    @property
    def windows(self) -> pd.DataFrame:
        """One row per window of a field that one crystal fills."""
        return self.table("windows")

    @property
    def fault_traces(self) -> pd.DataFrame:
        """One row per fault of such a field."""
        return self.table("fault_traces")

    @property
    def instance_runs(self) -> pd.DataFrame:
        """The masks of instances that a detector found: one row per stretch of pixels."""
        return self.table("instance_runs")

    @property
    def summary(self) -> dict[str, Any]:
        """The statistics of the population that the run wrote: the content of ``summary.json``.

        Raises
        ------
        FileNotFoundError
            If the run has not ended.
        ResultsFolderError
            If the file is damaged.
        """
        try:
            content = json.loads(self.folder.read_bytes("summary.json"))
        except ValueError as error:
            raise ResultsFolderError(
                f"{self.folder.path('summary.json')} is damaged ({error_text(error)}): run again into this folder, "
                "which writes it again without analyzing what is done"
            ) from error
        if not isinstance(content, dict):
            raise ResultsFolderError(f"{self.folder.path('summary.json')} holds no table: run again into this folder")
        return content

    def __repr__(self) -> str:
        """Name the folder and count what it holds."""
        return "\n".join(self._described())

    def _repr_html_(self) -> str:
        """Name the folder and count what it holds, for notebooks."""
        heading, *rest = (html.escape(line.strip()) for line in self._described())
        return f"<p><b>{heading}</b></p><ul>{''.join(f'<li>{line}</li>' for line in rest)}</ul>"

    def _described(self) -> list[str]:
        """Return the lines that name the folder and count what it holds."""
        statuses = self._table("micrographs")["status"].value_counts()
        counts = ", ".join(f"{n} {status}" for status, n in statuses.items() if n)
        n_particles = len(self._table("particles"))
        lines = [f"Results of {self.folder.url}", f"  micrographs: {counts or 'none'}", f"  particles: {n_particles}"]
        with contextlib.suppress(FileNotFoundError, ResultsFolderError):
            lines += [f"  {text}" for text in size_lines(self.summary)[:1]]
        return lines

    def labels(self, micrograph_id: str) -> np.ndarray:
        """Read the labels of one micrograph.

        Parameters
        ----------
        micrograph_id : str
            Its name.

        Returns
        -------
        numpy.ndarray of int32
            Shape (y, x): the particle_id of each pixel, 0 = background.

        Raises
        ------
        KeyError
            If it has none.
        """
        try:
            return label_packs.read_labels(self.folder, micrograph_id)
        except KeyError as error:
            raise KeyError(
                f"no labels of micrograph {micrograph_id!r}{suggestion(str(micrograph_id), list(self._labelled()))}"
            ) from error

    def _labelled(self) -> dict[str, PixelSize | None]:
        """Return the micrographs with labels and their pixel sizes."""
        rows = self._table("micrographs")
        analyzed = rows[rows["status"].isin(tables.ANALYZED_STATUSES)]
        return {str(row["micrograph_id"]): pixel_size_of(row) for _, row in analyzed.iterrows()}

    def to_xarray(self, micrograph_ids: str | Sequence[str] | None = None) -> xr.DataTree:
        """Return the results as a tree of xarray datasets.

        Parameters
        ----------
        micrograph_ids : str or sequence of str, optional
            Micrographs whose labels the tree holds; all by default. They are opened, not read.

        Returns
        -------
        xarray.DataTree
            A node for each table, such as ``particles``, with one variable per column and its unit in ``attrs``; and
            ``labels/<micrograph_id>``, whose ``labels`` (y, x) have coordinates in nm.

        Raises
        ------
        KeyError
            If a micrograph has no labels.

        Examples
        --------
        >>> import tempfile
        >>> import hrtem_dask as hd
        >>> from hrtem_dask.batch.example import write_example
        >>> folder = write_example(tempfile.mkdtemp(), n_particles=3)
        >>> _ = hd.run(folder / "images", folder / "results", method="otsu", cluster="threads")
        >>> tree = hd.open_results(folder / "results").to_xarray()
        >>> tree["particles"].equivalent_diameter_nm.units
        'nm'
        """
        sizes = self._labelled()
        given = [micrograph_ids] if isinstance(micrograph_ids, str) else micrograph_ids
        wanted = list(sizes) if given is None else list(given)
        if missing := next((name for name in wanted if name not in sizes), None):
            raise KeyError(f"no labels of micrograph {missing!r}{suggestion(missing, list(sizes))}")
        nodes = {
            name: to_dataset(self._table(name), schema, name.removesuffix("s"))
            for name, schema in tables.SCHEMAS.items()
        }
        packs = label_packs.packed_ids(self.folder)
        for name in wanted:
            labels = label_packs.open_labels(self.folder, name, sizes[name], part=packs.get(name))
            nodes[f"labels/{name}"] = labels.to_dataset()
        import xarray as xr  # a quarter of a second to import, which workers of a run need not pay

        return xr.DataTree.from_dict(nodes)


def open_results(folder: str | os.PathLike[str] | Location) -> Results:
    """Open a results folder.

    Parameters
    ----------
    folder : str, path-like or Location
        The folder, or its fsspec URL.

    Returns
    -------
    Results
        Tables and labels.

    Raises
    ------
    FileNotFoundError
        If no run has ended there.

    Examples
    --------
    >>> import tempfile
    >>> from hrtem_dask import tables
    >>> from hrtem_dask.storage.parquet import write_table
    >>> nothing = tables.empty(tables.MICROGRAPHS)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_table(Location.of(folder), "micrographs.parquet", nothing, tables.MICROGRAPHS)
    ...     results = open_results(folder)
    ...     len(results.micrographs)
    0
    """
    location = Location.of(folder)
    if not location.exists("micrographs.parquet"):
        raise FileNotFoundError(
            f"no results in {location.url!r}: micrographs.parquet is absent; has a run ended there?"
        )
    return Results(location)


def crop(
    results: str | os.PathLike[str] | Results, micrograph_id: str, particle_id: int, *, margin_px: int = 16
) -> xr.Dataset:
    """Cut one particle out of its micrograph, from a row of the particle table back to the pixels.

    Parameters
    ----------
    results : str, path-like or Results
        The results folder.
    micrograph_id : str
        The micrograph.
    particle_id : int
        The particle.
    margin_px : int
        Pixels around its bounding box, as far as the image goes.

    Returns
    -------
    xarray.Dataset
        ``intensity`` as it is in the file, and ``labels``, both (y, x), with coordinates in the micrograph's
        own nm (or px).

    Raises
    ------
    KeyError
        If there is no such particle.
    FileNotFoundError
        If the micrograph's file is no longer where it was.
    ValueError
        If it has changed since, or the margin is negative.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.simulation import simulate_scene
    >>> from hrtem_dask.storage import zarr_store
    >>> from hrtem_dask.storage.parquet import write_table
    >>> scene = simulate_scene(seed=1, shape=(96, 128), pixel_size_nm=0.05, n_particles=1, diameter_nm=(1.5, 2))
    >>> with tempfile.TemporaryDirectory() as folder:  # what a run writes
    ...     np.save(f"{folder}/a.npy", scene.image)
    ...     row = hd.open_micrographs(f"{folder}/a.npy").index.assign(pixel_size_y_nm=0.05, pixel_size_x_nm=0.05)
    ...     name = row["micrograph_id"].iloc[0]
    ...     row["source_hash"] = loading.source_hash(loading.find_sources(f"{folder}/a.npy")[0])
    ...     box = dict(zip(tables.BOX_COLUMNS, (20, 30, 60, 70)))
    ...     particle = pd.DataFrame([{"micrograph_id": name, "particle_id": 1, **box}])
    ...     out = Location.of(folder)
    ...     _ = write_table(out, "micrographs.parquet", row, tables.MICROGRAPHS)
    ...     _ = write_table(out, "particles.parquet", particle, tables.PARTICLES)
    ...     labels = Location.of(out.path("labels.zarr"))
    ...     zarr_store.create_store(labels)
    ...     zarr_store.write_labels(labels, name, scene.labels, pixel_size_nm=(0.05, 0.05))
    ...     particle = hd.crop(folder, name, 1, margin_px=4)
    >>> particle.intensity.shape, particle.x.units
    ((48, 48), 'nm')
    """
    if margin_px < 0:
        raise ValueError(f"margin_px must be 0 or more, got {margin_px}")
    if not isinstance(results, Results):
        results = open_results(results)
    particles = results._table("particles")
    rows = particles[(particles["micrograph_id"] == micrograph_id) & (particles["particle_id"] == particle_id)]
    if rows.empty:
        raise KeyError(_what_is_missing(results, micrograph_id, particle_id))
    box = rows.iloc[0]
    micrograph_rows = results._table("micrographs")
    row = micrograph_rows[micrograph_rows["micrograph_id"] == micrograph_id].iloc[0]
    image = loading.read_image(find_record(row))
    rows_cut = slice(max(0, box["bbox_y0_px"] - margin_px), min(image.shape[0], box["bbox_y1_px"] + margin_px))
    columns_cut = slice(max(0, box["bbox_x0_px"] - margin_px), min(image.shape[1], box["bbox_x1_px"] + margin_px))
    whole = make_micrograph(image, pixel_size_nm=pixel_size_of(row), pixel_size_source=str(row["pixel_size_source"]))
    labels = whole.copy(data=results.labels(micrograph_id)).rename("labels")
    import xarray as xr  # a quarter of a second to import, which workers of a run need not pay

    return xr.Dataset({"intensity": whole, "labels": labels}).isel(y=rows_cut, x=columns_cut)


def _what_is_missing(results: Results, micrograph_id: str, particle_id: int) -> str:
    """Say whether the micrograph or its particle does not exist, and what does."""
    names = results._table("micrographs")["micrograph_id"].astype(str)
    if micrograph_id not in set(names):
        return f"no micrograph {micrograph_id!r} in {results.folder.url}{suggestion(micrograph_id, list(names))}"
    particles = results._table("particles")
    numbers = particles.loc[particles["micrograph_id"] == micrograph_id, "particle_id"]
    known = f"it has the particles {numbers.min()} to {numbers.max()}" if len(numbers) else "it has none"
    return f"no particle {particle_id} in micrograph {micrograph_id!r} of {results.folder.url}: {known}"


def pixel_size_of(row: pd.Series) -> PixelSize | None:
    """Return the pixel size that a row of the micrograph table states.

    Parameters
    ----------
    row : pandas.Series
        The row.

    Returns
    -------
    tuple of float or None
        (y, x) in nm.
    """
    size = row["pixel_size_y_nm"], row["pixel_size_x_nm"]
    return None if pd.isna(size[0]) or pd.isna(size[1]) else (float(size[0]), float(size[1]))


def listed_record(row: pd.Series) -> loading.MicrographRecord:
    """Return the record that a row of the micrograph table was listed from.

    Parameters
    ----------
    row : pandas.Series
        The row, covariates included. What was analysed has the status ``ok``, as the listing had it.

    Returns
    -------
    loading.MicrographRecord
        With the row's source by its path alone: good for tables, not for reading; see `find_record`.
    """
    known: dict[str, Any] = {str(name): None if pd.isna(value) else value for name, value in row.items()}
    schema = {column.name for column in tables.MICROGRAPHS}
    analysed = known["settings_hash"] is not None
    flags = str(known["calibration_flags"] or "").split(",")
    texts: dict[str, Any] = {name: str(known[name] or "") for name in ("title", "dtype", "sample", "imaging")}
    same: tuple[str, ...] = (
        "signal",
        "frame",
        "height_px",
        "width_px",
        "voltage_kv",
        "magnification",
        "instrument",
        "acquired_at",
    )
    return loading.MicrographRecord(
        micrograph_id=str(known["micrograph_id"]),
        source=loading.Source(url=str(known["source"]), relative=str(known["source"])),
        **texts,
        **dict[str, Any]((name, known[name]) for name in same),
        pixel_size_nm=pixel_size_of(row),
        pixel_size_source=str(known["pixel_size_source"]),
        calibration_flags=tuple(flag for flag in flags if flag and flag not in tables.LATTICE_FLAGS),
        covariates=tuple((name, value) for name, value in known.items() if name not in schema),
        status="ok" if analysed else known["status"],
        reason=str(known["reason"] or ""),
    )


def find_record(row: pd.Series) -> loading.MicrographRecord:
    """Find the image that a row of the micrograph table was made from, if it is still the same.

    Parameters
    ----------
    row : pandas.Series
        A row that was analysed.

    Returns
    -------
    loading.MicrographRecord
        That `loading.read_image` reads, with the row's pixel size, sample and covariates.

    Raises
    ------
    FileNotFoundError
        If the file is no longer where it was.
    ValueError
        If it has changed since.
    """
    path = str(row["source"])
    for source in _sources_at(path):
        if source.path != path:
            continue
        if loading.source_hash(source) != row["source_hash"]:
            raise ValueError(f"{path} has changed since it was analysed: run again into the same results folder")
        return dataclasses.replace(listed_record(row), source=source)
    raise FileNotFoundError(f"{path} is no longer there, or no longer holds what it held")


def _sources_at(path: str) -> Iterator[loading.Source]:
    """Yield the sources of the file of a path: ``::`` stands before a member, or is a part of its name."""
    parts = path.split("::")
    for n in range(len(parts), 0, -1):
        with contextlib.suppress(NothingToAnalyseError):
            yield from loading.find_sources("::".join(parts[:n]))
