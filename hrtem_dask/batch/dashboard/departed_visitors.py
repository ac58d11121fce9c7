"""Visitors who close the live page while Bokeh answers them: no error of the run, and no traceback in its terminal.

Bokeh forgets the session of a visitor who goes away, and then asks for it once more: in the handler of the closed
connection, and for messages that arrived before. It fails there with an ``AssertionError``, which tornado logs with its
whole traceback. A page that is opened again after its token has expired, as in a browser that restores its tabs, is
refused in the same way.
"""

from __future__ import annotations

import logging
from types import TracebackType

from bokeh.protocol.exceptions import ProtocolError

__all__ = ["ignore_departed_visitors"]

LOGGERS = ("tornado.application", "bokeh.server.protocol_handler")
_ASKED_FOR_SESSION = ("bokeh.server.connection", "session")
"""Module and function that fail where the session is forgotten."""


class _DepartedVisitors(logging.Filter):
    """Drop the two errors of visitors that have gone or come too late, and no others."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a message is printed."""
        if not isinstance(record.exc_info, tuple):
            return True
        _, error, trace = record.exc_info
        if isinstance(error, AssertionError):
            return _raised_in(trace) != _ASKED_FOR_SESSION
        return not (isinstance(error, ProtocolError) and str(error).startswith("Token is expired"))


_FILTER = _DepartedVisitors()


def ignore_departed_visitors() -> None:
    """Keep the tracebacks of visitors who have gone out of the log of this process; a second call changes nothing."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)


def _raised_in(trace: TracebackType | None) -> tuple[str, str] | None:
    """Return module and function that raised an error."""
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__")), trace.tb_frame.f_code.co_name
