"""Scenes of nanorods: the truth is where the image shows the rods."""

import time

import cv2
import numpy as np
import pytest

from hrtem_dask.detection.rotated_boxes import angle_difference_deg
from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.scenes import ROD_CLASSES, RodRanges, simulate_rod_scene

CLEAR = RodRanges(
    size_px=384, imaging={"haadf": 1.0}, arrangements={"random": 1.0}, supports={"vacuum": 1.0},
    profiles={"prism": 1.0}, length_px=(60, 120), aspect=(3, 5), coverage=(0.02, 0.05), contrast_to_noise=(20, 30),
    neighbor_fraction=0.0, annotated_fraction=0.0, coarse_noise_fraction=0.0, dirt_fraction=0.0,
    contaminated_fraction=0.0, drift_px=(0, 0), gradient=(0, 0), vignette=(0, 0), end_on_fraction=0.0,
)  # fmt: skip


def test_same_seed_same_scene_another_seed_another() -> None:
    ranges = RodRanges(size_px=128)
    first, again, other = (simulate_rod_scene(ranges, seed=s, index=4) for s in (1, 1, 2))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.instances.rotated_boxes, again.instances.rotated_boxes)
    assert not np.array_equal(first.image, other.image)


def test_boxes_are_where_the_image_shows_the_rods() -> None:
    """A threshold finds separate bright rods in a clear image; the rectangles around them are the true boxes."""
    errors = []
    for index in range(12):
        scene = simulate_rod_scene(CLEAR, seed=7, index=index)
        image = cv2.GaussianBlur(scene.image.astype(np.float32), (0, 0), 1.0)
        bright = image > (np.quantile(image, 0.05) + np.quantile(image, 0.995)) / 2.5
        _, labels = cv2.connectedComponents(bright.astype(np.uint8))
        for box, mask, cut in zip(
            scene.instances.rotated_boxes, scene.instances.masks or (), scene.is_cut, strict=True
        ):
            number = labels[round(box[1]), round(box[0])]
            alone = sum(m.crop[labels[m.window] == number].any() for m in scene.instances.masks or ()) == 1
            if cut or number == 0 or not alone:
                continue
            y, x = np.nonzero(labels == number)
            (cx, cy), sides, angle = cv2.minAreaRect(np.stack([x, y], axis=1).astype(np.float32))
            turn = angle_difference_deg(box[4], -angle, period_deg=90)
            errors.append([cx - box[0], cy - box[1], max(sides) + 1 - box[2], min(sides) + 1 - box[3], turn])
            assert mask.area_px == pytest.approx(box[2] * box[3], rel=0.1)
    assert len(errors) > 12
    middle = np.median(errors, axis=0)
    assert middle == pytest.approx(np.zeros(5), abs=1.5)
    assert np.median(np.abs(np.array(errors)[:, :2])) < 0.5
    assert np.median(np.abs(np.array(errors)[:, 4])) < 1.0


@pytest.mark.parametrize("imaging", ["haadf", "bright_field", "sem"])
def test_rods_are_bright_or_dark_as_the_kind_of_image_has_it(imaging: str) -> None:
    ranges = RodRanges(
        size_px=256, imaging={imaging: 1.0}, annotated_fraction=0.0, supports={"carbon": 1.0}, neighbor_fraction=0.0,
        gradient=(0, 0), contaminated_fraction=0.0, contrast_to_noise=(3, 8), end_on_fraction=0.0,
    )  # fmt: skip
    signs = []
    for index in range(12):
        scene = simulate_rod_scene(ranges, seed=3, index=index)
        on = scene.labels > 0
        if on.any() and not on.all():
            signs.append(np.sign(scene.image[on].mean() - scene.image[~on].mean()))
    assert len(signs) > 6
    assert set(signs) == {-1.0 if imaging == "bright_field" else 1.0}


def test_haadf_adds_where_rods_cross() -> None:
    ranges = RodRanges(
        size_px=384, imaging={"haadf": 1.0}, arrangements={"crossed": 1.0}, profiles={"flat": 1.0}, length_px=(80, 150),
        aspect=(4, 6), contrast_to_noise=(8, 8), neighbor_fraction=0.0, eight_bit_fraction=0.0,
        supports={"vacuum": 1.0}, annotated_fraction=0.0, end_on_fraction=0.0, coverage=(0.2, 0.3),
    )  # fmt: skip
    higher = []
    for index in range(6):
        scene = simulate_rod_scene(ranges, seed=11, index=index)
        count = np.zeros(scene.image.shape, int)
        for mask in scene.instances.masks or ():
            count[mask.window] += mask.crop
        if (count == 2).sum() > 200:
            higher.append(scene.image[count == 2].mean() / scene.image[count == 1].mean())
    assert len(higher) > 2
    assert min(higher) > 1.25


def test_in_sem_the_upper_rod_hides_the_lower_one() -> None:
    ranges = RodRanges(size_px=256, imaging={"sem": 1.0}, coverage=(0.3, 0.6), annotated_fraction=0.0)
    hidden = 0
    for index in range(5):
        scene = simulate_rod_scene(ranges, seed=2, index=index)
        count = np.zeros(scene.image.shape, int)
        for mask, box in zip(scene.instances.masks or (), scene.instances.rotated_boxes, strict=True):
            count[mask.window] += mask.crop
            hidden += mask.area_px < 0.6 * box[2] * box[3]
        assert count.max() <= 1
    assert hidden > 0


def test_instances_lie_in_the_image_and_what_hardly_shows_is_ignored() -> None:
    for index in range(15):
        scene = simulate_rod_scene(RodRanges(), seed=9, index=index)
        instances = scene.instances
        assert set(instances.class_names) <= set(ROD_CLASSES)
        # the box in a rod's own direction around the part in the image may reach beyond the border; its middle does not
        assert (np.abs(instances.rotated_boxes[:, :2] - 255.5) < 260).all()
        assert (instances.boxes[:, :2] >= -0.5).all()
        assert (instances.boxes[:, 2:] <= 511.5).all()
        whole = scene.full_sizes_px.prod(axis=1)
        for mask, ignored, area in zip(instances.masks or (), instances.ignored, whole, strict=True):
            assert mask.area_px >= 12
            assert not scene.annotation[mask.window][mask.crop].any()
            assert ignored or mask.area_px > 0.15 * area


def test_kinds_of_rods_that_the_ranges_ask_for() -> None:
    scenes = [simulate_rod_scene(RodRanges(), seed=1, index=i) for i in range(40)]
    lying = np.concatenate([s.full_sizes_px[s.instances.class_names == "rod"] for s in scenes])
    aspect = lying[:, 0] / lying[:, 1]
    assert lying[:, 0].min() >= 15
    assert lying[:, 0].max() <= 300
    assert (aspect >= 1).all()
    assert aspect.min() < 1.4
    assert aspect.max() > 8
    assert any((s.instances.class_names == "end_on_rod").any() for s in scenes)
    assert {s.conditions["imaging"] for s in scenes} == {"haadf", "bright_field", "sem"}


def test_fast_enough_to_train_on() -> None:
    began = time.process_time()
    for index in range(10):
        simulate_rod_scene(RodRanges(), seed=20, index=index)
    assert (time.process_time() - began) / 10 < 0.3  # 0.05 s on a quiet core


def test_impossible_ranges_are_refused() -> None:
    with pytest.raises(SettingsError, match="unknown name 'tem'"):
        RodRanges(imaging={"tem": 1.0})
    with pytest.raises(SettingsError, match="aspect must be at least 1"):
        RodRanges(aspect=(0.5, 3))
    with pytest.raises(SettingsError, match="blur_px must be positive"):
        RodRanges(blur_px=(0, 1))


def test_ranges_return_from_toml() -> None:
    ranges = RodRanges(size_px=256, imaging={"haadf": 1.0}, length_px=(20.0, 90.0))
    assert RodRanges.from_toml(ranges.to_toml()) == ranges
