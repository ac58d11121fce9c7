"""The stage as a whole: tables, the population rule, holes, crops and overlays."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask import backend, tables
from hrtem_dask.particles import crop_particle, draw_overlay, find_particles, measure_labels, particle_crops
from hrtem_dask.particles.counting import population_rule
from hrtem_dask.particles.outlines.overlay import OUTLINE_COLORS
from hrtem_dask.settings import ParticleSettings

PIXEL = (0.1, 0.1)


def disk(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


@pytest.fixture
def scene():
    """One particle alone, one at the edge, a touching pair, a speck: shape (200, 260), pixels of 0.1 nm."""
    shape = (200, 260)
    mask = disk(shape, (40, 40), 20) | disk(shape, (60, 255), 20)
    mask |= disk(shape, (140, 60), 22) | disk(shape, (140, 102), 22) | disk(shape, (150, 200), 4)
    image = np.random.default_rng(0).normal(100, 5, shape) - 30 * mask
    return mask, image


def test_scene_comes_out_as_planted(scene, xp_array):
    mask, image = scene
    found = find_particles(xp_array(mask), xp_array(image), pixel_size_nm=PIXEL, probability=xp_array(mask * 0.9))
    table = found.particles
    assert found.labels.dtype == np.int32
    assert list(table["particle_id"]) == [1, 2, 3, 4, 5] == sorted(np.unique(found.labels))[1:]
    reasons = table["exclusion_reason"].fillna("counted")
    assert list(reasons) == ["counted", "edge", "counted", "counted", "too_small"]
    assert list(table["counted"]) == [True, False, True, True, False]
    assert list(table["split_confidence"].notna()) == [False, False, True, True, False]
    np.testing.assert_allclose(table["equivalent_diameter_nm"][[0, 2, 3]].astype(float), [4, 4.4, 4.4], rtol=0.01)
    np.testing.assert_allclose(table["contrast"][[0, 2, 3]].astype(float), -6, atol=0.5)
    np.testing.assert_allclose(table["mean_probability"].astype(float), 0.9, rtol=0.02)
    assert (table["fault_state"] == "unknown").all()
    assert table["micrograph_id"].isna().all()
    regions = found.regions
    assert list(regions["n_particles"]) == [1, 1, 2, 1]
    assert list(regions["region_class"]) == ["unsure", "unsure", "agglomeration", "unsure"]
    assert list(regions["touches_edge"]) == [False, True, False, False]
    assert list(table["region_id"]) == [1, 2, 3, 3, 4]
    per_region = table.groupby("region_id")["area_px"].sum()
    np.testing.assert_array_equal(per_region, regions["area_px"])
    np.testing.assert_allclose(regions["area_nm2"].astype(float), regions["area_px"].astype(float) * 0.01)


@pytest.mark.parametrize("pixel_size_nm", [None, PIXEL])
def test_tables_have_the_schema_s_dtypes_full_and_empty(scene, pixel_size_nm):
    mask, image = scene
    full = find_particles(mask, image, pixel_size_nm=pixel_size_nm)
    empty = find_particles(np.zeros_like(mask), image, pixel_size_nm=pixel_size_nm)
    for name, schema in (("particles", tables.PARTICLES), ("regions", tables.REGIONS)):
        expected = tables.empty(schema).dtypes
        pd.testing.assert_series_equal(getattr(full, name).dtypes, expected)
        pd.testing.assert_series_equal(getattr(empty, name).dtypes, expected)
        assert len(getattr(empty, name)) == 0 < len(getattr(full, name))
    assert full.particles["area_nm2"].isna().all() == (pixel_size_nm is None)
    assert full.regions["area_nm2"].isna().all() == (pixel_size_nm is None)
    assert not empty.labels.any()


def test_defaults_are_those_of_the_settings(scene):
    mask, image = scene
    explicit = find_particles(mask, image, ParticleSettings(), pixel_size_nm=PIXEL)
    pd.testing.assert_frame_equal(explicit.particles, find_particles(mask, image, pixel_size_nm=PIXEL).particles)


def test_one_reason_in_order():
    columns = {
        "bbox_y0_px": np.array([0, 5, 5, 5, 5]),
        "bbox_x0_px": np.array([5, 5, 5, 5, 5]),
        "bbox_y1_px": np.array([9, 9, 9, 9, 9]),
        "bbox_x1_px": np.array([9, 9, 9, 9, 20]),
        "area_px": np.array([10, 10, 200, 200, 200]),
        "area_nm2": np.array([0.1, 0.1, 2.0, 9.0, 9.0]),
    }
    limits = ParticleSettings(min_area_px=100, min_area_nm2=0.5, max_region_area_nm2=5.0)
    judged = population_rule(columns, limits, shape=(20, 20))
    assert list(judged["exclusion_reason"]) == ["edge", "too_small", None, "agglomerate", "edge"]
    unlimited = population_rule({**columns, "area_nm2": np.full(5, np.nan)}, limits, shape=(20, 20))
    assert list(unlimited["counted"]) == [False, False, True, True, False]


def test_a_cut_particle_has_its_reason_before_its_size():
    box = {"bbox_y0_px": [0, 5, 5], "bbox_x0_px": [5] * 3, "bbox_y1_px": [9] * 3, "bbox_x1_px": [9] * 3}
    sizes = {"area_px": [10, 10, 200], "area_nm2": [0.1, 0.1, 2.0]}
    columns = {name: np.array(values) for name, values in {**box, **sizes}.items()}
    judged = population_rule(columns, ParticleSettings(), shape=(20, 20), at_mark=np.array([True, True, False]))
    assert list(judged["exclusion_reason"]) == ["edge", "mark", None]
    assert list(judged["touches_mark"]) == [True, True, False]


def burnt_in() -> tuple[np.ndarray, np.ndarray]:
    """Four disks; a bar lies over the second, ends beside the third, and covers most of a fifth, small one."""
    shape = (200, 400)
    mask = np.any([disk(shape, (100, x), 25) for x in (40, 130, 220, 340)], axis=0) | disk(shape, (100, 178), 8)
    marks = np.zeros(shape, dtype=bool)
    marks[96:104, 100:195] = True
    return mask, marks


def test_a_particle_at_a_burnt_in_mark_is_not_counted_and_has_none_of_its_pixels():
    mask, marks = burnt_in()
    image = np.zeros(mask.shape)
    found = find_particles(mask, image, pixel_size_nm=PIXEL, marks=marks)
    assert not found.labels[marks].any()
    table = found.particles.set_index("particle_id")
    ids = [found.labels[100, 40], found.labels[85, 130], found.labels[100, 220], found.labels[100, 340]]
    assert list(table.loc[ids, "touches_mark"]) == [False, True, True, False]
    assert list(table.loc[ids, "exclusion_reason"].fillna("counted")) == ["counted", "mark", "mark", "counted"]
    assert found.particles["area_px"].sum() == np.count_nonzero(found.labels)
    assert found.regions["area_px"].sum() == np.count_nonzero(found.labels)
    assert sorted(set(np.unique(found.labels)) - {0}) == list(table.index) == list(range(1, len(table) + 1))
    assert set(found.particles["region_id"]) == set(found.regions["region_id"])
    without = find_particles(mask, image, pixel_size_nm=PIXEL)
    assert not without.particles["touches_mark"].any()


def test_no_mark_changes_nothing(scene):
    mask, image = scene
    none = np.zeros(mask.shape, dtype=bool)
    marked = find_particles(mask, image, pixel_size_nm=PIXEL, marks=none)
    plain = find_particles(mask, image, pixel_size_nm=PIXEL)
    np.testing.assert_array_equal(marked.labels, plain.labels)
    pd.testing.assert_frame_equal(marked.particles, plain.particles)
    pd.testing.assert_frame_equal(marked.regions, plain.regions)


def test_labels_drawn_over_a_mark_stay_and_are_not_counted():
    mask, marks = burnt_in()
    labels = find_particles(mask, np.zeros(mask.shape), pixel_size_nm=PIXEL).labels
    again = measure_labels(labels, np.zeros(mask.shape), pixel_size_nm=PIXEL, marks=marks)
    np.testing.assert_array_equal(again.labels, labels)
    cut = again.particles.set_index("particle_id").loc[[labels[85, 130], labels[100, 40]], "touches_mark"]
    assert list(cut) == [True, False]


def test_an_agglomerate_that_cannot_be_split_is_not_counted():
    shape = (120, 160)
    mask = disk(shape, (60, 60), 30) | disk(shape, (60, 85), 30)  # too far one over the other
    image = np.zeros(shape)
    limited = find_particles(mask, image, ParticleSettings(max_region_area_nm2=40.0), pixel_size_nm=PIXEL)
    assert list(limited.particles["exclusion_reason"]) == ["agglomerate"]
    assert list(limited.regions["region_class"]) == ["agglomeration"]
    assert find_particles(mask, image, pixel_size_nm=PIXEL).particles["counted"].all()


def test_without_splitting_each_region_is_a_particle(scene):
    mask, image = scene
    whole = find_particles(mask, image, ParticleSettings(split_touching=False), pixel_size_nm=PIXEL)
    assert len(whole.particles) == len(whole.regions) == 4
    assert whole.particles["split_confidence"].isna().all()


def test_holes_of_a_particle_are_filled_gaps_in_a_cluster_are_not():
    shape = (220, 420)
    ring = disk(shape, (110, 100), 50) & ~disk(shape, (110, 110), 25)
    radius = 45
    centres = [(75, 300 - radius), (75, 300 + radius), (75 + radius * np.sqrt(3), 300)]
    cluster = np.any([disk(shape, c, radius + 1) for c in centres], axis=0)
    cluster &= ~disk(shape, centres[0], 12)  # one of the three has a hole of its own
    mask = ring | cluster
    found = find_particles(mask, np.zeros(shape), pixel_size_nm=(0.02, 0.02))
    assert len(found.particles) == 4
    assert found.labels[110, 110] == found.labels[110, 60] > 0
    assert found.labels[75, 300 - radius] > 0
    gap = int(75 + radius / np.sqrt(3))
    assert found.labels[gap, 300] == 0
    np.testing.assert_allclose(
        np.sort(found.particles["equivalent_diameter_px"].astype(float)), [91, 91, 91, 100], rtol=0.02
    )
    assert found.regions["area_px"].sum() == found.particles["area_px"].sum() == np.count_nonzero(found.labels)
    open_holes = find_particles(mask, np.zeros(shape), ParticleSettings(fill_holes=False), pixel_size_nm=(0.02, 0.02))
    assert open_holes.labels[110, 110] == 0


def test_shapes_must_agree(scene):
    mask, image = scene
    with pytest.raises(ValueError, match="the mask has shape"):
        find_particles(mask, image.T, pixel_size_nm=None)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1)])
@pytest.mark.parametrize("value", [False, True])
def test_masks_of_a_row_or_a_pixel(shape, value):
    rules = ParticleSettings(opening_radius_px=0)
    found = find_particles(np.full(shape, value), np.zeros(shape), rules, pixel_size_nm=PIXEL)
    assert len(found.particles) == int(value)


def test_crops_hold_their_particle(scene):
    mask, image = scene
    found = find_particles(mask, image, pixel_size_nm=PIXEL)
    crops = dict(particle_crops(image, found.particles, margin_px=5))
    assert list(crops) == [1, 2, 3, 4, 5]
    for particle_id, crop in crops.items():
        again, inside = crop_particle(image, found.labels, particle_id, margin_px=5)
        np.testing.assert_array_equal(crop, again)
        row = found.particles.set_index("particle_id").loc[particle_id]
        assert inside.sum() == row["area_px"]
        assert crop[inside].mean() == pytest.approx(row["mean_intensity"])
    height, width = crops[2].shape  # cut by the right border
    row = found.particles.iloc[1]
    assert (height, width) == (
        row["bbox_y1_px"] - row["bbox_y0_px"] + 10,
        row["bbox_x1_px"] - row["bbox_x0_px"] + 5,
    )
    with pytest.raises(KeyError, match="no particle 9"):
        crop_particle(image, found.labels, 9)


@pytest.mark.parametrize("max_side_px", [1024, 100])
def test_overlay_draws_each_outline_in_its_colour(scene, max_side_px, xp_array):
    mask, image = scene
    found = find_particles(mask, image, pixel_size_nm=PIXEL)
    picture = draw_overlay(
        xp_array(image), xp_array(found.labels), table=found.particles, pixel_size_nm=PIXEL, max_side_px=max_side_px
    )
    scale = min(1, max_side_px / 260)
    assert picture.dtype == np.uint8
    assert picture.shape == (round(200 * scale), round(260 * scale), 3)
    for colour, centre, radius in (("counted", (40, 40), 20), ("edge", (60, 255), 20), ("too_small", (150, 200), 4)):
        y, x = (round(v * scale) for v in (centre[0], centre[1] - radius))
        near = picture[y - 1 : y + 2, x - 2 : x + 3].reshape(-1, 3).astype(int)
        assert np.abs(near - OUTLINE_COLORS[colour]).sum(axis=1).min() < 120
    grey = picture[int(40 * scale), int(40 * scale)]
    assert grey[0] == grey[1] == grey[2]


def test_overlay_s_scale_bar_has_its_length():
    picture = draw_overlay(np.zeros((600, 600)), np.zeros((600, 600), dtype=np.int32), pixel_size_nm=(0.5, 0.5))
    white = (picture == 255).all(axis=2)
    assert white.sum(axis=1).max() == pytest.approx(50 / 0.5, abs=2)  # 50 nm is the longest that fits into a fifth


@pytest.mark.parametrize("image", [np.full((30, 40), np.nan), np.zeros((30, 40)), np.eye(30, 40, dtype=bool)])
def test_overlay_of_odd_images(image):
    assert draw_overlay(image, np.zeros((30, 40), dtype=np.int32), pixel_size_nm=(1, 2)).dtype == np.uint8


@pytest.mark.gpu_arrays
def test_gpu_mask_gives_the_same_tables(scene):
    mask, image = scene
    on_cpu = find_particles(mask, image, pixel_size_nm=PIXEL)
    on_gpu = find_particles(backend.to_device(mask, "cuda"), backend.to_device(image, "cuda"), pixel_size_nm=PIXEL)
    np.testing.assert_array_equal(on_gpu.labels, on_cpu.labels)
    pd.testing.assert_frame_equal(on_gpu.particles, on_cpu.particles)
    pd.testing.assert_frame_equal(on_gpu.regions, on_cpu.regions)


def test_gold_spheres_come_out_near_their_nominal_size(data):
    import cv2
    from skimage.filters import threshold_otsu

    image = cv2.imread(str(data / "gold_scalebar" / "images" / "AuNP20nm_004.jpg"), cv2.IMREAD_GRAYSCALE)
    smooth = cv2.GaussianBlur(image, (0, 0), 2)
    mask = smooth < threshold_otsu(smooth)
    mask[1960:] = False  # the scale bar burnt into the picture
    found = find_particles(mask, image, pixel_size_nm=(0.20367, 0.20367))
    counted = found.particles[found.particles["counted"]]
    assert counted["equivalent_diameter_nm"].median() == pytest.approx(20, rel=0.08)  # nominal 20 nm
    assert counted["contrast"].max() < -2  # gold is dark


def test_outlines_half_way_change_sizes_and_nothing_else():
    """Disks whose labels are 3 px too wide: with half-way outlines, their diameters are those of the disks."""
    y, x = np.mgrid[:160, :240].astype(float)
    distance = np.minimum(np.hypot(y - 80, x - 70), np.hypot(y - 80, x - 170))
    image = np.where(distance < 25, 60.0, 200.0) + np.random.default_rng(0).normal(0, 6, distance.shape)
    found = {
        outline: find_particles(distance < 28, image, ParticleSettings(outline=outline), pixel_size_nm=(0.1, 0.1))
        for outline in ("edge", "half")
    }
    assert found["edge"].particles["equivalent_diameter_nm"].to_list() == pytest.approx([5.6, 5.6], rel=0.01)
    assert found["half"].particles["equivalent_diameter_nm"].to_list() == pytest.approx([5.0, 5.0], rel=0.015)
    assert found["half"].particles["region_id"].to_list() == found["edge"].particles["region_id"].to_list()
    assert found["half"].regions["n_particles"].to_list() == [1, 1]


def test_particles_at_missing_pixels_reach_the_edge() -> None:
    y, x = np.mgrid[:200, :200]
    mask = np.zeros((200, 200), dtype=bool)
    for center_y, center_x in ((40, 40), (40, 140), (140, 40), (140, 140)):
        mask |= (y - center_y) ** 2 + (x - center_x) ** 2 <= 20**2
    outside = np.zeros((200, 200), dtype=bool)
    outside[:45] = True  # through the two upper disks
    found = find_particles(mask, np.where(mask, 80.0, 200.0), pixel_size_nm=(0.05, 0.05), outside=outside)
    assert found.particles["touches_edge"].tolist() == [True, True, False, False]
    assert found.particles["exclusion_reason"].tolist()[:2] == ["edge", "edge"]
    assert found.particles["counted"].tolist() == [False, False, True, True]
    assert found.regions["touches_edge"].tolist() == [True, True, False, False]
    assert not found.labels[outside].any()
