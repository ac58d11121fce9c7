"""Whole micrographs of the contrast regime: the truth is true, and decided by seed and index alone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.contrast import (
    CONTRAST_MICROGRAPHS,
    CONTRAST_PARTICLES,
    SHAPES,
    ContrastMicrograph,
    ContrastRanges,
    simulate_contrast_micrograph,
)
from hrtem_dask.simulation.contrast.arrangement import ARRANGEMENTS, arrange, clearance
from hrtem_dask.simulation.contrast.interiors import INTERIORS
from hrtem_dask.simulation.contrast.micrographs import _draw_plan
from hrtem_dask.simulation.contrast.supports import SUPPORTS

SMALL = ContrastRanges(size_px=128, median_diameter_px=(8, 50), empty_fraction=0.0, annotated_fraction=1.0)


@pytest.fixture(scope="module")
def several() -> list[ContrastMicrograph]:
    return [simulate_contrast_micrograph(SMALL, seed=3, index=i) for i in range(24)]


def test_seed_and_index_alone_decide(several: list[ContrastMicrograph]) -> None:
    for index in (2, 11):
        again = simulate_contrast_micrograph(SMALL, seed=3, index=index)
        np.testing.assert_array_equal(again.intensity, several[index].intensity)
        np.testing.assert_array_equal(again.labels, several[index].labels)
        np.testing.assert_array_equal(again.annotation, several[index].annotation)
        pd.testing.assert_frame_equal(again.particles, several[index].particles)
        assert again.conditions == several[index].conditions
    other = simulate_contrast_micrograph(SMALL, seed=4, index=2)
    assert not np.array_equal(other.intensity, several[2].intensity)


def test_arrays_and_tables_have_their_types(several: list[ContrastMicrograph]) -> None:
    kinds = {"str": "O", "int": "i", "float": "f", "bool": "b"}
    for one in several:
        assert (one.intensity.dtype, one.labels.dtype, one.annotation.dtype) == (np.float32, np.int32, np.bool_)
        assert one.intensity.shape == one.labels.shape == one.annotation.shape == (128, 128)
        assert np.isfinite(one.intensity).all()
        assert one.intensity.min() >= 0
        assert one.intensity.max() <= (255 if one.conditions["is_8_bit"] else 65535)
        np.testing.assert_array_equal(one.intensity, np.round(one.intensity))
        assert list(one.particles.columns) == [c.name for c in CONTRAST_PARTICLES]
        assert [one.particles[c.name].dtype.kind for c in CONTRAST_PARTICLES] == [
            kinds[c.kind] for c in CONTRAST_PARTICLES
        ]
        assert list(one.micrograph.columns) == [c.name for c in CONTRAST_MICROGRAPHS]
        assert set(one.conditions) <= {c.name for c in CONTRAST_MICROGRAPHS}
        assert one.conditions["regime"] == "contrast"


def test_labels_agree_with_the_table(several: list[ContrastMicrograph]) -> None:
    for one in several:
        table = one.particles.set_index("particle_id")
        assert one.labels.max() <= len(table)
        assert list(table.index) == list(range(1, len(table) + 1))
        areas = np.bincount(one.labels.ravel(), minlength=len(table) + 1)[1:]
        np.testing.assert_array_equal(areas, table["visible_area_px"])
        assert table["contrast_to_noise"].isna().equals(table["visible_area_px"] == 0)
        assert (table["area_px"] > 0).all()
        assert (table["major_axis_px"] >= table["minor_axis_px"]).all()
        assert not one.labels[one.annotation].any()
        assert one.conditions["annotations"]
        assert one.annotation.any()


def test_whole_uncovered_particles_have_their_area() -> None:
    ranges = ContrastRanges(size_px=192, arrangements={"isolated": 1.0}, empty_fraction=0, annotated_fraction=0)
    checked = 0
    for index in range(12):
        one = simulate_contrast_micrograph(ranges, seed=8, index=index)
        for row in one.particles[~one.particles["touches_edge"]].itertuples():
            ratio = row.major_axis_px / row.minor_axis_px
            perimeter = np.pi * row.equivalent_diameter_px * max(ratio, 1) ** 0.5
            assert abs(row.visible_area_px - row.area_px) < 0.5 * perimeter
            y, x = np.nonzero(one.labels == row.particle_id)
            assert y.mean() == pytest.approx(row.centroid_y_px, abs=0.3)
            assert x.mean() == pytest.approx(row.centroid_x_px, abs=0.3)
            checked += 1
    assert checked > 30


def test_empty_fields_have_no_labels_and_no_rows() -> None:
    ranges = ContrastRanges(size_px=128, empty_fraction=1.0)
    for index in range(6):
        one = simulate_contrast_micrograph(ranges, seed=1, index=index)
        assert not one.labels.any()
        assert len(one.particles) == one.conditions["n_particles"] == 0
        assert one.micrograph["shape"].isna().all()
        assert one.intensity.std() > 0


def test_particles_are_dark_in_bright_field_and_bright_when_turned_round() -> None:
    clear = {
        "size_px": 160, "empty_fraction": 0.0, "optical_depth": (0.8, 1.2), "supports": {"vacuum": 1.0},
        "contaminated_fraction": 0.0, "dirt_fraction": 0.0, "annotated_fraction": 0.0, "electrons_per_px": (400, 500),
        "shapes": {"sphere": 1.0}, "arrangements": {"isolated": 1.0}, "coverage": (0.1, 0.2), "vignette": (0.0, 0.0),
        "median_diameter_px": (20, 30), "interiors": {"plain": 1.0}, "gradient": (0.0, 0.0), "n_spikes": (0, 0),
    }  # fmt: skip
    for fraction, polarity, sign in ((0.0, "dark", -1), (1.0, "bright", 1)):
        for index in range(4):
            one = simulate_contrast_micrograph(ContrastRanges(bright_fraction=fraction, **clear), seed=2, index=index)
            assert one.conditions["polarity"] == polarity
            inside = one.labels > 0
            assert sign * (one.intensity[inside].mean() - one.intensity[~inside].mean()) > 0
            assert (sign * one.particles["contrast_to_noise"]).median() > 1


def test_clusters_touch_without_overlap_and_monolayers_are_dense() -> None:
    for index in range(4):
        rng = np.random.default_rng([5, index])
        ranges = ContrastRanges(
            size_px=256, arrangements={"agglomerates": 1.0}, shapes={"sphere": 1.0}, coverage=(0.2, 0.3),
            median_diameter_px=(15, 30),
        )  # fmt: skip
        placed = arrange(rng, _draw_plan(rng, ranges))
        gaps = [min(clearance(a, b) for b in placed if b is not a) for a in placed]
        assert np.median(gaps) < 3.1
    ranges = ContrastRanges(
        size_px=256, arrangements={"monolayer": 1.0}, shapes={"polygon": 1.0}, coverage=(0.84, 0.85),
        median_diameter_px=(30, 40), gap_px=(0.0, 1.0), annotated_fraction=0, empty_fraction=0,
    )  # fmt: skip
    covered = [simulate_contrast_micrograph(ranges, seed=1, index=i).conditions["coverage"] for i in range(3)]
    assert 0.7 < np.mean(covered) < 0.92


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_in_every_arrangement(shape: str, arrangement: str) -> None:
    ranges = ContrastRanges(
        size_px=96, shapes={shape: 1.0}, arrangements={arrangement: 1.0}, median_diameter_px=(9, 30), empty_fraction=0
    )
    one = simulate_contrast_micrograph(ranges, seed=1, index=0)
    assert np.isfinite(one.intensity).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    index=st.integers(0, 10_000),
    low=st.floats(8, 60),
    factor=st.floats(1, 5),
    support=st.sampled_from(sorted(SUPPORTS)),
    interior=st.sampled_from(sorted(INTERIORS)),
    arrangement=st.sampled_from(sorted(ARRANGEMENTS)),
)
def test_ranges_are_respected(
    index: int, low: float, factor: float, support: str, interior: str, arrangement: str
) -> None:
    high = min(low * factor, 300.0)
    ranges = ContrastRanges(
        size_px=96, diameter_limits_px=(low, high), median_diameter_px=(low, high), electrons_per_px=(10, 100),
        supports={support: 1}, interiors={interior: 1}, arrangements={arrangement: 1}, fresnel_px=(0.5, 1.5),
        pixel_size_nm=(0.2, 0.4), blur_px=(0.5, 0.6), max_particles=60,
    )  # fmt: skip
    one = simulate_contrast_micrograph(ranges, seed=0, index=index)
    diameters = one.particles["equivalent_diameter_px"]
    assert diameters.between(low * 0.999, high * 1.001).all()
    assert len(one.particles) <= 60
    assert one.conditions["support"] == support
    assert 0.2 <= one.pixel_size_nm <= 0.4
    assert 10 <= one.conditions["electrons_per_px"] <= 100
    assert 0.5 <= one.conditions["blur_px"] <= 0.6
    assert one.conditions["gradient"] <= 0.45
    assert one.conditions["imaging"] == "dark_field" or 0.5 <= one.conditions["fresnel_px"] <= 1.5
    if len(one.particles):
        assert one.conditions["interior"] == interior
        assert one.conditions["arrangement"] == arrangement
        assert one.particles["material_contrast"].between(0, 1).all()


def test_ranges_travel_through_toml() -> None:
    ranges = ContrastRanges(size_px=64, coverage=(0.1, 0.2), shapes={"rod": 2})
    assert ContrastRanges.from_toml(ranges.to_toml()) == ranges
    assert ContrastRanges.from_toml(ranges.to_toml()).hash() == ranges.hash() != ContrastRanges().hash()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blur_px = 1", "blur_px must be a pair"),
        ("blur_px = [0, 1]", "blur_px must be positive"),
        ("coverage = [0.1, 0.95]", "coverage must be at most 0.9"),
        ("size_px = 10", "size_px must be from 64"),
        ("dirt_fraction = 2", "dirt_fraction must be from 0 to 1"),
        ("gap_px = [3, 1]", "gap_px must be a pair"),
        ("jpeg_quality = [50, 101]", "jpeg_quality must be from 1 to 100"),
        ("colour = 1", "unknown setting colour"),
        ("[shapes]\nstarfish = 1", "unknown name 'starfish' in shapes"),
        ("[supports]\ncarbon = 0", "supports need weights"),
    ],
)
def test_impossible_ranges_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ContrastRanges.from_toml(text)
