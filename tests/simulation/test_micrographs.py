"""Whole simulated micrographs: the truth agrees with the image, and both are reproducible."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from hrtem_dask.errors import SettingsError
from hrtem_dask.fourier import find_reflections
from hrtem_dask.simulation import (
    TRUTH_MICROGRAPHS,
    TRUTH_PARTICLES,
    TRUTH_REGIONS,
    SimulatedMicrograph,
    SimulationRanges,
    simulate_micrograph,
)

SMALL = SimulationRanges(size_px=192, pixel_size_nm=(0.03, 0.04), median_diameter_nm=(2.0, 2.5), empty_fraction=0.0)


@pytest.fixture(scope="module")
def several() -> list[SimulatedMicrograph]:
    return [simulate_micrograph(SMALL, seed=4, index=i) for i in range(6)]


def test_seed_and_index_alone_decide(several: list[SimulatedMicrograph]) -> None:
    again = simulate_micrograph(SMALL, seed=4, index=3)
    np.testing.assert_array_equal(again.image, several[3].image)
    np.testing.assert_array_equal(again.labels, several[3].labels)
    pd.testing.assert_frame_equal(again.particles, several[3].particles)
    assert not np.array_equal(simulate_micrograph(SMALL, seed=5, index=3).image, several[3].image)


def test_tables_have_their_schema_and_agree_with_the_labels(several: list[SimulatedMicrograph]) -> None:
    for one in several:
        tables = ((one.micrograph, TRUTH_MICROGRAPHS), (one.particles, TRUTH_PARTICLES), (one.regions, TRUTH_REGIONS))
        for table, schema in tables:
            assert list(table.columns) == [c.name for c in schema]
        assert one.image.dtype == np.uint16
        assert set(np.unique(one.labels)) - {0} == set(one.particles["particle_id"])
        assert (one.labels > 0).mean() == pytest.approx(one.micrograph["coverage"].iloc[0])
        areas = pd.Series(one.region_labels.ravel()).value_counts()
        for region in one.regions.itertuples():
            assert areas[region.region_id] == region.area_px
            members = one.particles[one.particles["region_id"] == region.region_id]
            assert len(members) == region.n_particles
            assert (len(members) > 1) == (not pd.isna(region.region_class) and region.region_class == "agglomeration")


def test_particles_alone_cover_what_their_row_says(several: list[SimulatedMicrograph]) -> None:
    for one in several:
        alone = one.particles[~one.particles["is_agglomerated"].astype(bool)]
        for row in alone.itertuples():
            inside = one.labels == row.particle_id
            assert inside.sum() == row.area_px
            edge = inside[0].any() | inside[-1].any() | inside[:, 0].any() | inside[:, -1].any()
            assert edge == row.touches_edge


def test_an_empty_field_is_a_row_too() -> None:
    one = simulate_micrograph(dataclasses.replace(SMALL, empty_fraction=1.0), seed=0, index=0)
    assert one.micrograph["n_particles"].tolist() == [0]
    assert one.micrograph["material"].isna().all()
    assert not one.labels.any()
    assert len(one.particles) == len(one.regions) == 0
    assert one.image.std() > 0


def test_gold_on_zone_shows_the_lattice_of_gold() -> None:
    """The strongest spacings in the image are those of {111} and {200}: pixel size, crystal and optics agree."""
    ranges = SimulationRanges(
        size_px=640, pixel_size_nm=(0.03, 0.03), materials={"Au": 1}, shapes={"sphere": 1}, empty_fraction=0,
        median_diameter_nm=(4.5, 4.5), diameter_spread=0.0, misoriented_fraction=0, between_fraction=0,
        fault_fraction=0, carbon_thickness_nm=(1.0, 1.5), edge_fraction=0, defocus_nm=(40, 50),
        overfocus_fraction=0, dose_per_nm2=(4e5, 6e5),
        drift_nm=(0, 0), coverage=(0.2, 0.2), astigmatism_nm=(0, 0), coma_nm=(0, 0), aperture_per_nm=(9, 9),
    )  # fmt: skip
    found = []
    for index in range(4):
        one = simulate_micrograph(ranges, seed=11, index=index)
        for row in one.particles[~one.particles["touches_edge"].astype(bool)].itertuples():
            box = ndimage.find_objects((one.labels == row.particle_id).astype(int))[0]
            reflections = find_reflections(
                one.image[box].astype(float), pixel_size_nm=(0.03, 0.03), spacing_range_nm=(0.15, 0.3), min_peak_snr=20
            )
            found += [r.spacing_nm for r in reflections[:1]]
    off = [min(abs(spacing / known - 1) for known in (0.23546, 0.20391)) for spacing in found]
    assert len(found) >= 5
    assert np.median(off) < 0.01  # a fault would split and shift reflections


def test_particles_of_heavy_atoms_are_darker_than_their_support() -> None:
    ranges = dataclasses.replace(
        SMALL, materials={"Au": 1}, coverage=(0.2, 0.3), edge_fraction=0.0, gradient=(0, 0), n_spikes=(0, 0)
    )
    one = simulate_micrograph(ranges, seed=2, index=0)
    inside, outside = one.image[one.labels > 0], one.image[one.labels == 0]
    assert np.median(inside) < np.median(outside)


def test_ranges_are_written_and_read_back() -> None:
    assert SimulationRanges.from_toml(SMALL.to_toml()) == SMALL
    assert SMALL.hash() == SimulationRanges.from_toml(SMALL.to_toml()).hash() != SimulationRanges().hash()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dose = 3", "unknown setting dose"),
        ("defocus_nm = [3, 1]", "must be a pair from ≤ to"),
        ("pixel_size_nm = [0.02, 0.3]", "at most 0.1 nm"),
        ("materials = {Xx = 1}", "unknown name 'Xx' in materials: known are Au"),
        ("empty_fraction = 1.5", "from 0 to 1"),
        ("size_px = 8", "from 64 to 4096"),
    ],
)
def test_impossible_ranges_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        SimulationRanges.from_toml(text)
