"""Encrypted clusters, with certificates that are made for the test."""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster
from distributed.security import Security

from hrtem_dask import Cluster
from hrtem_dask.batch.cluster.cluster import choose_cluster, connect
from hrtem_dask.batch.cluster.security import with_security
from hrtem_dask.batch.cluster.slurm import job_script
from hrtem_dask.errors import ClusterError, SettingsError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate that vouches for itself, for all three roles."""
    if shutil.which("openssl") is None:
        pytest.skip("no certificates: openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=120)
    roles = {f"tls_{role}_{part}": path for role in ("client", "scheduler", "worker")
             for part, path in (("cert", cert), ("key", key))}  # fmt: skip
    return {"tls_ca_file": cert, **roles}


def as_config(certificate: dict[str, str]) -> dict[str, Any]:
    prefix = "distributed.comm.tls."
    names = {"tls_ca_file": "ca-file"}
    names |= {name: name.removeprefix("tls_").replace("_", ".") for name in certificate if name != "tls_ca_file"}
    return {prefix + names[name]: path for name, path in certificate.items()}


def test_a_table_in_a_file_encrypts_the_cluster_of_this_machine(certificate: dict[str, str], tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    lines = [f'{name} = "{path}"' for name, path in certificate.items()]
    options = "[cluster.options]\nprocesses = false\n[cluster.options.security]\n" + "\n".join(lines)
    site.write_text(f'[cluster]\nscheduler = "local"\nworkers = 1\n{options}\n')
    with connect(str(site)) as client:
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        assert client.submit(abs, -3).result() == 3
        with pytest.raises((OSError, ssl.SSLError, TypeError)):
            Client(client.scheduler.address, timeout="5s", security=Security())


def test_a_running_encrypted_scheduler_is_reached_with_dasks_own_settings(certificate: dict[str, str]) -> None:
    security = Security(require_encryption=True, **certificate)
    options: dict[str, Any] = {"processes": False, "n_workers": 1, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(security=security, **options) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        with dask.config.set(as_config(certificate)), connect(address) as client:
            assert client.submit(abs, -2).result() == 2
        with pytest.raises(ClusterError, match="cannot reach the scheduler 'tls://"), connect(address):
            pass


def test_jobs_of_a_queue_get_the_certificates(certificate: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed: pip install 'hrtem-dask[cluster]'")
    options = {"security": certificate, "log_directory": str(tmp_path)}
    script = job_script(Cluster("slurm", options=options))
    assert f"--tls-ca-file {certificate['tls_ca_file']}" in script
    assert f"--tls-key {certificate['tls_worker_key']}" in script


@pytest.mark.parametrize(
    ("security", "message"), [({"tls_ca": "x"}, "takes no 'tls_ca'"), ({"tls_min_version": 3}, "cannot be used")]
)
def test_what_cannot_be_used_is_said(security: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        with_security({"security": security})


def test_nothing_is_encrypted_where_nothing_is_asked_for() -> None:
    assert with_security({"security": True}) == {"security": True}
    assert "security" not in choose_cluster(Cluster("local")).options
