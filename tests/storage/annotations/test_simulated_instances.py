"""Scenes that were written by `simulate` return with every box and mask."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hrtem_dask.batch.simulate import simulate
from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.contrast import ContrastRanges
from hrtem_dask.simulation.scenes import RodRanges, VesicleRanges, simulate_rod_scene, simulate_vesicle_scene
from hrtem_dask.simulation.scenes.truth import mask_of_runs, runs_of_mask
from hrtem_dask.storage.annotations import simulated_instances
from hrtem_dask.storage.exchange.coco import rasterize

RODS = RodRanges(size_px=128, length_px=(15, 60))
VESICLES = VesicleRanges(size_px=160)


@pytest.mark.parametrize(
    ("ranges", "make", "prefix"), [(RODS, simulate_rod_scene, "rod"), (VESICLES, simulate_vesicle_scene, "ves")]
)
def test_a_store_returns_its_scenes(tmp_path: Path, ranges: RodRanges, make: object, prefix: str) -> None:
    summary = simulate(tmp_path / "store", ranges=ranges, n=4, seed=3, cluster="threads")
    assert summary.failures == {}
    store = summary.store
    read = simulated_instances(store)
    assert [image.name for image in read] == [f"{prefix}-3-{i:06d}" for i in range(4)]
    assert sum(len(image.instances) for image in read) > 5
    for index, image in enumerate(read):
        scene = make(ranges, seed=3, index=index)  # type: ignore[operator]
        assert np.array_equal(store.image(image.name), scene.image)
        assert np.array_equal(store.labels(image.name), scene.labels)
        assert np.array_equal(store.annotation(image.name), scene.annotation)
        assert image.instances.rotated_boxes == pytest.approx(scene.instances.rotated_boxes)
        assert image.instances.boxes == pytest.approx(scene.instances.boxes)
        assert image.instances.ignored.tolist() == scene.instances.ignored.tolist()
        assert image.instances.class_names.tolist() == scene.instances.class_names.tolist()
        for before, after in zip(scene.instances.masks, image.instances.masks or (), strict=True):
            assert np.array_equal(before.crop, after.crop)
            assert before.window == after.window
    assert store.micrographs["n_particles"].tolist() == [len(image.instances) for image in read]


def test_stores_without_instances_are_refused(tmp_path: Path) -> None:
    store = simulate(tmp_path / "store", ranges=ContrastRanges(size_px=64), n=1, cluster="threads").store
    with pytest.raises(SettingsError, match="regime contrast, which has label images"):
        simulated_instances(store)


@given(mask=arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_runs_are_those_of_coco(mask: np.ndarray) -> None:
    shape = (mask.shape[0], mask.shape[1])
    runs = runs_of_mask(InstanceMask.from_image(mask), shape)
    assert np.array_equal(rasterize({"size": list(shape), "counts": runs}, shape), mask)
    again = np.zeros(shape, bool)
    mask_of_runs(runs, shape).paint(again)
    assert np.array_equal(again, mask)
