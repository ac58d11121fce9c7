"""Example micrographs: readable, reproducible, with the truth beside them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtem_dask import inspect_files
from hrtem_dask.batch.example import write_example


def test_images_and_masks_belong_together(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "a", n=2, seed=3, n_particles=3)
    table = inspect_files(folder / "images")
    assert table["status"].tolist() == ["ok", "ok"]
    np.testing.assert_allclose(table["pixel_size_y_nm"].astype(float), 0.04, rtol=1e-5)
    for index in range(2):
        image = cv2.imread(str(folder / "images" / f"example_{index}.tif"), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(folder / "masks" / f"example_{index}.png"), cv2.IMREAD_UNCHANGED)
        assert image.shape == mask.shape == (256, 256)
        n_labels, _ = cv2.connectedComponents(mask)
        assert n_labels - 1 == 3
        assert image[mask > 0].mean() < image[mask == 0].mean(), "particles are dark"


def test_the_seed_decides(tmp_path: Path) -> None:
    one, same, other = (write_example(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    contents = [(folder / "masks" / "example_0.png").read_bytes() for folder in (one, same, other)]
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize("n", [0, 3])
def test_the_number_of_micrographs(tmp_path: Path, n: int) -> None:
    assert len(list((write_example(tmp_path, n=n) / "images").iterdir())) == n
