"""Locks by which processes wait for each other."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrtem_dask.machine_code.locks import Lock

HOLD = """
import sys, time
from pathlib import Path
from hrtem_dask.machine_code.locks import Lock
with Lock(Path(sys.argv[1])).alone():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_process_waits_until_the_holder_dies(tmp_path: Path) -> None:
    path = tmp_path / "new" / "loops.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiter = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        assert waiter.poll() is None
        holder.kill()
        assert waiter.stdout is not None
        assert waiter.stdout.readline() == "held\n"
        waiter.kill()
        waiter.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_lock_taken_with_others_is_free_when_all_copies_are_closed(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "loops.lock")
    first, second = lock.take_with_others(), lock.take_with_others()
    copy = os.dup(first)
    os.close(first)
    os.close(second)
    arguments = [sys.executable, "-c", HOLD, str(lock.path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as waiter:
        time.sleep(1)
        os.close(copy)
        assert waiter.stdout is not None
        assert waiter.stdout.readline() == "held\n"
        waiter.kill()


def test_where_nothing_can_be_written_there_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lock = Lock(tmp_path / "file" / "loops.lock")
    with lock.alone():
        file = lock.take_with_others()
        assert os.path.samestat(os.fstat(file), Path(os.devnull).stat())
        os.close(file)
    assert not lock.path.exists()
