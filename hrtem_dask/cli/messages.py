"""What a command prints of the package's log: ordinary messages, warnings only, or everything."""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

__all__ = ["message_options", "messages_are_shown", "printed_messages"]

Result = TypeVar("Result")
EXTRAS = {
    "torch": ("PyTorch", "train"),
    "torchvision": ("torchvision", "detect"),
    "pycocotools": ("pycocotools", "detect"),
}
"""Library that only some commands need → its name in messages, and the extra of this package that brings it."""


class _EchoHandler(logging.Handler):
    """Print each message as a line on stderr, which keeps stdout for results."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        click.echo(self.format(record), err=True)


def message_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Add the options --quiet, --verbose and --debug, and print messages while the command runs.

    It stands directly above the function, below the other options.
    """

    @click.option("--quiet", "-q", is_flag=True, help="Print warnings and errors only, and no progress bar.")
    @click.option("--verbose", "-v", is_flag=True, help="Print debug messages too, each with the name of its logger.")
    @click.option("--debug", is_flag=True, help="As --verbose, and show where in the program an error was raised.")
    @functools.wraps(command)
    def with_messages(*arguments: Any, quiet: bool, verbose: bool, debug: bool, **options: Any) -> Result:
        if quiet and (verbose or debug):
            raise click.UsageError(f"give either --quiet or {'--debug' if debug else '--verbose'}, not both")
        level = logging.WARNING if quiet else logging.DEBUG if verbose or debug else logging.INFO
        with printed_messages(level):
            try:
                return command(*arguments, **options)
            except click.ClickException as error:
                if debug:
                    _show_where(error.__cause__ or error)
                raise
            except ModuleNotFoundError as error:
                if debug:
                    _show_where(error)
                raise click.ClickException(_missing_library(error)) from error

    return with_messages


def _show_where(error: BaseException) -> None:
    """Log where in the program an error was raised."""
    logging.getLogger("hrtem_dask").debug("".join(traceback.format_exception(error)).rstrip())


def _missing_library(error: ModuleNotFoundError) -> str:
    """Say how a library is installed that only some commands need."""
    library = (error.name or "").partition(".")[0]
    if library not in EXTRAS:
        raise error
    name, extra = EXTRAS[library]
    return (
        f"this needs {name}, which is not installed: pip install '.[{extra}]' in the checkout, or pip install {library}"
    )


@contextmanager
def printed_messages(level: int) -> Iterator[None]:
    """Print the messages of the package's loggers on stderr while the block runs.

    Parameters
    ----------
    level : int
        Lowest level that is printed, such as `logging.INFO`. At `logging.DEBUG` each line begins with the name of its
        logger.
    """
    package = logging.getLogger("hrtem_dask")
    handler, before = _EchoHandler(), package.level
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s" if level <= logging.DEBUG else "%(message)s"))
    package.addHandler(handler)
    package.setLevel(level)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(before)


def messages_are_shown() -> bool:
    """Return whether ordinary messages are printed, which also permits a progress bar.

    Returns
    -------
    bool
        False with --quiet.
    """
    return logging.getLogger("hrtem_dask").isEnabledFor(logging.INFO)
