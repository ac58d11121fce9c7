"""Clusters on this machine: how many workers, what they are made of, and tries to start them."""

import gc
import os
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import ClassVar

import pytest
from distributed import LocalCluster

from hrtem_dask import Cluster
from hrtem_dask.batch.cluster import local
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.errors import ClusterError, SettingsError


def test_workers_that_do_not_start_are_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    honest, tries = local._start, []

    def start(*arguments: object, **options: object) -> LocalCluster:
        tries.append(1)
        if len(tries) < 3:
            raise (RuntimeError("Nanny failed to start."), TimeoutError())[len(tries) - 1]
        return honest(*arguments, **options)

    monkeypatch.setattr(local, "_start", start)
    with connect("threads") as started:
        assert started.submit(abs, -1).result() == 1
    said = [r.getMessage().partition(": ")[2] for r in caplog.records if r.name.startswith("hrtem_dask")]
    assert [line.partition(":")[0] for line in said] == ["RuntimeError", "TimeoutError"]
    tries.clear()
    monkeypatch.setattr(local, "STARTS", 2)
    with (
        pytest.raises(ClusterError, match="no workers could be started on this machine in 2 tries"),
        connect("threads"),
    ):
        pass


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # tornado leaves the socket to the collector
def test_a_port_that_is_taken_in_the_last_moment_is_no_problem(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(local, "free_port", lambda _: other.getsockname()[1])
        with connect("threads") as started:
            assert started.submit(abs, -1).result() == 1
            assert not started.dashboard_link.endswith(f":{other.getsockname()[1]}/status")
    assert not [r for r in caplog.records if r.name.startswith("hrtem_dask")]
    gc.collect()  # here, where its warning is expected


class Recorded(LocalCluster):
    """A cluster that notes what it is made of, and starts threads instead of processes."""

    made_of: ClassVar[dict[str, object]] = {}

    def __init__(self, *, rmm_pool_size: float | None = None, rmm_async: bool | None = None, **options: object) -> None:
        Recorded.made_of = options | {"rmm_pool_size": rmm_pool_size, "rmm_async": rmm_async}
        super().__init__(n_workers=1, processes=False, dashboard_address="127.0.0.1:0")


def test_options_replace_the_defaults_and_the_number_of_workers_fits_cores_and_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "LocalCluster", Recorded)
    monkeypatch.setattr(local, "CPU_COUNT", 64)
    monkeypatch.setattr(local, "MEMORY_LIMIT", 16 * 2**30)
    for cluster, n in ((Cluster("local"), 8), (Cluster("local", workers=20), 20)):
        started = local._start(cluster, "cpu")
        started.close()
        assert Recorded.made_of["n_workers"] == n
        assert (Recorded.made_of["host"], Recorded.made_of["threads_per_worker"]) == ("127.0.0.1", 1)
    options = {"memory_limit": "3GB", "host": "0.0.0.0"}
    local._start(Cluster("local", options=options), "cpu").close()
    assert Recorded.made_of | options == Recorded.made_of


def test_an_unknown_option_is_named() -> None:
    with (
        pytest.raises(SettingsError, match=r"LocalCluster takes no option 'memry_limit': did you mean 'memory_limit'"),
        connect(Cluster("local", workers=1, options={"memry_limit": "1GB"})),
    ):
        pass


def test_libraries_on_a_gpu_share_one_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"rmm", "cupy", "torch"}
    monkeypatch.setattr(local, "find_spec", lambda name: name if name in present else None)
    monkeypatch.setattr(local, "_cuda_cluster", lambda: Recorded)

    def made_of(**options: object) -> tuple[object, object]:
        local._start(Cluster("cuda", workers=2, options=options), "cpu").close()
        assert Recorded.made_of["n_workers"] == 2
        return Recorded.made_of["rmm_pool_size"], Recorded.made_of.get("rmm_allocator_external_lib_list")

    assert made_of() == (0.5, ["cupy", "torch"])
    assert made_of(rmm_pool_size=0.8) == (0.8, ["cupy", "torch"])
    assert made_of(rmm_async=True) == (None, None)
    assert made_of(rmm_pool_size=False) == (None, None)
    present.remove("torch")
    assert made_of() == (0.5, ["cupy"])
    present.remove("rmm")
    assert made_of() == (None, None)


def test_the_worker_of_a_gpu_gives_cupy_and_torch_the_allocators_of_rmm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What dask-cuda does on a worker with these options; the libraries are stand-ins, and no GPU is there."""
    plugins = pytest.importorskip(
        "dask_cuda.plugins", reason="dask-cuda is not installed: pip install 'hrtem-dask[gpu]'"
    )
    called: dict[str, object] = {}

    class StandIn(types.ModuleType):
        """A library of which everything that is looked for is there."""

        def __getattr__(self, name: str) -> "StandIn":
            return StandIn(f"{self.__name__}.{name}")

        def __call__(self, *given: object, **named: object) -> None:
            called[self.__name__] = [str(getattr(one, "__name__", one)) for one in given] or named

    names = ("rmm", "rmm.mr", "rmm.allocators", "rmm.allocators.cupy", "rmm.allocators.torch", "cupy", "torch")
    for name in names:
        monkeypatch.setitem(sys.modules, name, StandIn(name))
    monkeypatch.setattr(plugins, "parse_device_bytes", lambda size, **_: None if size is None else int(size * 80e9))
    monkeypatch.setattr(local, "find_spec", lambda name: name)
    options = local._memory_pool({})
    plugins.RMMSetup(
        options["rmm_pool_size"], None, False, False, None, None, False, options["rmm_allocator_external_lib_list"]
    ).setup()
    pool = called["rmm.reinitialize"]
    assert isinstance(pool, dict)
    assert (pool["pool_allocator"], pool["initial_pool_size"], pool["maximum_pool_size"]) == (True, int(40e9), None)
    assert called["cupy.cuda.set_allocator"] == ["rmm.allocators.cupy.rmm_cupy_allocator"]
    assert called["torch.cuda.memory.change_current_allocator"] == ["rmm.allocators.torch.rmm_torch_allocator"]


PRETEND = """
import sys
import numpy, numba  # before pynvml is pretended, whatever they look for
import pynvml
GIB = 2**30
class Memory:
    total, free, used = 80 * GIB, 79 * GIB, GIB
class Rates:
    gpu = memory = 0
def pretend(name, function):
    setattr(pynvml, name, function)
pretend("nvmlInit", lambda *a: None)
pretend("nvmlShutdown", lambda: None)
pretend("nvmlDeviceGetCount", lambda: 2)
pretend("nvmlDeviceGetHandleByIndex", lambda i: int(i))
pretend("nvmlDeviceGetHandleByUUID", lambda u: int(str(u).rsplit("-", 1)[-1].strip("'")))
pretend("nvmlDeviceGetUUID", lambda h: f"GPU-00000000-0000-0000-0000-00000000000{h}")
pretend("nvmlDeviceGetIndex", lambda h: h)
pretend("nvmlDeviceGetName", lambda h: "pretended")
pretend("nvmlDeviceGetMemoryInfo", lambda h, *a: Memory())
pretend("nvmlDeviceGetUtilizationRates", lambda h: Rates())
pretend("nvmlDeviceGetCpuAffinity", lambda h, n: [2**64 - 1] * n)
pretend("nvmlDeviceGetMaxMigDeviceCount", lambda h: 0)
pretend("nvmlDeviceGetMigMode", lambda h: (0, 0))
pretend("nvmlSystemGetDriverVersion", lambda: "580.00")
"""
PROGRAM = """
import hrtem_dask as hd
from hrtem_dask.batch.cluster.cluster import connect

if __name__ == "__main__":
    with connect(hd.Cluster("cuda")) as client:
        print(type(client.cluster).__name__)
        workers = client.scheduler_info(n_workers=-1)["workers"]
        print(sorted(w["nthreads"] for w in workers.values()))
        print(sorted(client.run(lambda: __import__("os").environ["CUDA_VISIBLE_DEVICES"]).values()))
        print(client.scheduler.address.rpartition(":")[0], client.dashboard_link.rpartition(":")[0])
"""


@pytest.mark.slow
def test_two_pretended_gpus_get_a_worker_each(tmp_path: Path) -> None:
    """What dask-cuda asks the driver for is answered by a stand-in; no kernel runs."""
    pytest.importorskip("dask_cuda", reason="dask-cuda is not installed: pip install 'hrtem-dask[gpu]'")
    (tmp_path / "sitecustomize.py").write_text(PRETEND)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "DASK_CUDA_TEST_SINGLE_GPU": "1"}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    kind, threads, visible, addresses = done.stdout.splitlines()
    assert (kind, threads) == ("LocalCUDACluster", "[1, 1]")
    assert visible == "['0,1', '1,0']"
    assert addresses == "tcp://127.0.0.1 http://127.0.0.1"
