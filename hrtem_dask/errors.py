"""The errors of this package: each message states the value, the limit and the remedy."""

import difflib
import re
from collections.abc import Sequence


class HrtemDaskError(Exception):
    """Base of every error that this package raises on purpose."""


class UnreadableMicrographError(HrtemDaskError):
    """A file that should hold a micrograph could not be read."""


class RefusedSignalError(HrtemDaskError):
    """A readable signal that is no micrograph: a spectrum, an FFT, an RGB picture, a complex image."""


class CalibrationError(HrtemDaskError, ValueError):
    """A pixel size is missing or impossible where one is needed."""


class SettingsError(HrtemDaskError, ValueError):
    """A setting is unknown or out of its range."""


class ModelError(HrtemDaskError):
    """A model file is damaged, of the wrong kind, or not the one that a run began with."""


class ClusterError(HrtemDaskError):
    """The scheduler or all workers are gone, or none can be had."""


class StoreError(HrtemDaskError):
    """An object store cannot be reached."""


class NothingToAnalyseError(HrtemDaskError):
    """The input holds no file."""


class TooManyFailuresError(HrtemDaskError):
    """More micrographs of a run have failed than its caller allows."""


class ResultsFolderError(HrtemDaskError):
    """A results folder is damaged, or another run is writing into it."""


def error_text(error: BaseException) -> str:
    """Return the message of an error, which is never empty.

    Parameters
    ----------
    error : BaseException
        Any error. Those of timeouts and of failed assertions often have no message.

    Returns
    -------
    str
        Its message; else its type with the message of its cause.

    Examples
    --------
    >>> error_text(ValueError("too small"))
    'too small'
    >>> error_text(TimeoutError())
    'TimeoutError: something did not answer in time; nothing more is known'
    """
    if text := str(error).strip():
        return text
    cause = error.__cause__ or error.__context__
    known = error_text(cause) if cause is not None else None
    if known is None:
        late = isinstance(error, TimeoutError)
        known = f"{'something did not answer in time; ' if late else ''}nothing more is known"
    return f"{type(error).__name__}: {known}"


def typed_error_text(error: BaseException) -> str:
    """Return type and message of an error.

    Parameters
    ----------
    error : BaseException
        Any error.

    Returns
    -------
    str
        For instance ``ValueError: too small``.

    Examples
    --------
    >>> typed_error_text(ValueError("too small"))
    'ValueError: too small'
    """
    text = error_text(error)
    name = type(error).__name__
    return text if text.startswith(f"{name}: ") else f"{name}: {text}"


def reason_alone(reason: str, source: str) -> str:
    """Return a reason without the name of its file, so that equal reasons can be counted.

    Parameters
    ----------
    reason : str
        Why an image has no result.
    source : str
        Path or URL of its file.

    Returns
    -------
    str
        The reason.

    Examples
    --------
    >>> reason_alone("a.dm3: damaged", "/data/a.dm3")
    'damaged'
    >>> reason_alone("OSError: /data/a.dm3 (signal 0, frame 3): damaged", "/data/a.dm3")
    'OSError: damaged'
    """
    names = "|".join(map(re.escape, (source, source.rsplit("/", 1)[-1])))
    return re.sub(rf"^(\w+: )?(?:{names})(?: \(signal \d+, frame \d+\))?: ", r"\1", reason)


def suggestion(wrong: str, known: Sequence[str]) -> str:
    """Return the end of a message about a name that does not exist: the names that it may stand for.

    Parameters
    ----------
    wrong : str
        The name.
    known : sequence of str
        The names that exist.

    Returns
    -------
    str
        Starts with ": "; the names that begin with it, else the three most similar ones, else the first ones.

    Examples
    --------
    >>> suggestion("gold_01", ["gold-01-3f2a", "copper-02-77ab"])
    ": did you mean 'gold-01-3f2a'?"
    >>> suggestion("gold", ["gold-01-3f2a", "copper-02-77ab"])
    ": did you mean 'gold-01-3f2a'?"
    >>> suggestion("x", ["a", "b", "c", "d"])
    ": known are 'a', 'b', 'c' and 1 more"
    """
    if not known:
        return ": there is none"
    begun = [name for name in known if wrong and name.casefold().startswith(wrong.casefold())]
    if similar := begun[:3] or difflib.get_close_matches(wrong, known, n=3, cutoff=0.6):
        return f": did you mean {' or '.join(repr(name) for name in similar)}?"
    more = f" and {len(known) - 3} more" if len(known) > 3 else ""
    return f": known are {', '.join(repr(name) for name in known[:3])}{more}"
