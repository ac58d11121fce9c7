"""A disk that is full and a link that goes down: run again, and the tables are those of an undisturbed run."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from hrtem_dask import run
from hrtem_dask.settings import Settings

pytestmark = pytest.mark.slow
N_MICROGRAPHS = 24


@pytest.fixture
def many(tmp_path: Path, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path]) -> Path:
    for i in range(N_MICROGRAPHS):
        make_tiff(tmp_path / "in" / f"m{i:02d}.tif", make_disks(np.random.default_rng(i), 1 + i % 6, (400, 480)))
    return tmp_path / "in"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system in memory whose size can be changed."""
    place = tmp_path / "disk"
    place.mkdir()

    def resize(options: str) -> Path:
        again = ["-o", f"remount,{options}"] if place.is_mount() else ["-o", options]
        done = subprocess.run(["mount", "-t", "tmpfs", *again, "tmpfs", str(place)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no small file system: mount says {done.stderr.strip()}")
        return place

    yield resize
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def require_equal_tables(found: Path, whole: Path) -> None:
    names = {path.name for path in whole.glob("*.parquet")} - {"execution.parquet"}
    assert len(names) >= 5
    for name in names:
        assert (found / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tmpfs")
@pytest.mark.parametrize("full", ["size=100k", "size=400k", "size=64m,nr_inodes=60"])
def test_a_disk_that_is_full(
    many: Path, tmp_path: Path, settings: Settings, client: Client, small_disk: Callable[[str], Path], full: str
) -> None:
    run(many, tmp_path / "whole", settings=settings, cluster=client)
    out = small_disk(full) / "out"
    refused: OSError | None = None
    try:
        summary = run(many, out, settings=settings, cluster=client)
        assert summary.counts["failed"], "the disk was not full at all"
    except OSError as error:
        refused = error
    assert refused is None or refused.errno == errno.ENOSPC, refused
    # a lock that could not be removed belongs to this process, which may write again
    small_disk("size=64m,nr_inodes=100k")
    summary = run(many, out, settings=settings, cluster=client)
    assert summary.counts == {"done": N_MICROGRAPHS, "empty": 0, "set_aside": 0, "failed": 0}
    require_equal_tables(out, tmp_path / "whole")


class Link:
    """A TCP connection to a port of this machine that can be cut: what runs is reset, what is new is refused."""

    def __init__(self, port: int) -> None:
        self._target, self._is_up, self._open = port, True, list[socket.socket]()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.n_cut, self._threads = 0, list[threading.Thread]()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if not self._is_up:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._copy, args=(one, other), daemon=True))
                    self._threads[-1].start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := one.recv(65536):
                other.sendall(block)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        one.close()  # each of the two threads closes the end that it reads from

    def cut(self) -> None:
        self._is_up = False
        for end in self._open:
            with contextlib.suppress(OSError):  # it is closed already
                end.shutdown(socket.SHUT_RDWR)
                self.n_cut += 1
        self._open.clear()
        for thread in self._threads:
            thread.join(10)

    def restore(self) -> None:
        self._is_up = True

    def close(self) -> None:
        self.cut()
        self._server.close()


@pytest.fixture
def cluster_over_links(tmp_path: Path) -> Iterator[dict[str, Link]]:
    """A scheduler and two workers as processes; one worker and the program reach it by links that can be cut."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    dask = [sys.executable, "-m", "dask"]
    listen = ["--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0"]
    processes = [subprocess.Popen([*dask, "scheduler", *listen], **quiet)]  # type: ignore[call-overload]
    deadline = time.monotonic() + 180
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    links = {"worker": Link(port), "program": Link(port)}
    for address in (links["worker"].address, f"tcp://127.0.0.1:{port}"):
        worker = [
            *dask,
            "worker",
            address,
            "--nthreads",
            "1",
            "--host",
            "127.0.0.1",
            "--local-directory",
            str(tmp_path),
        ]
        processes.append(subprocess.Popen(worker, **quiet))  # type: ignore[call-overload]
    with Client(f"tcp://127.0.0.1:{port}", timeout="120s") as waiting:
        waiting.wait_for_workers(2, timeout=300)
    yield links
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for link in links.values():
        link.close()


def test_links_that_go_down(
    many: Path, tmp_path: Path, settings: Settings, client: Client, cluster_over_links: dict[str, Link]
) -> None:
    run(many, tmp_path / "whole", settings=settings, cluster=client)
    out, recipe = tmp_path / "out", tmp_path / "settings.toml"
    recipe.write_text(settings.to_toml())
    links = cluster_over_links
    command = [
        sys.executable, "-m", "hrtem_dask", "run", str(many), "-o", str(out), "--settings", str(recipe), "-q",
        "--cluster", links["program"].address,
    ]  # fmt: skip

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for_commits(n: int, program: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 400
        while len(list((out / "parts").glob("*.commit.json"))) < n and program.poll() is None:
            assert time.monotonic() < deadline, "no part was committed"
            time.sleep(0.05)

    program = start()
    wait_for_commits(2, program)
    links["worker"].cut()  # its tasks are done by the other one
    wait_for_commits(5, program)
    links["worker"].restore()
    assert program.poll() is None, program.communicate()
    links["program"].cut()
    _, errors = program.communicate(timeout=400)
    assert program.returncode == 1
    assert "Traceback" not in errors, errors
    assert [line for line in errors.splitlines() if line.startswith("Error: ")], errors
    assert all(link.n_cut for link in links.values())
    links["program"].restore()
    again = start()
    _, errors = again.communicate(timeout=900)
    assert again.returncode == 0, errors
    require_equal_tables(out, tmp_path / "whole")
