"""The published files: the choice among several candidates, and the images that are read."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hrtem_dask.errors import NothingToAnalyseError, UnreadableMicrographError
from hrtem_dask.filtering.prepare import prepare
from hrtem_dask.reproduction.published_files import find_published


def write(path: Path, **datasets: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def images(n: int, size: int = 8) -> np.ndarray:
    return np.zeros((n, size, size, 1))


def maps(n: int, size: int = 8) -> np.ndarray:
    return np.zeros((n, size, size, 2))


def test_the_filtered_and_balanced_stack_is_preferred(tmp_path: Path) -> None:
    """All file names of the notebooks for CdSe, in one folder."""
    write(tmp_path / "CdSeRelabel512Images.h5", images=images(7))
    write(tmp_path / "CdSeRelabel512Maps.h5", maps=maps(7))
    write(tmp_path / "Bal_unFilt_CdSeRelabel512Images_20190724.h5", images=images(4))
    write(tmp_path / "Bal_MedFilt_CdSeRelabel512Images_20190726.h5", images=images(4))
    write(tmp_path / "Bal_unFilt_CdSeRelabel512Images_20190724_maps.h5", maps=maps(4))
    write(tmp_path / "deeper" / "Bal_MedFilt_AuCdSeDots_20190726_v2.h5", images=images(5))
    write(tmp_path / "deeper" / "Bal_MedFilt_AuCdSeDots_20190726_maps_v2.h5", maps=maps(5))
    write(tmp_path / "Bal_MedFilt_cutimages_20190726.h5", images=images(6))
    write(tmp_path / "Bal_unFilt_cutimages_20190423_maps.h5", maps=maps(6))
    found = find_published(tmp_path).stacks
    assert {name: (s.images.name, s.maps.name, s.n) for name, s in found.items()} == {
        "all": ("Bal_MedFilt_AuCdSeDots_20190726_v2.h5", "Bal_MedFilt_AuCdSeDots_20190726_maps_v2.h5", 5),
        "CdSe": (
            "Bal_MedFilt_CdSeRelabel512Images_20190726.h5", "Bal_unFilt_CdSeRelabel512Images_20190724_maps.h5", 4
        ),
        "Au": ("Bal_MedFilt_cutimages_20190726.h5", "Bal_unFilt_cutimages_20190423_maps.h5", 6),
    }  # fmt: skip


def test_maps_without_matching_images_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "CdSe_images.h5", images=images(4))
    write(tmp_path / "CdSe_maps.h5", maps=maps(5))
    write(tmp_path / "Au.h5", images=images(2), maps=maps(2))
    write(tmp_path / "sample7.h5", images=images(2), maps=maps(2))
    write(tmp_path / "CdSe_odd.h5", maps=np.zeros((4, 8, 8, 3)))
    found = find_published(tmp_path)
    assert list(found.stacks) == ["Au"]
    assert found.stacks["Au"].images == found.stacks["Au"].maps
    problems = " ".join(found.problems)
    for part in (
        "CdSe_images.h5 (4, 8, 8), CdSe_maps.h5 (5, 8, 8)",
        "sample7.h5: its name contains no material",
        "(4, 8, 8, 3)",
    ):
        assert part in problems
    assert len(found.missing()) == 4


def test_images_of_the_authors_are_used_unchanged_and_others_prepared(tmp_path: Path, rng: np.random.Generator) -> None:
    raw = rng.normal(3000, 200, (2, 40, 40))
    raw[0] = (raw[0] - raw[0].min()) / np.ptp(raw[0])  # the range of the images of the authors
    raw[0, 20, 20] = 0.999  # a second filter would replace this pixel as a spike
    raw[0] = raw[0] / raw[0].max()
    truth = rng.random((2, 40, 40)) < 0.5
    one_hot = 255 * np.stack([~truth, truth], axis=-1)
    write(tmp_path / "CdSe.h5", images=raw[..., None], maps=one_hot)
    write(tmp_path / "Au.h5", images=raw, maps=truth.astype(np.uint8))
    stacks = find_published(tmp_path).stacks
    for stack in stacks.values():
        first, mask = stack.read(0)
        np.testing.assert_array_equal(first, raw[0].astype(np.float32))
        np.testing.assert_array_equal(mask, truth[0])
        np.testing.assert_array_equal(stack.read(1)[0], prepare(raw[1].astype(np.float32))[0])
        with pytest.raises(UnreadableMicrographError, match="image 2"):
            stack.read(2)


def test_the_most_complete_set_of_classes_is_preferred(tmp_path: Path) -> None:
    for folder, n in (("old/yes", 9), ("old/no", 9), ("new/yes", 1), ("new/no_particle", 2), ("new/no_fringe", 1)):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(n):
            (tmp_path / folder / f"particle_{i:03d}.png").touch()
    (tmp_path / "new" / "notes.txt").touch()
    crops = find_published(tmp_path).crops
    assert {name: len(paths) for name, paths in crops.items()} == {
        "no_particle": 2,
        "misoriented": 1,
        "stacking_fault": 1,
    }
    assert all(path.parents[1].name == "new" for paths in crops.values() for path in paths)


def test_nothing_published(tmp_path: Path) -> None:
    with pytest.raises(NothingToAnalyseError, match="is not a folder"):
        find_published(tmp_path / "absent")
    with pytest.raises(NothingToAnalyseError, match="contains neither stacks"):
        find_published(tmp_path)
