"""One run at a time: who holds the folder is said, a dead owner is replaced, and a replaced one stops."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.storage import run_lock
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.run_lock import LOCK, Owner, RunLock, require_owner

HOLD = """
import sys, time
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.run_lock import RunLock
with RunLock(Location.of(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["disk", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return Location.of(tmp_path if request.param == "disk" else f"memory://{request.node.name}")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("BEAT_S", 0.05), ("DEAD_S", 0.6), ("POLL_S", 0.02)):
        monkeypatch.setattr(run_lock, name, seconds)


def write(place: Location, **changes: object) -> None:
    place.write_json(LOCK, dataclasses.asdict(Owner.this_process()) | changes)


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.02)


def test_a_second_run_is_refused_and_told_by_whom_until_the_first_ends(place: Location) -> None:
    with RunLock(place) as first:
        with pytest.raises(ResultsFolderError, match=rf"another run is writing .*process {os.getpid()} on .*, since 2"):
            RunLock(place).acquire()
        first.check()
        require_owner(place, first.token)
    assert not place.exists(LOCK)
    with RunLock(place):
        pass
    assert not list(place.names("", "lock"))


def test_of_many_runs_at_once_one_gets_the_lock(place: Location) -> None:
    barrier = threading.Barrier(8)
    held, refused = [], []

    def attempt() -> None:
        lock = RunLock(place)
        barrier.wait()
        try:
            lock.acquire()
            held.append(lock)
        except ResultsFolderError as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 7)
    held[0].release()


@pytest.mark.parametrize("changes", [{"pid": 2**22 + 1}, {"process_start": 1.0}], ids=["ended", "number used again"])
def test_the_lock_of_an_ended_process_is_taken_over_at_once(place: Location, changes: dict[str, object]) -> None:
    write(place, **changes)
    with RunLock(place) as lock:
        lock.check()
        require_owner(place, lock.token)
    assert not list(place.names("", ""))


def test_a_killed_process_is_a_dead_owner(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    place = Location.of(tmp_path)
    with pytest.raises(ResultsFolderError, match=f"process {holder.pid} "):
        RunLock(place).acquire()
    os.kill(holder.pid, signal.SIGSTOP)  # it may go on at any time
    with pytest.raises(ResultsFolderError, match=f"process {holder.pid} "):
        RunLock(place).acquire()
    holder.kill()
    wait_for(lambda: psutil.Process(holder.pid).status() == psutil.STATUS_ZOMBIE)
    with RunLock(place):  # though nobody has collected its end
        pass
    holder.stdout.close()
    holder.wait()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("content", [None, b"", b'{"pid": 1}', b"\xff\x00", b"[]"])
def test_a_silent_owner_on_another_machine_and_a_damaged_lock_are_taken_over(
    place: Location, content: bytes | None
) -> None:
    if content is None:
        write(place, machine="elsewhere", host="elsewhere")
    else:
        place.write_bytes(LOCK, content)
    with RunLock(place) as lock:
        lock.check()


@pytest.mark.usefixtures("quick")
def test_an_owner_on_another_machine_that_writes_its_lock_is_alive(place: Location) -> None:
    write(place, machine="elsewhere", host="elsewhere")
    stop = threading.Event()

    def beat() -> None:
        n = 0
        while not stop.wait(0.05):
            n += 1
            write(place, machine="elsewhere", host="elsewhere", token="theirs", beat=n)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(ResultsFolderError, match="on elsewhere, since"):
            RunLock(place).acquire()
    finally:
        stop.set()
        thread.join()


@pytest.mark.usefixtures("quick")
def test_a_run_that_was_replaced_stops_and_leaves_the_lock_of_the_other(place: Location) -> None:
    def ask(lock: RunLock) -> bool:
        try:
            lock.check()
        except ResultsFolderError:
            return True
        return False

    with RunLock(place) as first:
        write(place, token="the other")
        with pytest.raises(ResultsFolderError, match="has taken over"):
            require_owner(place, first.token)
        wait_for(lambda: ask(first))
        with pytest.raises(ResultsFolderError, match="has taken over"):
            first.check()
    require_owner(place, "the other")
    assert place.exists(LOCK)


@pytest.mark.usefixtures("quick")
def test_a_lock_that_was_deleted_is_written_again(place: Location) -> None:
    with RunLock(place) as lock:
        place.remove(LOCK)
        wait_for(lambda: place.exists(LOCK))
        assert json.loads(place.read_bytes(LOCK))["token"] == lock.token
        lock.check()
    assert not place.exists(LOCK)


def test_a_folder_in_the_place_of_the_lock_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with RunLock(Location.of(tmp_path)):
        assert (tmp_path / LOCK).is_file()
    assert [p.name for p in tmp_path.iterdir()] == [f"{LOCK}.set-aside-1"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where no folder can be made")
def test_a_place_where_no_folder_can_be_made_is_named_with_the_remedy() -> None:
    place = Location.of("/proc/no-such-folder")
    with pytest.raises(ResultsFolderError, match=r"into /proc/no-such-folder \(No such .*\): name a folder .*--out"):
        RunLock(place).acquire()
