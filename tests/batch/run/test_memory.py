"""Micrographs that are larger than the memory of a worker: their arrays are in files, and nothing else changes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hrtem_dask import open_results, run
from hrtem_dask.batch.run import memory
from hrtem_dask.batch.run.memory import Files
from hrtem_dask.disk_arrays import are_possible
from hrtem_dask.loading import MicrographRecord, Source
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import simulate_scene

pytestmark = pytest.mark.skipif(not are_possible(), reason="needs Linux with glibc")
GIB = 2**30


@pytest.fixture
def small_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A worker with too little memory for any micrograph, which lets pages go at each look."""
    folder = tmp_path / "local"
    folder.mkdir()
    monkeypatch.setattr(memory, "_of_this_worker", lambda: (2, folder))
    for name in ("LIBRARIES_BYTES", "NETWORK_BYTES", "WINDOW_BYTES"):
        monkeypatch.setattr(memory, name, 0)
    return folder


@pytest.mark.parametrize("method", ["otsu", "fourier", "unet"])
def test_labels_and_tables_are_those_of_a_worker_with_enough_memory(
    method: str, tmp_path: Path, settings: Settings, make_tiff: Callable[..., Path], request: pytest.FixtureRequest
) -> None:
    shape = (1300, 1500)
    scene = simulate_scene(seed=7, shape=shape, pixel_size_nm=0.05, n_particles=12)
    make_tiff(tmp_path / "in" / "large.tif", np.clip(scene.image, 0, 65535).astype(np.uint16), pixel_size_nm=0.05)
    chosen = settings.updated({"segmentation": {"method": method, "otsu_sigma_nm": 0.2}})
    run(tmp_path / "in", tmp_path / "memory", settings=chosen, cluster="threads")
    request.getfixturevalue("small_worker")
    run(tmp_path / "in", tmp_path / "files", settings=chosen, cluster="threads")
    found, expected = open_results(tmp_path / "files"), open_results(tmp_path / "memory")
    assert found.table("execution")["out_of_memory_steps"].tolist() == ["arrays in files"]
    assert expected.table("execution")["out_of_memory_steps"].isna().all()
    assert found.micrographs["n_particles"].sum() > 0
    for name in ("micrographs", "regions", "particles", "windows", "fault_traces"):
        tables = [(tmp_path / one / f"{name}.parquet").read_bytes() for one in ("files", "memory")]
        assert tables[0] == tables[1], name
    (name,) = found.micrographs["micrograph_id"]
    assert np.array_equal(found.labels(name), expected.labels(name))


def test_a_folder_without_space_is_a_reason(
    tmp_path: Path, settings: Settings, make_tiff: Callable[..., Path], small_worker: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    make_tiff(tmp_path / "in" / "large.tif", np.random.default_rng(0).integers(0, 900, (96, 96)).astype(np.uint16))
    monkeypatch.setattr(memory, "BYTES_PER_PIXEL", 2**50)
    assert run(tmp_path / "in", tmp_path / "out", settings=settings, cluster="threads").counts["failed"] == 1
    (reason,) = open_results(tmp_path / "out").micrographs["reason"]
    assert reason.startswith(f"the micrograph is larger than the memory of the worker, and {small_worker} has ")
    assert "GiB are needed for arrays in files: make space" in reason


@pytest.mark.parametrize(
    ("side", "limit", "changed", "expected"),
    [
        (16_384, 2 * GIB, {}, True),
        (16_384, 32 * GIB, {}, False),
        (2048, 2 * GIB, {}, False),
        (16_384, 0, {}, False),
        (16_384, GIB, {}, False),
        (16_384, GIB, {"segmentation": {"method": "otsu"}}, True),
        (16_384, 2 * GIB, {"execution": {"memory_plan": "warn"}}, False),
        (16_384, 4 * GIB, {"segmentation": {"method": "mask_rcnn"}}, False),
    ],
)
def test_arrays_are_in_files_where_memory_does_not_suffice(
    side: int, limit: int, changed: dict[str, dict[str, object]], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = MicrographRecord(
        micrograph_id="m", source=Source(url="/m.tif", relative="m.tif"), height_px=side, width_px=side
    )
    monkeypatch.setattr(memory, "_of_this_worker", lambda: (limit, Path("/tmp")))
    settings = Settings().updated({"execution": {"device": "cpu"}}).updated(changed)
    assert (Files.of(record, settings) is not None) == expected


def test_a_worker_that_cannot_use_files_tries_what_fits_into_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(url="/m.tif", relative="m.tif")
    record = MicrographRecord(micrograph_id="m", source=source, height_px=4096, width_px=4096)
    settings = Settings().updated({"execution": {"device": "cpu"}, "segmentation": {"method": "otsu"}})
    monkeypatch.setattr(memory, "are_possible", lambda: False)
    monkeypatch.setattr(memory, "_of_this_worker", lambda: (1400 * 2**20, Path("/tmp")))
    assert Files.of(record, settings) is None
    assert not memory.can_use_files("cpu")
    monkeypatch.setattr(memory, "_of_this_worker", lambda: (1000 * 2**20, Path("/tmp")))
    assert Files.of(record, settings) is not None, "its row says why it cannot be analyzed"


LARGE = """
import sys, time, threading
from pathlib import Path

import numpy as np
import psutil
import tifffile

from hrtem_dask import Cluster, run


def write(path, side):
    y, x = np.mgrid[:512, :512]
    image = np.empty((side, side), np.uint16)
    for n in range((side // 512) ** 2):
        rng = np.random.default_rng(n)
        tile = rng.normal(3000, 60, y.shape)
        for _ in range(4):
            cy, cx, r = rng.uniform(0, 512, 2).tolist() + [rng.uniform(20, 50)]
            tile -= 900 * np.sqrt(np.maximum(1 - ((y - cy) ** 2 + (x - cx) ** 2) / r**2, 0))
        top, left = 512 * (n // (side // 512)), 512 * (n % (side // 512))
        image[top : top + 512, left : left + 512] = tile
    tifffile.imwrite(path, image, imagej=True, resolution=(20, 20), metadata={"unit": "nm"})


def watch(peak):
    while True:
        for child in psutil.Process().children(recursive=True):
            try:
                if "forkserver" in " ".join(child.parent().cmdline()):
                    status = Path(f"/proc/{child.pid}/status").read_text()
                    peak[0] = max(peak[0], int(status.split("VmHWM:")[1].split()[0]) >> 10)
            except (psutil.Error, OSError, IndexError):
                pass
        time.sleep(0.2)


if __name__ == "__main__":
    folder, peak = Path(sys.argv[1]), [0]
    write(folder / "large.tif", int(sys.argv[2]))
    threading.Thread(target=watch, args=[peak], daemon=True).start()
    settings = {
        "segmentation": {"method": "otsu"}, "execution": {"device": "cpu"}, "defects": {"classify": False},
        "fourier": {"lattice": False}, "particles": {"opening_radius_px": 4},
    }
    worker = Cluster("local", workers=1, options={"memory_limit": sys.argv[3]})
    summary = run(folder / "large.tif", folder / "out", settings=settings, cluster=worker)
    print(summary.counts["done"], summary.n_particles, round(summary.seconds), peak[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("side", "limit", "largest_mib"), [(4096, "1GiB", 820), (16_384, "2GiB", 1640)])
def test_a_worker_of_2_gib_analyzes_16k_by_16k(side: int, limit: str, largest_mib: int, tmp_path: Path) -> None:
    script = tmp_path / "large.py"
    script.write_text(LARGE)
    command = [sys.executable, str(script), str(tmp_path), str(side), limit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-3000:]
    n_done, n_particles, seconds, peak = map(int, done.stdout.split())
    print(f"{side}²: {n_particles} particles, {seconds} s, {peak} MiB of {limit}")  # noqa: T201 - pytest -rP
    assert n_done == 1
    assert n_particles > (side // 512) ** 2
    assert peak < largest_mib, "80 % of the limit, at which Dask pauses a worker"
