"""A micrograph that takes too long is ended with its worker, once; the rest of its group is analyzed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from hrtem_dask import Cluster, open_results, run
from hrtem_dask.settings import Settings


@pytest.mark.slow
@pytest.mark.parametrize("how", ["time.sleep(3600)", "ctypes.PyDLL(None).sleep(3600)"], ids=["waits", "holds the lock"])
def test_a_micrograph_that_hangs_fails_with_the_reason_and_the_rest_goes_on(
    how: str,
    tmp_path: Path,
    settings: Settings,
    make_disks: Callable[..., np.ndarray],
    make_tiff: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for i in range(6):
        make_tiff(tmp_path / "in" / f"m{i}.tif", make_disks(np.random.default_rng(i), 2))
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "if any(name in ' '.join(sys.orig_argv) for name in ('spawn_main', 'forkserver')):\n"
        "    import ctypes, pathlib, time\n"
        "    import hrtem_dask.loading.signals as signals\n"
        "    honest = signals.read_image\n"
        "    def read_image(record):\n"
        "        if 'm2' in record.micrograph_id:\n"
        "            with open(pathlib.Path(__file__).with_name('tries'), 'a') as file: file.write('x')\n"
        f"            {how}\n"
        "        return honest(record)\n"
        "    signals.read_image = read_image\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{site}:{__import__('os').environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr("hrtem_dask.batch.run.time_limit.GRACE_S", 5.0)
    limited = settings.updated({"execution": {"group_megapixels": 1.0, "timeout_per_file_s": 15.0}})
    out = tmp_path / "out"
    summary = run(tmp_path / "in", out, settings=limited, cluster=Cluster(workers=1))
    assert summary.counts == {"done": 5, "empty": 0, "set_aside": 0, "failed": 1}
    rows = open_results(out).micrographs.set_index("source")
    (reason,) = rows.loc[rows["status"] == "failed", "reason"]
    tries = (site / "tries").read_text()
    if "ctypes" in how:
        assert "its worker died" in reason
    else:
        assert "longer than 15 s, the limit of time for one micrograph" in reason
        assert tries == "x", "it is not tried again"
    assert not list((out / "parts").glob("*.overtime.json"))
    n_tries = len(tries)
    kept = run(tmp_path / "in", out, settings=limited, cluster=Cluster(workers=1), retry_failed=False)
    assert (kept.n_skipped, kept.counts) == (6, summary.counts)
    assert len((site / "tries").read_text()) == n_tries


def test_workers_that_cannot_keep_the_limit_are_told_of(
    folder: Path, settings: Settings, tmp_path: Path, client: Client, messages: Callable[[], list[str]]
) -> None:
    limited = settings.updated({"execution": {"timeout_per_file_s": 600.0}})
    summary = run(folder, tmp_path / "out", settings=limited, cluster=client)
    assert summary.counts["done"] == 3
    assert any("limit of time per file is not kept by 1 of 1 workers" in line for line in messages())
