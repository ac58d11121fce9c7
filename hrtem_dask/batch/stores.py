"""Object stores that are gone for good: a run ends with one line, instead of waiting for each file in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hrtem_dask.addresses import file_system
from hrtem_dask.errors import StoreError, error_text

__all__ = ["StoreWatch", "Unreachable", "is_unreachable", "said_in_one_line"]

IN_A_ROW = 4
"""So many files whose store did not answer, one after the other, let the store itself be asked."""
SIGNS = (
    "EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "ReadTimeoutError",
    "ProxyConnectionError", "ClientConnectorError", "ServerDisconnectedError", "ServerTimeoutError",
)  # fmt: skip
"""Errors of botocore and aiohttp when a server cannot be reached; fsspec has tried several times by then."""


@dataclass(frozen=True)
class Unreachable:
    """What a task returns whose results have no place: as an exception it would fill the terminal with a traceback."""

    reason: str
    """The error in words."""


def is_unreachable(error: BaseException) -> bool:
    """Return whether an error means that a server could not be reached.

    Parameters
    ----------
    error : BaseException
        Any error.

    Returns
    -------
    bool
        By the names of its classes and of those that caused it, since the libraries of object stores are optional.

    Examples
    --------
    >>> is_unreachable(FileNotFoundError("a.tif"))
    False
    """
    seen: BaseException | None = error
    while seen is not None:
        if any(cls.__name__ in SIGNS for cls in type(seen).__mro__):
            return True
        seen = seen.__cause__
    return False


@contextmanager
def said_in_one_line() -> Iterator[None]:
    """Turn an error of a server that cannot be reached into one that says what is kept and what to do.

    Yields
    ------
    None
        The time in which files are read and written.

    Raises
    ------
    StoreError
        In place of the error.
    """
    try:
        yield
    except Exception as error:
        if not is_unreachable(error):
            raise
        raise _gone(error_text(error)) from error


class StoreWatch:
    """Asks a store whether it is there, when several files in a row could not be read from it."""

    def __init__(self) -> None:
        self._n = 0

    def see(self, url: str, reason: str | None) -> None:
        """Look at how a file ended.

        Parameters
        ----------
        url : str
            Its address.
        reason : str or None
            Why it failed, or None.

        Raises
        ------
        StoreError
            If its store does not answer now either.
        """
        if "://" not in url or reason is None or not any(sign in reason for sign in SIGNS):
            self._n = 0
            return
        self._n += 1
        if self._n < IN_A_ROW:
            return
        self._n = 0
        with said_in_one_line():
            fs, path = file_system(url)
            fs.invalidate_cache()
            fs.exists(path)


def _gone(reason: str) -> StoreError:
    """Return the error that ends a run."""
    return StoreError(
        f"a store of the run cannot be reached ({reason}): check the server, the network and the endpoint. "
        "What is committed is kept, and the same command goes on"
    )
