"""The live page *Population* of Dask's dashboard: fed by the run, kept and shown by the scheduler."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from distributed import Client, Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.utils import format_dashboard_link

from hrtem_dask import tables
from hrtem_dask.batch.dashboard.population_state import MicrographSummary, PopulationState, summarise
from hrtem_dask.storage.ledger import FOLDER, Entry
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import read_rows

if TYPE_CHECKING:
    from hrtem_dask.batch.run.plan import Plan
    from hrtem_dask.batch.run.task import Outcome

__all__ = ["Feed", "PopulationPlugin", "dashboard_link", "open_feed", "population_link"]

TOPIC = "hrtem-dask-population"
PAGE = "population"


class PopulationPlugin(SchedulerPlugin):
    """Sum up on the scheduler what the run tells, and add the page that shows it.

    It stays when a run ends: the page still shows how it ended, and the next run on this scheduler uses it again.
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
        """Take what a run tells.

        Parameters
        ----------
        topic : str
            Only `TOPIC` is of interest.
        msg : mapping
            Its ``kind`` is begin, add or end; see the methods of `PopulationState`.
        """
        if topic != TOPIC:
            return
        now_s = time.monotonic()
        if msg["kind"] == "begin":
            self.state = PopulationState.begun(msg, now_s)
        elif msg["run"] == self.state.run:
            {"add": self.state.add, "end": self.state.end}[msg["kind"]](msg, now_s)


class Feed:
    """Tells the scheduler what has been done; one that is closed tells nothing.

    Parameters
    ----------
    client : distributed.Client or None
        The cluster; None for a closed one.
    say : callable
        Takes a line for the user where the page cannot be fed any more.
    """

    def __init__(self, client: Client | None, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._run = uuid.uuid4().hex

    def begin(self, place: Location, plan: Plan) -> None:
        """Tell what a run will do, and what was done before.

        Parameters
        ----------
        place : Location
            The results folder.
        plan : Plan
            What will be done.
        """
        if self._client is None:
            return
        before = Counter(entry.status for entry in plan.kept.values())
        before.update(record.status for record in plan.records if record.status != "ok")
        self._tell(
            "begin",
            results=place.url,
            statuses=dict(before),
            n_to_analyse=sum(len(task.items) for task in plan.tasks),
            summary=_done_before(place, plan.kept).message(),
        )

    def add(self, outcome: Outcome) -> None:
        """Tell how a micrograph ended.

        Parameters
        ----------
        outcome : Outcome
            From its worker.
        """
        entry = outcome.entry
        summary = outcome.summary.message()
        self._tell("add", micrograph_id=entry.micrograph_id, status=entry.status, summary=summary)

    def end(self) -> None:
        """Tell that the last micrograph has ended."""
        self._tell("end")

    def _tell(self, kind: str, **content: Any) -> None:
        """Send one message; a page that cannot be fed is no reason to lose the run."""
        if self._client is None:
            return
        try:
            self._client.log_event(TOPIC, {"kind": kind, "run": self._run, **content})
        except Exception as error:  # noqa: BLE001 - whatever happened, the run itself notices what matters to it
            self._client = None
            self._say(f"the page {PAGE} stands still from here on: {error}")


def open_feed(client: Client, say: Callable[[str], None]) -> Feed:
    """Add the page to the scheduler's dashboard, where that is possible.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    say : callable
        Takes the addresses of the dashboard and the page, or a line that says why there is no page.

    Returns
    -------
    Feed
        Closed where there is no page.
    """
    link = dashboard_link(client)
    if not link:
        return Feed(None, say)
    say(f"dashboard: {link}")
    try:
        client.register_plugin(PopulationPlugin())
    except Exception as error:  # noqa: BLE001 - a scheduler without this package, or one that takes no plugins
        say(f"no page {PAGE} on this scheduler's dashboard ({error}); the run goes on without")
        return Feed(None, say)
    say(f"population: {population_link(link)}")
    return Feed(client, say)


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
        # for a cluster of threads Dask names the machine's outer address, where nothing listens
        return str(format_dashboard_link("127.0.0.1", server.port))
    link: str | None = client.dashboard_link
    return link


def population_link(status_link: str) -> str:
    """Return the address of the page, through the same proxy as the dashboard's.

    Parameters
    ----------
    status_link : str
        Address of the page *Status*, formatted by Dask from ``distributed.dashboard.link``.

    Returns
    -------
    str
        The same with another last part.
    """
    parts = urlsplit(status_link)
    folder, _, last = parts.path.rpartition("/")
    if last not in ("", "status"):
        folder = parts.path
    return urlunsplit(parts._replace(path=f"{folder}/{PAGE}"))


def _done_before(place: Location, kept: Mapping[str, Entry]) -> MicrographSummary:
    """Sum up the particles that an earlier run has found."""
    wanted: dict[str, list[str]] = {}
    for entry in kept.values():
        if entry.status == "done":
            wanted.setdefault(f"{FOLDER}/{entry.part}.particles.parquet", []).append(entry.micrograph_id)
    return summarise(read_rows(place, wanted, tables.PARTICLES)) if wanted else MicrographSummary()
