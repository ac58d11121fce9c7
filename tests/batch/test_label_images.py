"""Label images beside their micrographs."""

from pathlib import Path

import numpy as np
import pytest

from hrtem_dask.batch.inspection import inspect_files
from hrtem_dask.batch.label_images import without_label_images
from hrtem_dask.loading import Source


def judged(*names: str, url: str = "/data/") -> dict[str, str]:
    found = without_label_images([Source(url=url + name, relative=name) for name in names])
    return {source.relative: source.status for source in found}


@pytest.mark.parametrize("folder", ["masks", "Masks", "labels", "ground_truth", "gt"])
@pytest.mark.parametrize("url", ["/data/", "memory://data/", ""])
def test_a_label_image_is_set_aside(folder: str, url: str) -> None:
    names = "images/a.tif", f"{folder}/a.png"
    assert judged(*names, url=url) == {names[0]: "ok", names[1]: "set_aside"}


@pytest.mark.parametrize(
    "names",
    [
        ("masks/a.png", "masks/b.png"),  # the folder alone tells nothing
        ("images/a.png", "masks/b.png"),
        ("day1/images/a.png", "day2/masks/a.png"),
        ("labels/a.png", "masks/a.png"),
        ("images/a.png", "unmasked/a.png"),
        ("masks/day1/a.png", "masks/day2/a.png"),
        ("day1/a.png", "day2/a.png"),
    ],
)
def test_what_may_be_a_micrograph_stays(names: tuple[str, ...]) -> None:
    assert set(judged(*names).values()) == {"ok"}


def test_members_of_an_archive() -> None:
    names = "set/images/a.png", "set/masks/a.png"
    sources = [Source(url="/data/set.zip", member=name, relative=f"set.zip::{name}") for name in names]
    found = without_label_images(sources)
    assert [source.status for source in found] == ["ok", "set_aside"]
    assert (
        found[1].reason
        == "by the name of its folder (masks) the label image of set.zip::set/images/a.png, not a micrograph"
    )


def test_inspect_and_real_folders(tmp_path: Path, data: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", np.random.default_rng(0).integers(0, 99, (64, 64), np.uint8))
    table = inspect_files(tmp_path, pixel_size_nm=0.1, settings={"segmentation": {"method": "otsu"}})
    assert list(table["status"]) == ["ok", "set_aside"]
    assert "label image of images/a.npy" in table["reason"][1]
    for folder in ("dislocation_loops", "dtsegnet", "tem_sintering", "emps_tem"):
        table = inspect_files(data / folder, pixel_size_nm=0.1, headers_only=True)
        labels = table["reason"].str.contains("label image of images/")
        assert int(labels.sum()) == len(table) / 2
        assert set(table["status"][~labels]) == {"ok"}
