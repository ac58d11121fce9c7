import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from distributed import Client, LocalCluster

from hrtem_dask.settings import Settings

PIXEL_SIZE_NM = 0.05


def disks(rng: np.random.Generator, n: int, shape: tuple[int, int] = (200, 240)) -> np.ndarray:
    """Dark disks of 3 nm on a noisy support, far from each other and from the border."""
    image = rng.normal(2000, 20, shape)
    y, x = np.indices(shape)
    places = [(50, 50), (50, 120), (50, 190), (140, 50), (140, 120), (140, 190)]
    for cy, cx in places[:n]:
        image[(y - cy) ** 2 + (x - cx) ** 2 <= 30**2] -= 800
    return image.astype(np.uint16)


def write_tiff(path: Path, image: np.ndarray, pixel_size_nm: float | None = PIXEL_SIZE_NM) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixel_size_nm is None:
        tifffile.imwrite(path, image)
    else:
        step = 1 / pixel_size_nm
        tifffile.imwrite(path, image, imagej=True, resolution=(step, step), metadata={"unit": "nm"})
    return path


@pytest.fixture(scope="session")
def make_disks() -> Callable[..., np.ndarray]:
    return disks


@pytest.fixture(scope="session")
def make_tiff() -> Callable[..., Path]:
    return write_tiff


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Three micrographs in two samples, of which two share a file name."""
    root = tmp_path / "in"
    write_tiff(root / "as made" / "a.tif", disks(rng, 3))
    write_tiff(root / "as made" / "b.tif", disks(rng, 6))
    write_tiff(root / "gealtert µ" / "a.tif", disks(rng, 2, (260, 240)))
    return root


@pytest.fixture
def settings() -> Settings:
    return Settings().updated(
        {"segmentation": {"method": "otsu"}, "execution": {"device": "cpu", "group_megapixels": 0.08}}
    )


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A cluster of threads: tasks are real, processes are not needed."""
    with (
        LocalCluster(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as connected,
    ):
        yield connected


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Messages of the package's loggers since the last call of this function, as lines."""

    def since_last() -> list[str]:
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("hrtem_dask")]
        caplog.clear()
        return lines

    with caplog.at_level(logging.INFO, logger="hrtem_dask"):
        yield since_last
