"""The live page *Population* of Dask's dashboard: the run sends outcomes, the scheduler shows their sum."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from distributed import Client, Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.utils import format_dashboard_link

from hrtem_dask import tables
from hrtem_dask.batch.dashboard.population_state import MicrographSummary, PopulationState, summarize_micrograph
from hrtem_dask.errors import typed_error_text
from hrtem_dask.population.verdicts import doubtful_micrographs
from hrtem_dask.storage.ledger import FOLDER, Entry
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import read_rows

if TYPE_CHECKING:
    from hrtem_dask.batch.run.plan import RunPlan
    from hrtem_dask.batch.run.task import Outcome

__all__ = ["PopulationPlugin", "PopulationReporter", "add_population_page", "dashboard_link", "population_link"]

TOPIC = "hrtem-dask-population"
PAGE = "population"

logger = logging.getLogger(__name__)


class PopulationPlugin(SchedulerPlugin):
    """Sum up the outcomes of a run on the scheduler, and add the page that shows them.

    The plugin stays when a run ends: the page still shows how it ended, and the next run on this scheduler uses it
    again.
    """

    name = TOPIC
    idempotent = True

    def __init__(self) -> None:
        self.state = PopulationState()

    def start(self, scheduler: Scheduler) -> None:  # type: ignore[override]
        """Add the page beside Status.

        Parameters
        ----------
        scheduler : distributed.Scheduler
            The scheduler that this runs on.
        """
        from hrtem_dask.batch.dashboard.population_page import add_page

        add_page(scheduler, PAGE, lambda: self.state)

    def log_event(self, topic: str, msg: Any) -> None:
        """Receive a message of a run.

        Parameters
        ----------
        topic : str
            Topic of the event; all but `TOPIC` are ignored.
        msg : mapping
            The message. Its ``kind`` is begin, add or end; see the methods of `PopulationState`.
        """
        if topic != TOPIC:
            return
        now_s = time.monotonic()
        if msg["kind"] == "begin":
            self.state = PopulationState.begun(msg, now_s)
        elif msg["run"] == self.state.run:
            {"add": self.state.add, "end": self.state.end}[msg["kind"]](msg, now_s)


class PopulationReporter:
    """Send the outcomes of a run to the page on the scheduler.

    Parameters
    ----------
    client : distributed.Client or None
        The cluster; None where there is no page, and then nothing is sent.
    """

    def __init__(self, client: Client | None) -> None:
        self._client = client
        self._run = uuid.uuid4().hex

    def begin(self, folder: Location, plan: RunPlan) -> None:
        """Report the plan of the run, and the micrographs that are done.

        Parameters
        ----------
        folder : Location
            The results folder.
        plan : RunPlan
            Plan of the run.
        """
        if self._client is None:
            return
        before = Counter(entry.status for entry in plan.kept.values())
        before.update(record.status for record in plan.records if record.status != "ok")
        try:
            summary = _done_before(folder, plan.kept)
        except Exception as error:  # noqa: BLE001 - the page is no reason to end a run
            summary = MicrographSummary()
            logger.warning("the page %s lacks what earlier runs found: %s", PAGE, typed_error_text(error))
        self._send(
            "begin",
            results=folder.url,
            statuses=dict(before),
            n_to_analyse=plan.n_to_analyze,
            summary=summary.message(),
        )

    def add(self, outcome: Outcome) -> None:
        """Report how a micrograph ended.

        Parameters
        ----------
        outcome : Outcome
            The outcome that its worker returned.
        """
        entry = outcome.entry
        summary = outcome.summary.message()
        self._send("add", micrograph_id=entry.micrograph_id, status=entry.status, summary=summary)

    def end(self) -> None:
        """Report that the last micrograph has ended."""
        self._send("end")

    def _send(self, kind: str, **content: object) -> None:
        """Send one message; the run goes on without the page where that fails."""
        if self._client is None:
            return
        try:
            self._client.log_event(TOPIC, {"kind": kind, "run": self._run, **content})
        except Exception as error:  # noqa: BLE001 - whatever happened, an error of the cluster ends the run elsewhere
            self._client = None
            logger.warning("the page %s is not updated from here on: %s", PAGE, typed_error_text(error))


def add_population_page(client: Client) -> PopulationReporter:
    """Add the page to the scheduler's dashboard, where that is possible.

    The addresses of the dashboard and of the page are logged, or the reason why there is no page.

    Parameters
    ----------
    client : distributed.Client
        The cluster.

    Returns
    -------
    PopulationReporter
        Sends the outcomes of a run to the page; without a page it sends nothing.
    """
    link = dashboard_link(client)
    if not link:
        return PopulationReporter(None)
    logger.info("dashboard: %s", link)
    try:
        client.register_plugin(PopulationPlugin())
    except Exception as error:  # noqa: BLE001 - a scheduler without this package, or one that takes no plugins
        logger.warning("the dashboard of this scheduler has no page %s (%s); the run goes on without it", PAGE, error)
        return PopulationReporter(None)
    logger.info("population: %s", population_link(link))
    return PopulationReporter(client)


def dashboard_link(client: Client) -> str | None:
    """Return the address of the dashboard's page *Status*.

    Parameters
    ----------
    client : distributed.Client
        The cluster.

    Returns
    -------
    str or None
        Formatted by ``distributed.dashboard.link``; empty or None where there is no dashboard.
    """
    scheduler = getattr(client.cluster, "scheduler", None)
    server: Any = scheduler.http_server if isinstance(scheduler, Scheduler) else None
    if server is not None and server.address == "127.0.0.1":
        # for a cluster of threads Dask gives the outer address of this machine, where nothing listens
        return str(format_dashboard_link("127.0.0.1", server.port))
    link: str | None = client.dashboard_link
    return link


def population_link(status_link: str) -> str:
    """Return the address of the page *Population*, through the same proxy as the dashboard.

    Parameters
    ----------
    status_link : str
        Address of the page *Status*, formatted by Dask from ``distributed.dashboard.link``.

    Returns
    -------
    str
        The same address with another last part.
    """
    parts = urlsplit(status_link)
    folder, _, last = parts.path.rpartition("/")
    if last not in ("", "status"):
        folder = parts.path
    return urlunsplit(parts._replace(path=f"{folder}/{PAGE}"))


def _done_before(folder: Location, kept: Mapping[str, Entry]) -> MicrographSummary:
    """Sum up the particles and the doubtful micrographs that earlier runs have found."""
    by_part: dict[str, list[str]] = {}
    for entry in kept.values():
        if entry.status in tables.ANALYZED_STATUSES:
            by_part.setdefault(entry.part, []).append(entry.micrograph_id)
    if not by_part:
        return MicrographSummary()
    micrographs, particles = (
        read_rows(folder, {f"{FOLDER}/{part}.{name}.parquet": ids for part, ids in by_part.items()}, schema)
        for name, schema in (("micrographs", tables.MICROGRAPHS), ("particles", tables.PARTICLES))
    )
    return summarize_micrograph(particles, n_doubtful=len(doubtful_micrographs(micrographs)))
