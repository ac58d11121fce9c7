"""Workers spare their garbage collector; the program of a user keeps it as it is."""

import gc
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from hrtem_dask.batch.cluster import collector
from hrtem_dask.batch.cluster.collector import spare_collector


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    spare_collector.cache_clear()
    yield
    gc.unfreeze()
    spare_collector.cache_clear()


def test_the_program_of_a_user_keeps_its_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    before = gc.get_freeze_count()
    assert not spare_collector()
    spare_collector.cache_clear()
    monkeypatch.setattr(collector, "get_worker", lambda: SimpleNamespace(nanny=None))  # a worker in this process
    assert not spare_collector()
    assert gc.get_freeze_count() == before


def test_a_worker_process_freezes_what_it_has_imported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "get_worker", lambda: SimpleNamespace(nanny="tcp://127.0.0.1:1"))
    assert spare_collector()
    frozen = gc.get_freeze_count()
    assert frozen > 10_000
    later = [[number] for number in range(1000)]
    assert spare_collector()
    assert gc.get_freeze_count() <= frozen + 100, len(later)
