"""Tables of several runs, joined so that each micrograph has a name of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd

from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.provenance import record_hash
from hrtem_dask.storage.results import Results, open_results

__all__ = ["join_results"]


def join_results(results: Sequence[str | os.PathLike[str] | Results], table: str = "particles") -> pd.DataFrame:
    """Join a table of several runs.

    Two folders of micrographs can both hold an ``img_01.tif``, whose images have the same `micrograph_id` in both
    runs. Such micrographs get another name here, the same for every table of the same folders.

    Parameters
    ----------
    results : sequence of str, path-like or Results
        The results folders.
    table : {"micrographs", "regions", "particles", "windows", "fault_traces", "instance_runs", "execution"}
        Which table.

    Returns
    -------
    pandas.DataFrame
        The rows of all runs, in their order, with a further column ``results``: the folder. Where several micrographs
        have one `micrograph_id`, a hash of folder and file is added to it, and to ``duplicate_of``.

    Raises
    ------
    KeyError
        If there is no table of that name.
    ResultsFolderError
        If one image was analyzed by several of the runs: its particles would count several times.

    Examples
    --------
    >>> import tempfile
    >>> import hrtem_dask as hd
    >>> from hrtem_dask.batch.example import write_example
    >>> folders = [write_example(f"{tempfile.mkdtemp()}/{i}", n_particles=i) for i in (2, 3)]
    >>> for folder in folders:
    ...     _ = hd.run(folder / "images", folder / "results", method="otsu", cluster="threads")
    >>> [hd.open_results(folder / "results").micrographs["micrograph_id"][0] for folder in folders]
    ['example_0-cf2f831641', 'example_0-cf2f831641']
    >>> hd.join_results([folder / "results" for folder in folders], "micrographs")["micrograph_id"].nunique()
    2
    """
    opened = [one if isinstance(one, Results) else open_results(one) for one in results]
    rows = [one.micrographs for one in opened]
    _require_different_images(opened, rows)
    names = [set(one["micrograph_id"].astype(str)) for one in rows]
    joined = []
    for i, one in enumerate(opened):
        shared = names[i] & {name for j, others in enumerate(names) if j != i for name in others}
        sources = dict(zip(rows[i]["micrograph_id"].astype(str), rows[i]["source"].astype(str), strict=True))
        new = {name: f"{name}-{record_hash([one.folder.url, sources[name]])[:8]}" for name in shared}
        own = one.table(table)
        for column in ("micrograph_id", "duplicate_of"):
            if column in own:
                own[column] = own[column].map(lambda name, new=new: new.get(name, name), na_action="ignore")
        joined.append(own.assign(results=one.folder.url))
    return pd.concat(joined, ignore_index=True)


def _require_different_images(opened: Sequence[Results], rows: Sequence[pd.DataFrame]) -> None:
    """Refuse an image that several runs have analyzed."""
    seen: dict[str, str] = {}
    for one, table in zip(opened, rows, strict=True):
        for content, source in zip(table["image_hash"], table["source"], strict=True):
            if pd.isna(content):
                continue
            if (other := seen.get(str(content))) not in (None, one.folder.url):
                raise ResultsFolderError(
                    f"{source} was analyzed by the runs in {other} and {one.folder.url}, so its particles would count "
                    "twice: leave one of them out, or join their tables yourself"
                )
            seen[str(content)] = one.folder.url
