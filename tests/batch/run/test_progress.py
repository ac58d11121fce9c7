"""What a run says while it is in progress."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from hrtem_dask.batch.run import progress


def outcome(status: str = "done", seconds: float = 0.5) -> Any:
    return SimpleNamespace(n_particles=5, entry=SimpleNamespace(status=status), seconds=seconds)


def test_lines_come_from_the_first_result_and_then_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter([0.0, 2.0, 4.0, 18.0, 30.0])  # seconds
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, "hrtem_dask"), progress.progress_bar(4, shown=False) as advance:
        for status in ("done", "failed", "done", "done"):
            advance(outcome(status))
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 4 micrographs · 5 particles · 0 failed · about 2 s left",
        "3 of 4 micrographs · 15 particles · 1 failed · about 6 s left",
    ]
    assert 2 < progress.LINE_EVERY_S < 16


def test_the_start_of_workers_is_no_part_of_the_estimate(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    group_at = [60.0, 61.0, 62.0, 63.0, 76.0]  # seconds: groups of two, after a minute in which workers were started
    clock = iter([0.0, *(at for at in group_at for _ in range(2))])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, "hrtem_dask"), progress.progress_bar(1000, shown=False) as advance:
        for _ in range(2 * len(group_at)):
            advance(outcome())
    assert [record.getMessage().split(" · ")[-1] for record in caplog.records] == [
        "about 8 min left",  # 0.5 s each
        "about 31 min left",  # 9 in 17 s
    ]


def test_a_bar_logs_nothing(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.INFO, "hrtem_dask"), progress.progress_bar(2, shown=True) as advance:
        advance(outcome())
    assert caplog.records == []
    assert "5 particles" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(89.4, "about 89 s left"), (600, "about 10 min left"), (9000, "about 2.5 h left")]
)
def test_times_are_in_words(seconds: float, text: str) -> None:
    assert progress.time_left(1, 2, seconds) == text
