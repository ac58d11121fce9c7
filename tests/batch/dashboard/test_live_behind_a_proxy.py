"""The addresses that a run prints, behind a real nginx that serves the dashboard below a prefix as JupyterHub does."""

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import dask
import pytest
from distributed import Client

from hrtem_dask import run
from hrtem_dask.settings import Settings

CONF = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{port};
    location ~ ^/user/maria/proxy/(\\d+)/(.*)$ {{
      proxy_pass http://127.0.0.1:$1/$2$is_args$args;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""
OWN_ADDRESSES = re.compile(r'(?:src|href)="((?!https?:|javascript:|data:|#)[^"]+\.(?:js|css)[^"]*)"')


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[str]:
    """Address of an nginx on loopback."""
    executable = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if executable is None:
        pytest.skip("no proxy: nginx is not installed (Debian: apt-get install nginx-light)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path / "nginx"
    folder.mkdir()
    (folder / "nginx.conf").write_text(CONF.format(folder=folder, port=port))
    server = subprocess.Popen(
        [executable, "-p", str(folder), "-c", str(folder / "nginx.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert server.poll() is None, (folder / "error.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(30)


def fetch(link: str) -> str:
    with urllib.request.urlopen(link, timeout=60) as answer:
        assert answer.status == 200
        return str(answer.read().decode(errors="replace"))


@pytest.fixture
def printed(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch,
    messages: Callable[[], list[str]],
) -> list[str]:  # fmt: skip
    """The two addresses that a run prints with the template of docs/clusters.md."""
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/maria/")
    with dask.config.set({"distributed.dashboard.link": "{JUPYTERHUB_SERVICE_PREFIX}proxy/{port}/status"}):
        run(folder, tmp_path / "out", settings=settings, cluster=client)
    said = dict(line.split(": ", 1) for line in messages() if ": " in line)
    return [said["dashboard"], said["population"]]


@pytest.mark.slow
def test_the_printed_addresses_lead_to_the_pages(nginx: str, printed: list[str]) -> None:
    for path, word in zip(printed, ("Status", "Population"), strict=True):
        assert re.fullmatch(rf"/user/maria/proxy/\d+/{word.lower()}", path)
        page = fetch(nginx + path)
        assert word in page
        own = OWN_ADDRESSES.findall(page)
        assert own
        for address in own:
            fetch(urljoin(nginx + path, address))


@pytest.mark.slow
def test_a_browser_sees_the_numbers_through_the_proxy(nginx: str, printed: list[str], browser: Any) -> None:
    browser.open(nginx + printed[1])
    browser.wait_for(f"({browser.text_script}).includes('3 of 3 micrographs')")
    assert browser.errors == []
