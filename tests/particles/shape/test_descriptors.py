"""Descriptors against analytic truth, scikit-image, brute force and invariances."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import perimeter_crofton, regionprops_table
from skimage.morphology import convex_hull_image

from hrtem_dask import tables
from hrtem_dask.particles.components import connected_components
from hrtem_dask.particles.runs import find_runs
from hrtem_dask.particles.shape.descriptors import measure_particles
from hrtem_dask.particles.shape.hulls import convex_hulls, hull_pixels
from hrtem_dask.particles.shape.perimeters import FOUR_DIRECTIONS, convex_exits, crofton_perimeters, outline_exits

RATIOS = [
    "aspect_ratio", "circularity", "roundness", "compactness", "solidity", "convexity", "eccentricity", "extent",
]  # fmt: skip


def ellipse(shape, centre_nm, semi_axes_nm, angle, sizes=(1.0, 1.0)):
    y = np.arange(shape[0])[:, None] * sizes[0] - centre_nm[0]
    x = np.arange(shape[1]) * sizes[1] - centre_nm[1]
    u, v = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    return (u / semi_axes_nm[0]) ** 2 + (v / semi_axes_nm[1]) ** 2 <= 1


def blob_labels(seed, shape=(120, 150), sigma=4.0):
    return connected_components(ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma) > 0.02)


def measure(labels, *, pixel_size_nm=None, image=None, **keywords):
    image = np.zeros(labels.shape) if image is None else image
    return measure_particles(labels, image, pixel_size_nm=pixel_size_nm, **keywords)


@pytest.mark.parametrize("radius", [8, 15, 40, 120])
def test_disk(radius):
    rng = np.random.default_rng(radius)
    rows = []
    for _ in range(8):
        centre = radius + 3 + rng.uniform(0, 1, 2)
        rows.append(measure(ellipse((2 * radius + 8,) * 2, centre, (radius, radius), 0).astype(np.int32)))
    table = pd.concat(rows)
    np.testing.assert_allclose(table["equivalent_diameter_px"], 2 * radius, rtol=0.01)
    assert table["circularity"].max() <= 1.02
    np.testing.assert_allclose(table["circularity"], 1, atol=0.25 / radius + 0.008)
    np.testing.assert_allclose(table["perimeter_px"].mean(), 2 * np.pi * radius, rtol=0.02 / radius + 0.005)
    for feret in ("feret_max_px", "feret_min_px"):
        assert (table[feret] - 2 * radius).between(-0.6, 0.6).all()
        assert abs(table[feret].mean() - 2 * radius) < 0.3
    np.testing.assert_array_equal(table["solidity"], 1)
    np.testing.assert_allclose(table["convexity"], 1, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 5), (30, 12), (24, 7)])
def test_rectangle_is_exact(height, width):
    labels = np.zeros((40, 40), dtype=np.int32)
    labels[3 : 3 + height, 5 : 5 + width] = 1
    row = measure(labels, pixel_size_nm=(0.02, 0.03)).iloc[0]
    corrected = 0.3 if min(height, width) >= 12 else 1e-9  # ends of larger particles are corrected for the pixels
    assert row["feret_max_px"] == pytest.approx(np.hypot(height, width), abs=corrected)
    assert row["feret_max_nm"] == pytest.approx(np.hypot(0.02 * height, 0.03 * width), abs=0.025 * corrected)
    assert row["feret_min_px"] == pytest.approx(min(height, width))
    assert row["feret_min_nm"] == pytest.approx(min(0.02 * height, 0.03 * width))
    assert row["area_nm2"] == pytest.approx(height * width * 0.02 * 0.03)
    assert (row["centroid_y_px"], row["centroid_x_px"]) == (3 + (height - 1) / 2, 5 + (width - 1) / 2)
    assert row["centroid_y_nm"] == pytest.approx(row["centroid_y_px"] * 0.02)
    assert row["solidity"] == 1
    assert row["extent"] == pytest.approx(row["area_nm2"] / (row["feret_max_nm"] * row["feret_min_nm"]))  # ISO 9276-6
    true_height, true_width = 0.02 * height, 0.03 * width
    expected = np.sqrt(1 - (min(true_height, true_width) / max(true_height, true_width)) ** 2)
    assert row["eccentricity"] == pytest.approx(expected)
    assert list(row[["bbox_y0_px", "bbox_x0_px", "bbox_y1_px", "bbox_x1_px"]]) == [3, 5, 3 + height, 5 + width]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_equals_scikit_image(seed):
    labels = blob_labels(seed)
    image = np.random.default_rng(seed).integers(0, 65535, labels.shape).astype(np.uint16)
    table = measure(labels, image=image)
    names = ("label", "area", "centroid", "bbox", "equivalent_diameter_area", "mean_intensity")
    theirs = pd.DataFrame(regionprops_table(labels, image, properties=names))
    ours = table[
        ["particle_id", "area_px", "centroid_y_px", "centroid_x_px", "bbox_y0_px", "bbox_x0_px", "bbox_y1_px",
         "bbox_x1_px", "equivalent_diameter_px", "mean_intensity"]
    ]  # fmt: skip
    np.testing.assert_allclose(ours.to_numpy(float), theirs.to_numpy(float), rtol=1e-10)
    # scikit-image takes pixels as points; as squares they add 1/12 to each moment
    moments = regionprops_table(labels, properties=("inertia_tensor",))
    xx, yy = moments["inertia_tensor-1-1"] + 1 / 12, moments["inertia_tensor-0-0"] + 1 / 12
    spread = np.hypot(xx - yy, 2 * moments["inertia_tensor-0-1"])
    np.testing.assert_allclose(table["eccentricity"] ** 2, 2 * spread / (xx + yy + spread), atol=1e-9)


@given(seed=st.integers(0, 10**6), sigma=st.sampled_from([1.0, 3.0]))
@settings(max_examples=15, deadline=None)
def test_crofton_with_four_directions_equals_scikit_image(seed, sigma):
    labels = blob_labels(seed, shape=(60, 60), sigma=sigma)
    runs = find_runs(labels)
    ours = crofton_perimeters(outline_exits(runs, steps=FOUR_DIRECTIONS), scale=(1.0, 1.0), steps=FOUR_DIRECTIONS)
    theirs = [perimeter_crofton(labels == k, directions=4) for k in runs.ids]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@given(seed=st.integers(0, 10**6), sigma=st.sampled_from([1.0, 3.0, 6.0]))
@settings(max_examples=20, deadline=None)
def test_hull_and_calipers_equal_brute_force(seed, sigma):
    labels = blob_labels(seed, shape=(60, 70), sigma=sigma)
    table = measure(labels, pixel_size_nm=(0.5, 0.8))
    runs = find_runs(labels)
    counts = hull_pixels(runs, convex_hulls(runs))
    for i, row in table.iterrows():
        inside = labels == row["particle_id"]
        y, x = np.nonzero(inside)
        corners = np.concatenate([np.stack([y + a, x + b], axis=1) for a in (0, 1) for b in (0, 1)])
        true = corners * (0.5, 0.8)
        # the calipers of the corners, corrected by what pixels can hide; two ends of a nearly round one are averaged
        hidden = 0.5 * np.hypot(0.5, 0.8)
        assert pdist(true).max() - 2 * hidden - 1e-9 <= row["feret_max_nm"] <= pdist(true).max() + 2 * hidden
        hull = ConvexHull(true)
        widths = (true @ hull.equations[:, :2].T).max(axis=0) - (true @ hull.equations[:, :2].T).min(axis=0)
        assert widths.min() - 2 * hidden - 1e-9 <= row["feret_min_nm"] <= widths.min() + 2 * hidden
        assert row["feret_min_nm"] <= row["feret_max_nm"]
        if np.linalg.matrix_rank(np.stack([y - y[0], x - x[0]])) == 2:  # scikit-image refuses hulls without area
            assert counts[i] == convex_hull_image(inside, offset_coordinates=False).sum()


def test_hull_of_lines_and_points():
    labels = np.zeros((12, 12), dtype=np.int32)
    labels[0, 0] = 1
    labels[2, 2:8] = 2
    labels[np.arange(5, 10), np.arange(5, 10)] = 3
    runs = find_runs(labels)
    np.testing.assert_array_equal(hull_pixels(runs, convex_hulls(runs)), [1, 6, 5])


@given(seed=st.integers(0, 10**6), sigma=st.sampled_from([1.0, 2.0, 5.0]))
@settings(max_examples=20, deadline=None)
def test_shares_stay_within_bounds(seed, sigma):
    table = measure(blob_labels(seed, sigma=sigma), pixel_size_nm=(0.02, 0.03))
    for name in ("roundness", "compactness", "solidity", "eccentricity", "extent"):
        assert table[name].between(0, 1).all(), name
    # lines in the knight's directions pass between the pixels of a speck, which then seems shorter than its hull
    assert table.loc[table["area_px"] >= 100, "convexity"].between(0, 1.02).all()
    assert (table["aspect_ratio"] >= 1 - 1e-12).all()
    assert table["orientation_deg"].dropna().between(-90, 90).all()


def test_convexity_and_solidity_tell_a_dent():
    mask = ellipse((120, 120), (60, 60), (40, 40), 0)
    mask[55:65, 60:] = False
    row = measure(mask.astype(np.int32)).iloc[0]
    # a notch 40 deep takes 400 of 5027 pixels and lengthens the outline by nearly 80 on 251
    assert row["solidity"] == pytest.approx(1 - 395 / 5027, abs=0.01)
    assert row["convexity"] == pytest.approx(251 / 322, abs=0.03)


@pytest.mark.parametrize("angle", np.deg2rad([0, 17, 45, 80, 120, 160]))
def test_non_square_pixels_give_the_true_shape(angle):
    axes = (2.4, 1.5)
    square = ellipse((400, 400), (4, 4), axes, angle, (0.02, 0.02)).astype(np.int32)
    flat = ellipse((400, 267), (4, 4), axes, angle, (0.02, 0.03)).astype(np.int32)
    a = measure(square, pixel_size_nm=(0.02, 0.02)).iloc[0]
    b = measure(flat, pixel_size_nm=(0.02, 0.03)).iloc[0]
    assert b["area_nm2"] == pytest.approx(np.pi * axes[0] * axes[1], rel=1e-3)
    assert a["area_nm2"] == pytest.approx(b["area_nm2"], rel=1e-3)
    perimeter = 12.425  # Ramanujan's formula for semi-axes 2.4 and 1.5
    assert perimeter == pytest.approx(
        np.pi * (3 * sum(axes) - np.sqrt((3 * axes[0] + axes[1]) * (axes[0] + 3 * axes[1]))), abs=2e-2
    )
    for row in (a, b):
        assert row["equivalent_diameter_nm"] == pytest.approx(2 * np.sqrt(axes[0] * axes[1]), rel=1e-3)
        assert row["feret_max_nm"] == pytest.approx(2 * axes[0], rel=0.01)
        assert row["feret_min_nm"] == pytest.approx(2 * axes[1], rel=0.015)
        assert row["perimeter_nm"] == pytest.approx(perimeter, rel=0.012)
        assert row["eccentricity"] == pytest.approx(np.sqrt(1 - (1.5 / 2.4) ** 2), rel=2e-3)
        difference = (row["orientation_deg"] - np.rad2deg(angle) + 90) % 180 - 90
        assert abs(difference) < 0.5
        assert row["centroid_y_nm"] == pytest.approx(4, abs=0.005)
        assert row["centroid_x_nm"] == pytest.approx(4, abs=0.005)


def test_a_straight_edge_has_its_length_in_every_orientation():
    y, x = np.mgrid[-150:151, -150:151]
    for angle in np.linspace(0, np.pi / 2, 19):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        row = measure(((abs(u) <= 100) & (abs(v) <= 10)).astype(np.int32)).iloc[0]
        assert row["perimeter_px"] == pytest.approx(2 * (200 + 20), rel=0.02)


@given(
    seed=st.integers(0, 10**6),
    turn=st.sampled_from([lambda a: a[::-1], lambda a: a[:, ::-1], np.rot90, np.transpose]),
)
@settings(max_examples=20, deadline=None)
def test_sizes_and_shapes_are_invariant_to_quarter_turns(seed, turn):
    labels = blob_labels(seed)
    image = np.random.default_rng(seed).normal(size=labels.shape)
    columns = [*RATIOS, "area_px", "feret_max_px", "feret_min_px", "perimeter_px", "convex_perimeter_px",
               "mean_intensity", "contrast"]  # fmt: skip
    plain = measure(labels, image=image)[columns]
    turned = measure(np.ascontiguousarray(turn(labels)), image=np.ascontiguousarray(turn(image)))[columns]
    np.testing.assert_allclose(plain.to_numpy(float), turned.to_numpy(float), rtol=1e-9, atol=1e-9)


@given(seed=st.integers(0, 10**6), factor=st.floats(0.01, 100), height=st.floats(0.01, 1), width=st.floats(0.01, 1))
@settings(max_examples=20, deadline=None)
def test_scaling_the_pixel_scales_lengths_and_leaves_ratios(seed, factor, height, width):
    labels = blob_labels(seed, shape=(60, 60))
    a = measure(labels, pixel_size_nm=(height, width))
    b = measure(labels, pixel_size_nm=(factor * height, factor * width))
    for name in a:
        power = 2 if name == "area_nm2" else int(name.endswith("_nm"))
        expected = a[name].to_numpy(float) * factor**power
        if name == "orientation_deg":  # −90 and 90 are one direction
            gap = ((b[name].to_numpy(float) - expected + 90) % 180 - 90)[a["eccentricity"] > 0.01]
            np.testing.assert_allclose(gap, 0, atol=1e-3)
        else:
            np.testing.assert_allclose(b[name].to_numpy(float), expected, rtol=1e-6, err_msg=name)


def test_orientation_is_counter_clockwise_on_the_screen():
    labels = np.zeros((60, 60), dtype=np.int32)
    labels[50 - np.arange(40), 10 + np.arange(40)] = 1  # from the lower left to the upper right
    assert measure(labels).iloc[0]["orientation_deg"] == pytest.approx(45)
    assert np.isnan(measure(np.pad(np.ones((9, 9), dtype=np.int32), 3)).iloc[0]["orientation_deg"])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "int64", "float16", "float32", "float64"])
def test_intensity_and_contrast_of_a_planted_step(dtype):
    labels = np.zeros((80, 120), dtype=np.int32)
    labels[30:50, 20:40], labels[30:50, 50:70] = 1, 2
    image = np.where(np.indices(labels.shape).sum(axis=0) % 2, 90, 110).astype(dtype)
    image[labels == 1] = 60
    image[labels == 2] = 200  # bright, and within reach of the first ring: it must not enter it
    table = measure(labels, image=image, probability=(labels > 0) * 0.75)
    np.testing.assert_allclose(table["mean_intensity"], [60, 200])
    np.testing.assert_allclose(table["contrast"], [-4, 10], rtol=0.02)  # background 100 ± 10
    np.testing.assert_allclose(table["mean_probability"], 0.75)


def test_contrast_is_null_without_surroundings():
    table = measure(np.ones((20, 20), dtype=np.int32), image=np.ones((20, 20)))
    assert table["contrast"].isna().all()
    assert table["mean_probability"].isna().all()


def test_columns_are_the_schema_s_and_px_only_without_a_pixel_size(xp_array):
    labels = xp_array(blob_labels(3))
    table = measure(labels, image=xp_array(np.ones(labels.shape, dtype=np.float32)))
    assert set(table) <= {column.name for column in tables.PARTICLES}
    for name in table:
        assert table[name].isna().all() == (name.endswith(("_nm", "_nm2", "contrast", "probability"))), name
    empty = measure(np.zeros((5, 9), dtype=np.int32))
    assert list(empty) == list(table)
    assert empty.empty


def test_labels_need_not_be_consecutive_and_shapes_must_agree():
    labels = np.zeros((20, 30), dtype=np.int32)
    labels[2:5, 3:9], labels[10:15, 3:9] = 7, 4
    assert list(measure(labels)["particle_id"]) == [4, 7]
    with pytest.raises(ValueError, match="labels have shape"):
        measure(labels, image=np.zeros((30, 20)))


def test_convex_exits_are_those_of_a_convex_particle():
    runs = find_runs(ellipse((90, 90), (44.3, 45.1), (38, 20), 0.4).astype(np.int32))
    np.testing.assert_array_equal(convex_exits(runs), outline_exits(runs))


def test_small_particles_have_a_size_and_no_shape():
    y, x = np.mgrid[:60, :120]
    labels = ((y - 30) ** 2 + (x - 30) ** 2 <= 36).astype(np.int32)
    labels[(y - 30.3) ** 2 + (x - 80) ** 2 <= 16] = 2
    image = np.where(labels > 0, 5.0, 9.0) + x / 100
    whole = measure_particles(labels, image, pixel_size_nm=(0.1, 0.2))
    sized = measure_particles(labels, image, pixel_size_nm=(0.1, 0.2), min_shape_area_px=100)
    assert whole["area_px"].tolist() == np.bincount(labels.ravel())[1:].tolist()
    pd.testing.assert_series_equal(sized.loc[0], whole.loc[0])
    null = sized.columns[sized.loc[1].isna() & whole.loc[1].notna()]
    lengths = {"feret_max", "feret_min", "perimeter", "convex_perimeter"}
    ratios = {"aspect_ratio", "circularity", "roundness", "compactness", "solidity", "convexity", "eccentricity"}
    expected = {f"{name}_{unit}" for name in lengths for unit in ("px", "nm")} | ratios | {"extent", "orientation_deg"}
    assert set(null) == expected
    known = sized.columns.difference(null)
    pd.testing.assert_series_equal(sized.loc[1, known], whole.loc[1, known])
