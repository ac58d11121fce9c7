"""The metadata file of the user: the sample, the covariates and the pixel size of each micrograph."""

from __future__ import annotations

import fnmatch
import logging
import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hrtem_dask.errors import SettingsError
from hrtem_dask.loading.source import Source
from hrtem_dask.loading.table_rows import Row, read_rows
from hrtem_dask.loading.table_values import Value, as_number, column_values, has_decimal_commas
from hrtem_dask.tables import SCHEMAS

__all__ = ["SampleMetadata", "read_metadata"]

# covariates are joined to every table, also to that of particles
_RESERVED = {c.name for schema in SCHEMAS.values() for c in schema} - {"sample"}
_EXACT, _NAME, _PATTERN = range(3)
_NAMED = ("path", "sample", "pixel_size_nm")
"""Columns with a meaning, which are found whatever their case."""
_SIZE_NAMES = re.compile(r"(pixel|px)(size|spacing|width|height|length)|(nm|a|å|pm|um|µm)(per|/)(pixel|px)|apix|a/pix")
_IN_NM = re.compile(r"pixelsize\(?\[?nm\]?\)?|nm(per|/)(pixel|px)")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SampleMetadata:
    """Rows of the metadata file, in its order."""

    keys: tuple[str, ...]
    """The column ``path``: relative path, file name, or pattern."""
    rows: tuple[tuple[tuple[str, Any], ...], ...]
    """The other columns of each row, as (name, value), None where empty."""
    numbers: tuple[int, ...]
    """Number of each row in the file, as a spreadsheet program counts."""

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
            named = ", ".join(f"{self.keys[n]!r} (row {self.numbers[n]})" for n in found)
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
            f"metadata row {self.numbers[n]}: {key!r} matches no file"
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


def _composed(text: str) -> str:
    """Return a name in one Unicode form: file systems and spreadsheet programs use different ones."""
    return unicodedata.normalize("NFC", text)


def _match(key: str, source: Source) -> int | None:
    """Return how a row names a source: exactly, by file name, by pattern, or not at all."""
    archive = source.relative.split("::")[0]
    paths = {_composed(path) for path in (source.relative, archive, source.path, source.url)}
    names = {_composed(source.name), _composed(posixpath.basename(archive))}
    if key in paths:
        return _EXACT
    if key in names:
        return _NAME
    if re.search(r"[*?\[]", key) and any(fnmatch.fnmatchcase(p, key) for p in paths | names):
        return _PATTERN
    return None


def read_metadata(path: str | os.PathLike[str]) -> SampleMetadata:
    r"""Read a metadata file.

    What the user should know about how it was read is logged as warnings.

    Parameters
    ----------
    path : str or path-like
        Table with a header, path or fsspec URL: CSV with commas, semicolons or tabs, in UTF-8, UTF-16 or
        Windows-1252, or an XLSX workbook. Column ``path`` holds a path relative to the input folder, a file name, or a
        pattern (``batch1/*``); ``sample`` names the sample; ``pixel_size_nm`` sets the pixel size (nm); all other
        columns are covariates. Empty rows and blanks at the ends of cells do not count.

    Returns
    -------
    SampleMetadata
        Rows of the file; its method `row` returns the metadata of a source.

    Raises
    ------
    SettingsError
        If the file cannot be read, has no column ``path``, names a path twice, has a column whose name is used in a
        table of the results, a pixel size without a unit, or an invalid pixel size.

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
    if not isinstance(path, str | os.PathLike):
        raise SettingsError(f"metadata must be the path of a table, got {type(path).__name__}: {path!r:.80}")
    name = os.fspath(path)
    (header, *rows), remarks = read_rows(name, "path")
    columns = _column_names(header, rows, name)
    numbers = [row.number for row in rows]
    cells = {column: [row.cells[i] for row in rows] for i, column in enumerate(columns) if column}
    keys = _keys(cells.pop("path"), numbers, name)
    values: dict[str, Sequence[Value]] = {}
    commas = has_decimal_commas([cell for column in set(cells) - {"sample"} for cell in cells[column]])
    try:
        for column, texts in cells.items():
            if column == "sample":  # NA and None are names
                values[column] = [_composed(text) or None for text in texts]
                continue
            values[column], remark = column_values(texts, numbers, name=column, decimal_commas=commas)
            remarks += (remark,) if remark is not None and column != "pixel_size_nm" else ()
    except SettingsError as error:
        raise SettingsError(f"the metadata file {name!r}, {error}") from error
    _check_pixel_sizes(values.get("pixel_size_nm", ()), numbers, name)
    for remark in remarks:
        logger.warning("%s", remark)
    return SampleMetadata(
        keys, tuple(tuple((c, column[n]) for c, column in values.items()) for n in range(len(rows))), tuple(numbers)
    )


def _column_names(header: Row, rows: Sequence[Row], name: str) -> list[str]:
    """Return the names of the columns, empty for an empty one."""
    columns = [cell.casefold() if cell.casefold() in _NAMED else cell for cell in header.cells]
    plain = [re.sub(r"[\s_.-]+", "", cell.casefold()) for cell in columns]
    columns = ["pixel_size_nm" if _IN_NM.fullmatch(p) else c for c, p in zip(columns, plain, strict=True)]
    if "path" not in columns:
        raise SettingsError(f"the metadata file {name!r} needs a column 'path', it has {', '.join(columns)}")
    twice = next((c for c in columns if c and columns.count(c) > 1), None)
    if twice is not None:
        raise SettingsError(f"the metadata file {name!r} has two columns {twice!r}: remove or rename one")
    for i, column in enumerate(columns):
        if column in _RESERVED:
            raise SettingsError(
                f"the metadata file {name!r} has a column {column!r}, which the results have: rename it"
            )
        if column != "pixel_size_nm" and _SIZE_NAMES.match(plain[i]):
            raise SettingsError(
                f"the metadata file {name!r} has a column {column!r}: is it the pixel size? Then call it pixel_size_nm "
                "and give it in nm; otherwise rename it, so that it is not mistaken for one"
            )
        if not column and any(row.cells[i] for row in rows):
            raise SettingsError(
                f"the metadata file {name!r} has cells in column {i + 1}, which has no name: give it one"
            )
    return columns


def _keys(cells: Sequence[str], numbers: Sequence[int], name: str) -> tuple[str, ...]:
    """Return the paths and patterns of the rows."""
    absent = ", ".join(str(number) for number, cell in zip(numbers, cells, strict=True) if not cell)
    if absent:
        raise SettingsError(f"the metadata file {name!r} has no path in row {absent}")
    keys = tuple(_composed(cell).replace("\\", "/").removeprefix("./") for cell in cells)
    twice = next((key for key, count in Counter(keys).items() if count > 1), None)
    if twice is not None:
        rows = ", ".join(str(number) for number, key in zip(numbers, keys, strict=True) if key == twice)
        raise SettingsError(f"the metadata file {name!r} names {twice!r} more than once: rows {rows}")
    return keys


def _check_pixel_sizes(values: Sequence[Value], numbers: Sequence[int], name: str) -> None:
    """Raise SettingsError for a pixel size that is no positive number."""
    for number, value in zip(numbers, values, strict=False):
        # the text of a column with one odd cell is not the odd cell
        size = as_number(value) if isinstance(value, str) else value
        if value is not None and (size is None or isinstance(size, bool) or size <= 0):
            raise SettingsError(
                f"the metadata file {name!r}, row {number}: pixel_size_nm must be positive, got {value!r}"
            )
