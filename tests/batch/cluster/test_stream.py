"""A bounded stream of tasks: nothing is lost, nothing keeps running, and a task that kills its worker fails alone."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster
from distributed.client import FuturesCancelledError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from hrtem_dask.batch.cluster import patience
from hrtem_dask.batch.cluster import stream as streaming
from hrtem_dask.batch.cluster.stream import failure_reason, stream, stream_with_retry
from hrtem_dask.errors import ClusterError


def test_a_cluster_without_workers_is_an_error_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WORKER_S", 0.2)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        # in a thread, so that a hang is a failure and no hang
        found: list[BaseException | list[object]] = []

        def attempt() -> None:
            try:
                found.append(list(stream(client, abs, [-1])))
            except ClusterError as error:
                found.append(error)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(10)
        assert found, "it hangs"
        assert "no worker at inproc://" in str(found[0])


def test_a_stream_asks_for_the_workers_now_and_then_and_loses_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    honest = client.scheduler_info
    monkeypatch.setattr(client, "scheduler_info", lambda *a, **k: asked.append(1) or honest(*a, **k))
    monkeypatch.setattr(streaming, "REFRESH_S", 3600.0)
    assert sorted(stream(client, abs, range(-50, 0))) == [(n, -n) for n in range(-50, 0)]
    assert len(asked) == 1


def test_who_gives_up_leaves_nothing_running(client: Client, tmp_path: Path) -> None:
    def work(number: int, folder: Path) -> None:
        if number:
            time.sleep(0.3)
        (folder / str(number)).touch()

    def give_up() -> None:
        for _ in stream(client, work, range(20), tmp_path, limit=4):
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        give_up()
    n = len(list(tmp_path.iterdir()))
    assert 1 < n < 20
    time.sleep(0.5)
    assert len(list(tmp_path.iterdir())) == n


def note_call(folder: Path, items: tuple[int, ...]) -> None:
    """Append a call to a file: what a task changes in memory may be a copy."""
    with (folder / "calls.txt").open("a", encoding="utf-8") as file:
        file.write(f"{items}\n")


def calls(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text(encoding="utf-8").splitlines()


def test_the_item_that_kills_its_worker_is_found_by_trying_one_by_one(client: Client, tmp_path: Path) -> None:
    def fail_with_3(items: tuple[int, ...], folder: Path) -> int:
        note_call(folder, items)
        if 3 in items:
            raise KilledWorker("task", SimpleNamespace(address="tcp://gone"), 1)
        return sum(items)

    groups = [(1, 2), (3, 4), (5, 6)]
    results = dict(
        stream_with_retry(
            client, fail_with_3, groups, tmp_path, key="test", split=lambda items: [(item,) for item in items]
        )
    )
    assert isinstance(results.pop((3,)), KilledWorker)
    assert results == {(1, 2): 3, (5, 6): 11, (4,): 4}
    assert sorted(calls(tmp_path)[:3]) == ["(1, 2)", "(3, 4)", "(5, 6)"]
    assert calls(tmp_path)[3:] == ["(3,)", "(4,)"], "tried again at the end, in order"


def test_other_errors_are_not_tried_again_unless_asked_for(client: Client, tmp_path: Path) -> None:
    def fail(items: tuple[int, ...], folder: Path) -> None:
        note_call(folder, items)
        raise ValueError("bad item")

    ((item, error),) = stream_with_retry(client, fail, [(7,)], tmp_path, key="test")
    assert (item, calls(tmp_path)) == ((7,), ["(7,)"])
    assert failure_reason(error) == "ValueError: bad item"
    results = list(
        stream_with_retry(client, fail, [(7,)], tmp_path, key="test", retry=lambda error: "bad" in str(error))
    )
    assert len(results) == 1
    assert calls(tmp_path) == ["(7,)"] * 3


def test_the_reason_of_a_dead_worker_is_in_words() -> None:
    assert "worker died" in failure_reason(KilledWorker("task", SimpleNamespace(address="tcp://gone"), 1))


def test_a_result_that_is_lost_with_its_worker_is_an_error_of_the_task(client: Client) -> None:
    class LostResult:
        """A future whose worker dies after the task has ended and before its result is fetched."""

        def exception(self, **_: float) -> None:
            return None

        def result(self, **_: float) -> None:
            raise KilledWorker("task", SimpleNamespace(address="tcp://gone"), 1)

    assert streaming.worker_died(streaming.result_or_error(client, LostResult()))


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_scheduler_that_is_lost_while_a_result_is_fetched_is_said_as_soon_as_the_client_knows(
    monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    monkeypatch.setattr(streaming, "NOTICED_S", 0.5)
    client = SimpleNamespace(status="running", scheduler=None)

    class Unfetched:
        """A future whose scheduler is lost before its result is fetched."""

        def exception(self, **_: float) -> None:
            return None

        def result(self, **_: float) -> None:
            if is_lost:
                threading.Timer(0.2, lambda: setattr(client, "status", "connecting")).start()
            raise CommClosedError("in <TCP (closed)>: Stream is closed")

    with pytest.raises(ClusterError if is_lost else CommClosedError):
        streaming.result_or_error(client, Unfetched())


def test_tasks_in_flight_of_a_lost_scheduler_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    def lost(futures: list[object], **_: object) -> None:
        waited.append(futures)
        raise FuturesCancelledError([])

    monkeypatch.setattr(streaming, "wait", lost)
    future = SimpleNamespace()
    streaming._let_finish(SimpleNamespace(status="running"), [future])
    streaming._let_finish(SimpleNamespace(status="closed"), [future])
    assert waited == [[future]], "its error is no error of the caller, and a client that knows of the loss asks nothing"
