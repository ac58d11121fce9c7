"""What is not printed when a visitor of the live page goes away, and what still is."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from bokeh.protocol.exceptions import ProtocolError
from bokeh.server.connection import ServerConnection
from distributed import Client, LocalCluster

from hrtem_dask.batch.dashboard.departed_visitors import LOGGERS
from hrtem_dask.batch.dashboard.live import PopulationPlugin


@pytest.fixture
def page() -> Any:
    """A scheduler that shows the page."""
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(PopulationPlugin())
        yield client


def _ask_for_a_forgotten_session() -> None:
    session: Any = SimpleNamespace(subscribe=lambda _: None, unsubscribe=lambda _: None)
    nothing: Any = None
    connection = ServerConnection(nothing, nothing, nothing, session)
    connection.detach_session()
    connection.session  # noqa: B018 - asking is what fails


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("logger", LOGGERS)
def test_only_errors_of_departed_visitors_are_dropped(
    page: Client, caplog: pytest.LogCaptureFixture, logger: str
) -> None:
    del page
    log = logging.getLogger(logger)
    cases = {
        "gone": _ask_for_a_forgotten_session,
        "too late": lambda: _raise(ProtocolError("Token is expired. Configure the app with a larger value")),
        "another assertion": lambda: _raise(AssertionError("the population is negative")),
        "another protocol error": lambda: _raise(ProtocolError("Invalid token signature")),
    }
    for name, fail in cases.items():
        try:
            fail()
        except (AssertionError, ProtocolError):
            log.exception(name)
    log.error("without a traceback")
    assert [record.message for record in caplog.records if record.name == logger] == [
        "another assertion", "another protocol error", "without a traceback",
    ]  # fmt: skip
