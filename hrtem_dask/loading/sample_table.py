"""The metadata file of the user: the sample, the covariates and the pixel size of each micrograph."""

from __future__ import annotations

import fnmatch
import math
import os
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hrtem_dask.errors import SettingsError
from hrtem_dask.loading.source import Source
from hrtem_dask.tables import SCHEMAS

__all__ = ["SampleMetadata", "read_metadata"]

# covariates are joined to every table, also to that of particles
_RESERVED = {c.name for schema in SCHEMAS.values() for c in schema} - {"sample"}
_EXACT, _NAME, _PATTERN = range(3)


@dataclass(frozen=True)
class SampleMetadata:
    """Rows of the metadata file, in its order."""

    keys: tuple[str, ...]
    """The column ``path``: relative path, file name, or pattern."""
    rows: tuple[tuple[tuple[str, Any], ...], ...]
    """The other columns of each row, as (name, value), None where empty."""

    def row(self, source: Source) -> dict[str, Any]:
        """Return the metadata of a source.

        Parameters
        ----------
        source : Source
            A file or a member of an archive.

        Returns
        -------
        dict
            Column → value, empty where no row names the file. A row with the relative path takes precedence over one
            with the file name, and that over a pattern.

        Raises
        ------
        SettingsError
            If two patterns match the file and their rows differ.
        """
        best, found = self._matching(source)
        values = {self.rows[n] for n in found}
        if len(values) > 1:
            named = ", ".join(f"{self.keys[n]!r} (row {n + 2})" for n in found)
            raise SettingsError(
                f"rows of the metadata file contradict each other for {source.relative}: {named}; "
                "make one pattern narrower"
            )
        return dict(self.rows[found[0]]) if best is not None else {}

    def unmatched_rows(self, sources: Iterable[Source]) -> list[str]:
        """Return the rows that match no file, most likely because of a spelling mistake.

        Parameters
        ----------
        sources : iterable of Source
            All sources of the run.

        Returns
        -------
        list of str
            One sentence per row.
        """
        found = list(sources)
        return [
            f"metadata row {n + 2}: {key!r} matches no file"
            for n, key in enumerate(self.keys)
            if not any(_match(key, source) is not None for source in found)
        ]

    def unmatched_sources(self, sources: Iterable[Source]) -> list[str]:
        """Return the files that no row names; their sample is the parent folder.

        Parameters
        ----------
        sources : iterable of Source
            All sources of the run.

        Returns
        -------
        list of str
            Relative paths.
        """
        return [s.relative for s in sources if s.status == "ok" and self._matching(s)[0] is None]

    def _matching(self, source: Source) -> tuple[int | None, list[int]]:
        """Return the closest kind of match and the rows with this match."""
        kinds = [_match(key, source) for key in self.keys]
        best = min((k for k in kinds if k is not None), default=None)
        return best, [n for n, kind in enumerate(kinds) if kind is not None and kind == best]


def _match(key: str, source: Source) -> int | None:
    """Return how a row names a source: exactly, by file name, by pattern, or not at all."""
    archive = source.relative.split("::")[0]
    paths = {source.relative, archive}
    names = {source.name, posixpath.basename(archive)}
    if key in paths:
        return _EXACT
    if key in names:
        return _NAME
    if re.search(r"[*?\[]", key) and any(fnmatch.fnmatchcase(p, key) for p in paths | names):
        return _PATTERN
    return None


def read_metadata(path: str | os.PathLike[str]) -> SampleMetadata:
    r"""Read a metadata file.

    Parameters
    ----------
    path : str or path-like
        CSV with a header, path or fsspec URL. Column ``path`` holds a path relative to the input folder, a file name,
        or a pattern (``batch1/*``); ``sample`` names the sample; ``pixel_size_nm`` sets the pixel size (nm); all
        other columns are covariates.

    Returns
    -------
    SampleMetadata
        Rows of the file; its method `row` returns the metadata of a source.

    Raises
    ------
    SettingsError
        If the file cannot be read, has no column ``path``, names a path twice, has a column whose name is used in a
        table of the results, or an invalid pixel size.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from hrtem_dask.loading import Source, read_metadata
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "samples.csv").write_text("path,sample,anneal_h\nday1/*,annealed,2\n")
    ...     metadata = read_metadata(Path(folder) / "samples.csv")
    >>> metadata.row(Source(url="/data/day1/a.mrc", relative="day1/a.mrc"))
    {'sample': 'annealed', 'anneal_h': 2}
    """
    name = os.fspath(path)
    try:
        table = pd.read_csv(name, skipinitialspace=True, encoding="utf-8-sig", dtype={"path": str, "sample": str})
    except (OSError, ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SettingsError(f"cannot read the metadata file {name!r}: {error}") from error
    table.columns = table.columns.str.strip()
    if "path" not in table:
        raise SettingsError(f"the metadata file {name!r} needs a column 'path', it has {', '.join(table.columns)}")
    reserved = sorted(_RESERVED & set(table.columns))
    if reserved:
        raise SettingsError(
            f"the metadata file {name!r} has a column {reserved[0]!r}, which the results have: rename it"
        )
    if table["path"].isna().any():
        rows = ", ".join(str(n + 2) for n in table.index[table["path"].isna()])
        raise SettingsError(f"the metadata file {name!r} has no path in row {rows}")
    keys = table["path"].str.strip().str.replace("\\", "/").str.removeprefix("./")
    twice = keys[keys.duplicated(keep=False)]
    if len(twice):
        rows = ", ".join(str(n + 2) for n in twice.index[twice == twice.iloc[0]])
        raise SettingsError(f"the metadata file {name!r} names {twice.iloc[0]!r} more than once: rows {rows}")
    _check_pixel_sizes(table, name)
    columns = [c for c in table.columns if c != "path"]
    rows_out = tuple(
        tuple((c, _plain(v)) for c, v in zip(columns, row, strict=True))
        for row in zip(*(table[c] for c in columns), strict=True)
    )
    return SampleMetadata(tuple(keys), rows_out or tuple(() for _ in keys))


def _check_pixel_sizes(table: pd.DataFrame, name: str) -> None:
    """Raise SettingsError for a pixel size that is not positive and finite."""
    if "pixel_size_nm" not in table:
        return
    for n, value in table["pixel_size_nm"].dropna().items():
        try:
            valid = math.isfinite(float(value)) and float(value) > 0
        except ValueError:
            valid = False
        if not valid:
            raise SettingsError(
                f"the metadata file {name!r}, row {int(str(n)) + 2}: pixel_size_nm must be positive, got {value!r}"
            )


def _plain(value: Any) -> Any:
    """Return a value as a plain Python object, which can be pickled and hashed; None where it is missing."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
