"""Jobs of SLURM: their scripts, and on a real SLURM of one node what happens to jobs that end too early."""

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas.testing as pdt
import pytest

from hrtem_dask import Cluster, open_results, run
from hrtem_dask.batch.cluster import slurm
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.cluster.slurm import job_script, n_jobs
from hrtem_dask.errors import ClusterError, SettingsError
from hrtem_dask.settings import Settings

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed: pip install 'hrtem-dask[cluster]'")

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CryptoType=crypto/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=3
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000
PartitionName=normal Nodes={host} Default=YES PriorityTier=1 State=UP
PartitionName=urgent Nodes={host} PriorityTier=10 State=UP
"""
N_MICROGRAPHS = int(os.environ.get("HRTEM_DASK_TEST_MICROGRAPHS", "60"))
"""For a longer test by hand: jobs are cancelled and preempted once per 60 micrographs."""
SHAPE = (800, 900) if N_MICROGRAPHS <= 60 else (400, 480)
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")


def free_ports(n: int) -> list[int]:
    probes = [socket.socket() for _ in range(n)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@dataclass
class Slurm:
    """A SLURM of one node with four processors and 8 GB, on this machine."""

    folder: Path

    def call(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def jobs(self, state: str = "RUNNING") -> list[str]:
        """Numbers of the jobs of a run, in a state."""
        return self.call("squeue", "--noheader", "--format=%A", f"--states={state}", "--name=hrtem-dask").split()

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 240) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"{what}: {self.call('squeue')}\n{self.logs()}"
            time.sleep(0.2)
        return found

    def logs(self, last: int = 3000) -> str:
        return "\n".join(path.read_text()[-last:] for path in self.folder.glob("*.log"))


@pytest.fixture(scope="module")
def real_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    missing = [name for name in PROGRAMS if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
    if missing:
        pytest.skip(f"no SLURM: {', '.join(missing)} not found (Debian: apt-get install slurm-wlm munge)")
    if os.geteuid() != 0:
        pytest.skip("slurmd needs root")
    folder, host = tmp_path_factory.mktemp("slurm"), socket.gethostname().split(".")[0]
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, user=getpass.getuser(), folder=folder, ports=free_ports(2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        patch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
        here = {name: folder / f"munge.{name}" for name in ("socket", "pid", "log", "seed")}
        options = [f"--{name}{'' if name == 'socket' else '-file'}={path}" for name, path in here.items()]
        subprocess.run(["munged", "--force", f"--key-file={key}", *options], check=True, timeout=60)
        daemons = [
            subprocess.Popen([name, "-D", "-f", str(conf), *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for name, more in (("slurmctld", []), ("slurmd", ["-N", host]))
        ]
        started = Slurm(folder)
        try:
            started.wait(lambda: "idle" in subprocess.run(["sinfo"], capture_output=True, text=True).stdout, "idle", 60)
            yield started
        finally:
            subprocess.run(["scancel", f"--user={getpass.getuser()}"], timeout=60, check=False)
            for daemon in reversed(daemons):
                daemon.terminate()
                daemon.wait(60)
            os.kill(int(here["pid"].read_text()), 15)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Two workers in two jobs of a single-node SLURM."""
    monkeypatch.setattr(slurm, "POLL_S", 1.0)
    options = {
        "cores": 1,
        "memory": "2GB",
        "walltime": "00:20:00",
        "interface": "lo",
        "scheduler_options": {"host": "127.0.0.1"},
        "log_directory": str(tmp_path / "jobs"),
        "job_script_prologue": [f"export PYTHONPATH={os.environ.get('PYTHONPATH', '')}", "export OMP_NUM_THREADS=1"],
    }
    return Cluster("slurm", workers=2, options=options)


def test_the_script_of_a_job_has_sensible_defaults_and_whatever_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    script = job_script(Cluster("slurm"))
    for line in ("#SBATCH -J hrtem-dask", "#SBATCH --cpus-per-task=8", "#SBATCH --mem=30G", "#SBATCH -t 02:00:00"):
        assert line in script.splitlines()
    for text in ("--nthreads 1", "--nworkers 8", "--memory-limit 3.73GiB", "--lifetime 6600s --lifetime-stagger 360s"):
        assert text in script
    given = {"queue": "gpu", "account": "em", "cores": 4, "walltime": "00:10:00", "job_extra_directives": ["--gres=x"]}
    script = job_script(Cluster("slurm", options=given | {"scheduler_options": {"port": 9000}}))
    for text in ("-p gpu", "-A em", "--cpus-per-task=4", "-t 00:10:00", "--gres=x", "--lifetime 480s"):
        assert text in script
    mine = {"worker_extra_args": ["--lifetime", "1h"]}
    assert job_script(Cluster("slurm", options=mine)).count("--lifetime") == 1
    with dask.config.set({"jobqueue.slurm.cores": 2, "jobqueue.slurm.memory": "5GB", "jobqueue.slurm.queue": "site"}):
        script = job_script(Cluster("slurm"))
        assert "--cpus-per-task=2" in script
        assert "--mem=5G" in script
        assert "-p site" in script


@pytest.mark.parametrize(("workers", "cores", "expected"), [(None, 8, 4), (16, 8, 2), (17, 8, 3), (3, 1, 3)])
def test_jobs_hold_the_workers(workers: int | None, cores: int, expected: int) -> None:
    assert n_jobs(Cluster("slurm", workers=workers, options={"cores": cores})) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [({"walltime": "soon"}, "walltime must be a time such as 02:00:00, got 'soon'"), ({"coers": 4}, "coers")],
)
def test_an_option_that_is_not_valid_is_named(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        job_script(Cluster("slurm", options={"log_directory": str(tmp_path), **options}))


def start_in_thread(
    inputs: Path, out: Path, settings: Settings, cluster: Cluster
) -> tuple[threading.Thread, list[Any]]:
    """Start a run; return its thread, and the list that gets its summary or its error."""
    ended: list[Any] = []

    def work() -> None:
        try:
            ended.append(run(inputs, out, settings=settings, cluster=cluster))
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, ended


@pytest.fixture
def slow_settings(settings: Settings) -> Settings:
    """One micrograph per task, so that jobs have something left to do when they are lost."""
    return settings.updated({"execution": {"group_megapixels": 0.01, "overlays": "none"}})


def attack(real_slurm: Slurm, n_committed: Callable[[], int], done: int) -> None:
    """Cancel a job, and preempt all by an urgent one, when so many micrographs are done."""
    patience_s = 1800.0
    real_slurm.wait(lambda: len(real_slurm.jobs()) == 2 and n_committed() >= done + 3, "two jobs work", patience_s)
    (cancelled, *_) = real_slurm.jobs()
    real_slurm.call("scancel", cancelled)
    real_slurm.wait(lambda: cancelled not in real_slurm.jobs() and len(real_slurm.jobs()) == 2, "it is replaced")
    real_slurm.wait(lambda: n_committed() >= done + 12, "the run goes on", patience_s)
    before = set(real_slurm.jobs())
    urgent = ["sbatch", "--parsable", "-p", "urgent", "-n", "3", "--wrap", "sleep 15", "--output=/dev/null"]
    real_slurm.call(*urgent)
    preempted = real_slurm.wait(lambda: set(real_slurm.jobs("PENDING")) & before, "one is preempted", 60)
    real_slurm.wait(lambda: not preempted - set(real_slurm.jobs()), "it runs again under its own number")
    print(f"cancelled {cancelled}, preempted {sorted(preempted)} with {n_committed()} done")  # noqa: T201 - pytest -rP


@pytest.mark.slow
def test_jobs_that_are_cancelled_preempted_or_too_large_lose_nothing(
    real_slurm: Slurm,
    jobs: Cluster,
    tmp_path: Path,
    slow_settings: Settings,
    make_disks: Callable[..., np.ndarray],
    make_tiff: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for i in range(N_MICROGRAPHS):
        make_tiff(tmp_path / "in" / f"m{i:03d}.tif", make_disks(np.random.default_rng(i), 1 + i % 6, SHAPE))
    eater = tmp_path / "site"
    eater.mkdir()
    (eater / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'spawn_main' in ' '.join(sys.orig_argv):\n"
        "    import pathlib, time\n"
        "    import hrtem_dask.loading.signals as signals\n"
        "    honest, mark = signals.read_image, pathlib.Path(__file__).with_name('eaten')\n"
        "    def read_image(record):\n"
        "        if 'm030' in record.micrograph_id and not mark.exists():\n"
        "            mark.touch()\n"
        "            eaten = [bytearray(b'x' * 200_000_000) for _ in range(9)]\n"
        "            time.sleep(30)  # SLURM looks every second\n"
        "        return honest(record)\n"
        "    signals.read_image = read_image\n"
    )
    prologue = [*jobs.options["job_script_prologue"], f"export PYTHONPATH={eater}:$PYTHONPATH"]  # type: ignore[misc]
    # SLURM is to kill the job, not the nanny its worker
    more = {"job_script_prologue": prologue, "memory": "1500MB", "worker_extra_args": ["--memory-limit", "0"]}
    cluster = Cluster("slurm", 2, options={**jobs.options, **more})
    out = tmp_path / "out"
    thread, ended = start_in_thread(tmp_path / "in", out, slow_settings, cluster)

    def n_committed() -> int:
        log = out / "log.jsonl"  # parts are merged while the run goes on
        return log.read_text().count('"micrograph_id"') if log.exists() else 0

    for done in range(0, N_MICROGRAPHS, 60):
        attack(real_slurm, n_committed, done)
    thread.join(400 + 4 * N_MICROGRAPHS)
    assert not thread.is_alive(), real_slurm.call("squeue")
    assert (eater / "eaten").exists()
    assert "exceeded memory limit" in real_slurm.logs(last=10_000_000), "one job was over its memory"
    (summary,) = ended
    assert not isinstance(summary, BaseException), summary
    assert summary.counts == {"done": N_MICROGRAPHS, "empty": 0, "set_aside": 0, "failed": 0}
    real_slurm.wait(lambda: not real_slurm.jobs("PENDING,RUNNING,COMPLETING"), "no job is left", 60)
    run(tmp_path / "in", tmp_path / "whole", settings=slow_settings, cluster="threads")
    found, whole = open_results(out), open_results(tmp_path / "whole")
    for name in ("micrographs", "regions", "particles"):
        pdt.assert_frame_equal(found.table(name), whole.table(name))


@pytest.mark.slow
def test_jobs_that_cannot_work_end_the_run_with_the_place_of_their_output(
    real_slurm: Slurm, jobs: Cluster, tmp_path: Path
) -> None:
    broken = Cluster("slurm", 2, options={**jobs.options, "job_script_prologue": ["echo no module here", "exit 1"]})
    with pytest.raises(ClusterError, match=r"jobs of SLURM have ended before a worker connected"), connect(broken) as c:
        list(slurm_stream(c))
    said = "".join(path.read_text() for path in (tmp_path / "jobs").glob("*.out"))
    assert "no module here" in said
    real_slurm.wait(lambda: not real_slurm.jobs("PENDING,RUNNING,COMPLETING"), "no job is left", 60)


@pytest.mark.slow
def test_what_slurm_refuses_is_said_in_one_line(real_slurm: Slurm, jobs: Cluster) -> None:
    cluster = Cluster("slurm", 2, options={**jobs.options, "queue": "no-such-queue"})
    with (
        pytest.raises(ClusterError, match=r"SLURM does not take the jobs \(sbatch: error: .*partition"),
        connect(cluster),
    ):
        pass


def slurm_stream(client: Any) -> Iterator[Any]:
    """A task, which needs a worker."""
    from hrtem_dask.batch.cluster.stream import stream

    return stream(client, abs, [-1])
