"""Masks of every kind a user may have, and which of them belongs to what."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from hrtem_dask.errors import HrtemDaskError, NothingToAnalyseError, SettingsError
from hrtem_dask.storage.ground_truth import open_truth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    return tmp_path


def mask(folder: Path, name: str, pixels: np.ndarray) -> tuple[np.ndarray, bool]:
    """Write a mask and read it back as truth."""
    path = folder / "masks" / name
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels)
    else:
        cv2.imwrite(str(path), pixels)
    return open_truth(folder).micrographs[name].read()


TWO = np.zeros((9, 12), np.uint8)
TWO[2:5, 1:4] = TWO[2:5, 7:11] = 1


@pytest.mark.parametrize("value", [1, 3, 255])
def test_a_mask_of_one_value_is_cut_into_pieces(folder: Path, value: int) -> None:
    labels, instances = mask(folder, "a.png", TWO * np.uint8(value))
    assert not instances
    np.testing.assert_array_equal(labels, np.where(np.indices(TWO.shape)[1] < 6, TWO, 2 * TWO))


def test_grey_edges_are_parted_in_their_middle(folder: Path) -> None:
    grey = TWO * np.uint8(255)
    grey[1, 1:4], grey[5, 1:4] = 130, 120
    labels, instances = mask(folder, "a.png", grey)
    assert not instances
    assert (labels[1, 1:4] == 1).all()
    assert (labels[5] == 0).all()


def test_a_mask_of_several_values_tells_particles_apart(folder: Path) -> None:
    touching = np.zeros((6, 8), np.uint16)
    touching[1:4, 1:4], touching[1:4, 4:7] = 7, 300
    labels, instances = mask(folder, "a.tif", touching)
    assert instances
    np.testing.assert_array_equal(labels, touching)


def test_an_empty_mask_is_an_empty_field(folder: Path) -> None:
    labels, _ = mask(folder, "a.png", TWO * np.uint8(0))
    assert not labels.any()


def test_a_mask_of_fractions_is_refused(folder: Path) -> None:
    with pytest.raises(HrtemDaskError, match="whole numbers"):
        mask(folder, "a.tif", np.full((4, 4), 0.5, np.float32))


def test_images_and_masks_pair_by_name(folder: Path) -> None:
    for name in ("a.tif", "b.tif", "c.tif"):
        (folder / "images" / name).touch()
    for name in ("b.png", "c.png", "d.png", ".hidden.png"):
        (folder / "masks" / name).touch()
    truth = open_truth(folder)
    assert list(truth.micrographs) == ["b.tif", "c.tif", "d.png"]
    assert [m.image is None for m in truth.micrographs.values()] == [False, False, True]
    assert truth.without_mask == ("a.tif",)
    assert [Path(p).name for p in truth.inputs] == ["b.tif", "c.tif"]
    only = open_truth(folder, only="[ab].*")
    assert (list(only.micrographs), only.without_mask) == (["b.tif"], ("a.tif",))
    rows = pd.DataFrame({"source": ["/x/c.tif", "/x/e.tif", "/y.zip::in/b.tif"]})
    found = truth.join(rows)
    assert [None if pd.isna(n) else n for n in found] == ["c.tif", None, "b.tif"]
    with pytest.raises(SettingsError, match=r"c\.tif is there twice"):
        truth.join(pd.DataFrame({"source": ["/x/c.tif", "/y/c.tif"]}))


def test_what_is_no_truth_is_said(folder: Path) -> None:
    with pytest.raises(NothingToAnalyseError, match="no micrograph with a truth"):
        open_truth(folder)
    with pytest.raises(NothingToAnalyseError, match="the folders images and masks"):
        open_truth(folder / "masks")
    for name in ("a.png", "a.tif"):
        (folder / "masks" / name).touch()
    with pytest.raises(NothingToAnalyseError, match=r"a\.png and a\.tif"):
        open_truth(folder)


def test_unknown_pixels_are_said_to_count(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    mask(folder, "a.png", TWO)
    assert "unknown" not in caplog.text
    (folder / "unknown").mkdir()
    open_truth(folder)
    assert "every pixel counts in the scores" in caplog.text
