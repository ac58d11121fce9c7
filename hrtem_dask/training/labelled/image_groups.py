"""Which images of a folder belong together: patches of one micrograph by their names, others by a table.

Images of one micrograph, or frames of one movie, resemble each other more than images of another one. If some of them
trained a network and others tested it, the test would be too kind.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from hrtem_dask.errors import SettingsError

__all__ = ["GROUPS_FILE", "group_of", "groups_of"]

GROUPS_FILE = "groups.csv"
"""Name of the table in a folder of labeled images."""
_COLUMNS = ["image", "group"]
_PATCH_SUFFIX = re.compile(r"[_-](patch|tile|crop)[_-]?\d+([_-]\d+)?$", re.IGNORECASE)


def groups_of(folder: Path, images: Sequence[Path]) -> list[str]:
    """Return the group of each image of a folder.

    Parameters
    ----------
    folder : path-like
        It may hold a table `GROUPS_FILE` with the columns ``image`` (name of the image, with or without the suffix of
        the file type) and ``group`` (any name). Images that it does not name are grouped by `group_of`.
    images : sequence of path-like
        Paths of the images.

    Returns
    -------
    list of str
        A group for each image; unlike those of any other folder.

    Raises
    ------
    SettingsError
        If the table has other columns, names an image twice or without a group, or names an image that is not there.
    """
    table = folder / GROUPS_FILE
    stated = _stated_groups(table) if table.is_file() else {}
    names = {path.name for path in images} | {path.stem for path in images}
    unused = [name for name in stated if name not in names]
    if unused:
        raise SettingsError(
            f"{table}: there is no image {unused[0]!r} ({len(unused)} of {len(stated)} rows): correct its name, or "
            "remove the row"
        )
    return [_group(path, stated, folder) for path in images]


def group_of(path: Path) -> str:
    """Return the group of an image file: the micrograph that it is a patch of.

    Parameters
    ----------
    path : path-like
        Path of an image.

    Returns
    -------
    str
        Absolute path without the suffixes of the file type and of the patch.

    Examples
    --------
    >>> from pathlib import Path
    >>> Path(group_of(Path("data/gold_patch12.png"))).name
    'gold'
    """
    return str(path.resolve().with_name(_PATCH_SUFFIX.sub("", path.stem)))


def _group(path: Path, stated: dict[str, str], folder: Path) -> str:
    """Return the stated group of an image, unlike that of another folder; without one, the group by its name."""
    group = stated.get(path.name, stated.get(path.stem))
    return group_of(path) if group is None else f"{folder.resolve()}/{GROUPS_FILE}/{group}"


def _stated_groups(table: Path) -> dict[str, str]:
    """Read the table: name of an image → its group."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not set(_COLUMNS) <= set(rows.fieldnames or []):
            raise SettingsError(f"{table}: need the columns {' and '.join(_COLUMNS)}, got {rows.fieldnames}")
        stated: dict[str, str] = {}
        for row in rows:
            name, group = ((row[column] or "").strip() for column in _COLUMNS)
            if not name or not group or name in stated:
                raise SettingsError(
                    f"{table}, line {rows.line_num}: image {name!r}, group {group!r}: each image needs one row with "
                    "its name and its group; images without a row are groups of their own"
                )
            stated[name] = group
    return stated
