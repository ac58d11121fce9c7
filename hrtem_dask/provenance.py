"""What a result depends on, as short hashes: of a record, of bytes, and of the code."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import shlex
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

__all__ = [
    "ROW_CODE",
    "SIMULATION_CODE",
    "WHOLE_PACKAGE",
    "BytesHash",
    "bytes_hash",
    "code_hash",
    "code_version",
    "command_line",
    "record_hash",
]

_PARSING = threading.Lock()
COMMAND = "hrtem-dask"
"""Name of the program of this package."""

ROW_CODE = (
    "__init__.py",
    "addresses.py",
    "analysis",
    "backend.py",
    "batch/run/gain.py",
    "batch/run/record_analysis.py",
    "crystals",
    "defects",
    "detection",
    "errors.py",
    "filtering",
    "fourier",
    "hann_window.py",
    "loading",
    "machine_code",
    "medians.py",
    "micrograph.py",
    "particles",
    "provenance.py",
    "segmentation",
    "settings",
    "tables",
    "text_encoding.py",
    "toml_records.py",
)
"""Modules and folders of this package that the rows of a micrograph depend on. The models have hashes of their own."""
SIMULATION_CODE = (
    "backend.py",
    "crystals",
    "detection/instance_masks.py",
    "detection/instances.py",
    "detection/rotated_boxes.py",
    "errors.py",
    "micrograph.py",
    "provenance.py",
    "simulation",
    "tables",
    "text_encoding.py",
    "toml_records.py",
)
"""Modules and folders that a simulated micrograph depends on."""
WHOLE_PACKAGE = (".",)
"""Every module."""


def record_hash(record: object) -> str:
    """Return a short hash of anything that JSON can hold.

    Parameters
    ----------
    record : object
        Dictionaries, lists, text, numbers, booleans and None, nested in any way. The order of keys does not matter.

    Returns
    -------
    str
        16 hexadecimal digits (BLAKE2b).

    Examples
    --------
    >>> record_hash({"a": 1, "b": [2, 3]}) == record_hash({"b": [2, 3], "a": 1})
    True
    """
    return bytes_hash(json.dumps(record, sort_keys=True).encode())


def bytes_hash(content: bytes) -> str:
    """Return a short hash of the content of a file.

    Parameters
    ----------
    content : bytes
        The bytes.

    Returns
    -------
    str
        16 hexadecimal digits (BLAKE2b).

    Examples
    --------
    >>> bytes_hash(b"")
    'e4a6a0577479b2b4'
    """
    return BytesHash(content).digest()


class BytesHash:
    """The hash of `bytes_hash`, of content that comes piece by piece.

    Parameters
    ----------
    content : bytes
        The first piece.

    Examples
    --------
    >>> found = BytesHash(b"two ")
    >>> found.update(b"pieces")
    >>> found.digest() == bytes_hash(b"two pieces")
    True
    """

    def __init__(self, content: bytes = b"") -> None:
        self._hash = hashlib.blake2b(content, digest_size=8)

    def update(self, content: bytes) -> None:
        """Add a piece.

        Parameters
        ----------
        content : bytes
            The bytes that follow.
        """
        self._hash.update(content)

    def digest(self) -> str:
        """Return the hash of all pieces.

        Returns
        -------
        str
            16 hexadecimal digits (BLAKE2b).
        """
        return self._hash.hexdigest()


@functools.cache
def code_version(parts: Sequence[str] = ROW_CODE) -> str:
    """Return the version of this package with a hash of its code.

    Parameters
    ----------
    parts : tuple of str
        Modules and folders whose code is hashed: `ROW_CODE`, `SIMULATION_CODE` or `WHOLE_PACKAGE`.

    Returns
    -------
    str
        For instance ``0.1.0+3f2a9c41``. It is computed once per process.

    Examples
    --------
    >>> number, _, digits = code_version().partition("+")
    >>> len(digits)
    8
    """
    return f"{version('hrtem-dask')}+{code_hash(Path(__file__).parent, parts)}"


def code_hash(package: Path, parts: Sequence[str]) -> str:
    """Return a hash of what some modules do.

    Docstrings, comments and the layout of the source do not count, so a run is not repeated because of an explanation.

    Parameters
    ----------
    package : pathlib.Path
        Folder of the package.
    parts : sequence of str
        Modules (``addresses.py``) and folders (``loading``) in it.

    Returns
    -------
    str
        8 hexadecimal digits.

    Raises
    ------
    FileNotFoundError
        If one of the parts does not exist.
    """
    digest = hashlib.blake2b(digest_size=4)
    for module in sorted({module for part in parts for module in _modules(package / part)}):
        digest.update(module.relative_to(package).as_posix().encode() + b"\0")
        _add_code(_parse(module), digest.update)
    return digest.hexdigest()


def _parse(module: Path) -> ast.AST:
    """Return the syntax tree of a module.

    Before Python 3.13, threads that parse at the same time disturb each other's count of the recursion, and the parser
    raises SystemError (python/cpython#106905). Our own threads take turns; those of other programs, such as a notebook
    that formats an error, may be met again.
    """
    source = module.read_bytes()
    with _PARSING:
        for _ in range(20):
            try:
                return ast.parse(source)
            except SystemError:
                continue
        return ast.parse(source)


def _modules(part: Path) -> list[Path]:
    """Return a module, or the modules of a folder."""
    if not part.exists():
        raise FileNotFoundError(f"{part} is named in provenance.py and does not exist: correct the list of modules")
    return [part] if part.is_file() else list(part.rglob("*.py"))


def _add_code(node: ast.AST, add: Callable[[bytes], None]) -> None:
    """Add a syntax tree to a hash.

    Empty fields are left out: a newer Python has more fields, which are empty for older syntax, and hashes alike.
    """
    add(type(node).__name__.encode())
    for name, value in ast.iter_fields(node):
        if value is None or value == []:
            continue
        add(f"\0{name}".encode())
        for item in value if isinstance(value, list) else [value]:
            if _is_docstring(item):
                continue
            if isinstance(item, ast.AST):
                _add_code(item, add)
            else:
                add(repr(item).encode())
        add(b"\0")


def _is_docstring(item: object) -> bool:
    """Return whether a statement is a string alone: a docstring, or the text below a field of a dataclass."""
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)


def command_line() -> str | None:
    """Return the command with which this process was started.

    Returns
    -------
    str or None
        The command as a shell takes it, without the folder of the program; None outside of the command line.

    Examples
    --------
    >>> command_line() is None  # in a test or a notebook
    True
    """
    program = Path(sys.argv[0]).name if sys.argv else ""
    return shlex.join([COMMAND, *sys.argv[1:]]) if program in {COMMAND, f"{COMMAND}.exe"} else None
