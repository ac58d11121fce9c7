"""Groups of the images of a folder: by their names, or as a table states them."""

from pathlib import Path

import numpy as np
import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.training.labelled.image_groups import groups_of
from hrtem_dask.training.labelled.sources import list_labelled
from hrtem_dask.training.labelled.split import split_folds

NAMES = ("1", "2", "3", "4_patch1", "4_patch2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of five labeled images, two of them patches of one micrograph by their names."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        for name in NAMES:
            np.save(tmp_path / part / f"{name}.npy", np.eye(8, dtype=np.uint8))
    return tmp_path


def test_stated_groups_are_kept_together_in_every_split(folder: Path) -> None:
    (folder / "groups.csv").write_text("image,group\n1,first\n3.npy,first\n", encoding="utf-8-sig")
    listed = list_labelled([folder])
    groups = {one.micrograph_id: one.group for one in listed}
    assert groups["1"] == groups["3"]
    assert groups["4_patch1"] == groups["4_patch2"]
    assert len(set(groups.values())) == 3
    folds = [{one.micrograph_id for one in fold} for fold in split_folds(listed, 3)]
    assert sorted(map(sorted, folds)) == [["1", "3"], ["2"], ["4_patch1", "4_patch2"]]


def test_groups_of_two_folders_with_the_same_name_are_different(tmp_path: Path) -> None:
    groups = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "groups.csv").write_text("image,group\nx,1\n")
        groups += groups_of(tmp_path / name, [tmp_path / name / "x.png"])
    assert groups[0] != groups[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,image\n1,first\n", "need the columns image and group"),
        ("image,group\n1,a\n9,a\n", r"there is no image '9' \(1 of 2 rows\)"),
        ("image,group\n1,a\n1,b\n", "line 3: image '1', group 'b': each image needs one row"),
        ("image,group\n1,\n", "line 2: image '1', group ''"),
        ("image,group\n1\n", "line 2: image '1', group ''"),
    ],
)
def test_wrong_tables_are_refused(folder: Path, text: str, message: str) -> None:
    (folder / "groups.csv").write_text(text)
    with pytest.raises(SettingsError, match=message):
        list_labelled([folder])
