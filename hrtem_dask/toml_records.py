"""Frozen dataclasses as TOML: written, read back, and each value checked against the type of its field."""

from __future__ import annotations

import dataclasses
import numbers
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

import tomli_w

from hrtem_dask.errors import SettingsError, error_text
from hrtem_dask.text_encoding import decode_text

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["check_types", "parse_toml", "read_record", "record_to_dict", "record_to_toml", "update_record"]

Record = TypeVar("Record", bound="DataclassInstance")
Read = TypeVar("Read")

_KINDS: dict[object, tuple[type | tuple[type, ...], str]] = {
    bool: (bool, "true or false"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "one number"),
    str: (str, "text"),
}
"""Type of a field → what its value may be, and how that is named."""


def record_to_dict(record: DataclassInstance) -> dict[str, object]:
    """Return a record as TOML and JSON hold it.

    Parameters
    ----------
    record : dataclass instance
        Its fields are values or records.

    Returns
    -------
    dict
        Values first, then nested records. TOML has no null, so fields that are None are left out, as are
        records of which nothing is left.

    Examples
    --------
    >>> from hrtem_dask.settings import LoadingSettings
    >>> record_to_dict(LoadingSettings())
    {'pixels': False, 'plausible_pixel_size_nm': (0.001, 10.0), 'duplicates': 'set_aside'}
    """
    plain: dict[str, object] = {}
    nested: dict[str, object] = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            if inner := record_to_dict(value):
                nested[field.name] = inner
        elif isinstance(value, Mapping):
            if value or field.default_factory is not dict:  # empty where it is not empty by default, it means something
                plain[field.name] = dict(value)
        elif value is not None:
            plain[field.name] = value
    return plain | nested


def record_to_toml(record: DataclassInstance) -> str:
    """Write a record as TOML.

    Parameters
    ----------
    record : dataclass instance
        Its fields are values or records, and each record becomes a table.

    Returns
    -------
    str
        TOML text.

    Examples
    --------
    >>> from hrtem_dask.settings import FilteringSettings
    >>> print(record_to_toml(FilteringSettings()))
    spike_threshold_sd = 8.0
    spike_scale = "residual"
    flatten = true
    find_marks = true
    <BLANKLINE>
    """
    return tomli_w.dumps(record_to_dict(record))


def parse_toml(text: str, subject: str) -> dict[str, object]:
    r"""Read TOML.

    Parameters
    ----------
    text : str
        TOML text.
    subject : str
        What the text describes, for the message of an error: ``"the settings"``.

    Returns
    -------
    dict
        Values and tables.

    Raises
    ------
    SettingsError
        If the text is not valid TOML.

    Examples
    --------
    >>> parse_toml("[particles]\nmin_area_px = 50", "the settings")
    {'particles': {'min_area_px': 50}}
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{subject} are not valid TOML: {error}") from error


def read_record(path: str | Path, parse: Callable[[str], Read], subject: str) -> Read:
    """Read a file and name it in every error.

    Parameters
    ----------
    path : str or path-like
        The file: UTF-8, or UTF-16 with its byte order mark, as editors of Windows write it.
    parse : callable
        Takes the text and returns the record.
    subject : str
        What the file holds, for the message of an error: ``"the settings"``.

    Returns
    -------
    object
        What `parse` returns.

    Raises
    ------
    SettingsError
        If the file cannot be read, or `parse` refuses its text.
    """
    try:
        text, _ = decode_text(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read {subject} from {str(path)!r}: {error_text(error)}") from error
    try:
        return parse(text)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def update_record(record: Record, values: Mapping[str, object], name: str = "", *, keep_whole: bool = False) -> Record:
    """Return a copy of a record with some fields changed, each checked against its type.

    Parameters
    ----------
    record : dataclass instance
        The record.
    values : mapping
        Name of the field → value; for a field that is a record, another mapping. Other fields stay as they are.
    name : str
        Name of the record, which begins the names in messages.
    keep_whole : bool
        Whether whole numbers stay as they are where a field is a float; otherwise they become floats.

    Returns
    -------
    dataclass instance
        The copy. Lists become tuples.

    Raises
    ------
    SettingsError
        If a field is unknown, or a value has the wrong type.

    Examples
    --------
    >>> from hrtem_dask.settings import FilteringSettings
    >>> update_record(FilteringSettings(), {"spike_threshold_sd": 4}).spike_threshold_sd
    4.0
    """
    kinds = typing.get_type_hints(type(record))
    changed: dict[str, object] = {}
    for key, value in values.items():
        full = f"{name}.{key}" if name else key
        if key not in kinds:
            raise SettingsError(f"unknown setting {full}: known are {', '.join(sorted(kinds))}")
        current = getattr(record, key)
        if not dataclasses.is_dataclass(current) or isinstance(current, type):
            checked = _checked(value, kinds[key], full)
            changed[key] = checked if keep_whole else _as_declared(checked, kinds[key])
        elif isinstance(value, Mapping):
            changed[key] = update_record(current, value, full, keep_whole=keep_whole)
        else:
            raise SettingsError(f"{full} must be a table, got {value!r}: write [{full}] and one setting per line")
    return dataclasses.replace(record, **changed)


def check_types(record: DataclassInstance, name: str = "") -> None:
    """Check the type of each field of a record.

    Parameters
    ----------
    record : dataclass instance
        The record.
    name : str
        Name of the record, which begins the names in messages.

    Raises
    ------
    SettingsError
        If a value has the wrong type.

    Examples
    --------
    >>> from hrtem_dask.settings import FilteringSettings
    >>> check_types(FilteringSettings(spike_threshold_sd="five"))
    Traceback (most recent call last):
    hrtem_dask.errors.SettingsError: spike_threshold_sd must be one number, got 'five'
    """
    kinds = typing.get_type_hints(type(record))
    for field in dataclasses.fields(record):
        full = f"{name}.{field.name}" if name else field.name
        _checked(getattr(record, field.name), kinds[field.name], full)


def _checked(value: object, kind: object, name: str) -> object:
    """Return a value as its field has it, or report what was expected."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _checked(value, _without_none(arguments), name)
    if origin is Literal:
        if value in arguments:
            return value
        raise SettingsError(f"{name} must be one of {', '.join(map(str, arguments))}, got {value!r}")
    if origin is tuple:
        return _checked_tuple(value, arguments, name)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{name} must be a table, got {value!r}: write [{name}] and one value per line")
        return {key: _checked(item, arguments[1], f"{name}.{key}") for key, item in value.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if isinstance(value, kind):
            return value
        raise SettingsError(f"{name} must be a {kind.__name__}, got {value!r}")
    if kind is object:
        return value
    accepted, words = _KINDS[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise SettingsError(f"{name} must be {words}, got {value!r}")
    return value


def _as_declared(value: object, kind: object) -> object:
    """Return a checked value with its whole numbers as floats where they are declared as floats."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _as_declared(value, _without_none(arguments))
    if isinstance(value, tuple):
        each = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_as_declared(item, one) for item, one in zip(value, each, strict=True))
    if isinstance(value, Mapping) and arguments:  # else whatever a table holds, such as options of Dask
        return {key: _as_declared(item, arguments[1]) for key, item in value.items()}
    return float(value) if kind is float and isinstance(value, numbers.Real) else value


def _without_none(kinds: tuple[object, ...]) -> object:
    """Return the one kind of an optional field."""
    return next(kind for kind in kinds if kind is not type(None))


def _checked_tuple(value: object, kinds: tuple[object, ...], name: str) -> tuple[object, ...]:
    """Return a list or tuple as a tuple."""
    endless = kinds[-1] is Ellipsis
    if not isinstance(value, list | tuple) or not (endless or len(value) == len(kinds)):
        words = "a list" if endless else "a pair (from, to)" if len(kinds) == 2 else f"a list of {len(kinds)} values"
        raise SettingsError(f"{name} must be {words}, got {value!r}")
    each = [kinds[0]] * len(value) if endless else kinds
    return tuple(_checked(item, kind, name) for item, kind in zip(value, each, strict=True))
