"""Stores that are gone: known by their errors, asked before a run ends, and said in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrtem_dask import run
from hrtem_dask.batch import stores
from hrtem_dask.batch.run import task
from hrtem_dask.batch.stores import IN_A_ROW, StoreWatch, is_unreachable, said_in_one_line
from hrtem_dask.errors import StoreError
from hrtem_dask.settings import Settings

GONE = "EndpointConnectionError: Could not connect"


class EndpointConnectionError(Exception):
    """Like botocore's, which is no OSError."""


class Store:
    """A file system that answers or not."""

    def __init__(self, *, answers: bool) -> None:
        self.answers, self.asked = answers, 0

    def invalidate_cache(self) -> None:
        pass

    def exists(self, path: str) -> bool:
        assert path
        self.asked += 1
        if not self.answers:
            raise EndpointConnectionError("Could not connect")
        return False


def watch_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> StoreWatch:
    monkeypatch.setattr(stores, "file_system", lambda url: (store, url))
    return StoreWatch()


def test_errors_are_known_by_their_class_and_by_what_caused_them() -> None:
    caused = OSError("no answer")
    caused.__cause__ = EndpointConnectionError("refused")
    assert is_unreachable(EndpointConnectionError("refused"))
    assert is_unreachable(caused)
    assert not is_unreachable(OSError(28, "No space left on device"))


def test_a_store_is_asked_after_several_files_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(answers=False)
    watch = watch_with(store, monkeypatch)
    for reason in [GONE] * (IN_A_ROW - 1) + [None] + [GONE] * (IN_A_ROW - 1) + ["OSError: damaged"]:
        watch.see("s3://bucket/a.tif", reason)
    for _ in range(2 * IN_A_ROW):
        watch.see("/data/a.tif", GONE)
    assert store.asked == 0
    for _ in range(IN_A_ROW - 1):
        watch.see("s3://bucket/a.tif", GONE)
    with pytest.raises(StoreError, match=r"cannot be reached \(Could not connect\): check the server"):
        watch.see("s3://bucket/a.tif", GONE)
    assert store.asked == 1


def test_a_store_that_answers_lets_the_run_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(answers=True)
    watch = watch_with(store, monkeypatch)
    for _ in range(3 * IN_A_ROW):
        watch.see("s3://bucket/a.tif", GONE)
    assert store.asked == 3


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), said_in_one_line():
        raise KeyError("x")


def test_a_run_whose_results_have_no_place_ends_with_one_error(
    tmp_path: Path, settings: Settings, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    make_tiff(tmp_path / "in" / "a.tif", make_disks(np.random.default_rng(0), 2, (96, 96)))

    def gone(*_: Any) -> None:
        raise EndpointConnectionError("Could not connect")

    monkeypatch.setattr(task.ledger, "write_intent", gone)
    with pytest.raises(StoreError, match=r"cannot be reached \(Could not connect\).*the same command goes on"):
        run(tmp_path / "in", tmp_path / "out", settings=settings, cluster="threads")
    assert not (tmp_path / "out" / "run.lock").exists()
    assert "Compute Failed" not in capfd.readouterr().err
