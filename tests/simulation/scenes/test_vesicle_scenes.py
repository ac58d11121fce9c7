"""Scenes of vesicles: the three classes look as the paper describes them."""

import numpy as np
import pytest

from hrtem_dask.simulation.scenes import VESICLE_CLASSES, VesicleRanges, simulate_vesicle_scene

QUIET = VesicleRanges(
    size_px=384, annotated_fraction=0.0, supports={"vacuum": 1.0}, contaminated_fraction=0.0, dirt_fraction=0.0,
    interior_contrast=(0.05, 0.08), fresnel_px=(0.0, 0.1), electrons_per_px=(800, 3000), empty_fraction=0.0,
    coarse_noise_fraction=0.0, gradient=(0, 0), vignette=(0, 0), eight_bit_fraction=0.0,
)  # fmt: skip


def test_same_seed_same_scene_another_seed_another() -> None:
    first, again, other = (simulate_vesicle_scene(VesicleRanges(size_px=128), seed=s, index=4) for s in (1, 1, 2))
    assert np.array_equal(first.image, again.image)
    assert all(
        np.array_equal(a.crop, b.crop) for a, b in zip(first.instances.masks, again.instances.masks, strict=True)
    )
    assert not np.array_equal(first.image, other.image)


def test_large_ones_and_holes_are_lighter_small_ones_darker() -> None:
    contrasts: dict[str, list[float]] = {name: [] for name in VESICLE_CLASSES}
    for index in range(8):
        scene = simulate_vesicle_scene(QUIET, seed=4, index=index)
        background = np.median(scene.image[scene.labels == 0])
        count = np.zeros(scene.image.shape, int)
        for mask in scene.instances.masks or ():
            count[mask.window] += mask.crop
        for name, mask in zip(scene.instances.class_names, scene.instances.masks or (), strict=True):
            alone = mask.crop & (count[mask.window] == 1)
            if alone.sum() > 20:
                contrasts[name].append(float(np.median(scene.image[mask.window][alone]) / background - 1))
    middles = {name: np.median(values) for name, values in contrasts.items()}
    assert all(len(values) > 5 for values in contrasts.values())
    assert middles["large_vesicle"] > 0.01
    assert middles["hole"] > 0.05
    assert middles["small_vesicle"] < -0.03


def test_the_membrane_is_dark_at_the_outline() -> None:
    differences = []
    for index in range(6):
        scene = simulate_vesicle_scene(QUIET, seed=8, index=index)
        labels = scene.labels
        for name, mask, cut in zip(scene.instances.class_names, scene.instances.masks or (), scene.is_cut, strict=True):
            if name != "large_vesicle" or cut:
                continue
            y, x = np.nonzero(mask.crop)
            middle = np.array([y.mean(), x.mean()])
            away = np.hypot(y - middle[0], x - middle[1]) / np.sqrt(mask.area_px / np.pi)
            values = scene.image[mask.window][mask.crop].astype(float)
            alone = labels[mask.window][mask.crop] == labels[mask.window][mask.crop].min()
            rim, inner = (away > 0.9) & alone, (away < 0.6) & alone
            if rim.sum() > 50 and inner.sum() > 50:
                differences.append(values[rim].mean() / values[inner].mean() - 1)
    assert len(differences) > 10
    assert np.median(differences) < -0.02


def test_sizes_are_those_of_the_ranges_and_masks_fill_their_circles() -> None:
    ranges = VesicleRanges()
    for index in range(6):
        scene = simulate_vesicle_scene(ranges, seed=6, index=index)
        for name, limits in (("large_vesicle", ranges.large_diameter_px), ("hole", ranges.hole_diameter_px)):
            chosen = scene.instances.class_names == name
            diameters = scene.full_sizes_px[chosen, 0]
            assert (diameters > 0.9 * limits[0]).all()
            assert (diameters < 1.1 * limits[1] + 5).all()
        for mask, box, cut, ignored in zip(
            scene.instances.masks or (), scene.instances.rotated_boxes, scene.is_cut, scene.instances.ignored,
            strict=True,
        ):  # fmt: skip
            if not cut and not ignored and not scene.annotation[mask.window].any():
                assert mask.area_px == pytest.approx(np.pi / 4 * box[2] * box[3], rel=0.35)


def test_numbers_are_those_of_the_paper_for_a_field_of_1024_px() -> None:
    """About 30 large vesicles, 120 small ones and 30 holes are among what is drawn."""
    counts = []
    for index in range(6):
        names = simulate_vesicle_scene(VesicleRanges(size_px=1024), seed=3, index=index).instances.class_names
        counts.append([(names == name).sum() for name in VESICLE_CLASSES])
    low, high = np.min(counts, axis=0), np.max(counts, axis=0)
    assert (low <= [45, 150, 60]).all()
    assert (high >= [25, 100, 25]).all()
