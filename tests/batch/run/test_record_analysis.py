"""What a file states decides how its micrograph is analyzed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hrtem_dask import loading
from hrtem_dask.batch.run.record_analysis import analyse_record, settings_of
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import simulate_scene


@pytest.mark.parametrize(
    ("imaging", "stated", "expected"),
    [
        ("dark field (HAADF)", "auto", "bright"),
        ("", "auto", "dark"),
        ("dark field (HAADF)", "dark", "dark"),
        ("", "bright", "bright"),
    ],
)
def test_a_dark_field_detector_makes_particles_bright_unless_the_user_states_them(
    tmp_path: Path, rng: np.random.Generator, settings: Settings, make_disks: Callable[..., np.ndarray],
    make_tiff: Callable[..., Path], imaging: str, stated: str, expected: str,
) -> None:  # fmt: skip
    image = 4000 - make_disks(rng, 4)
    record = loading.list_micrographs(loading.find_sources(make_tiff(tmp_path / "a.tif", image))[0])[0]
    chosen = settings.updated({"segmentation": {"particles_are": stated}, "particles": {"fill_holes": False}})
    analysed = analyse_record(replace(record, imaging=imaging), chosen)
    assert analysed.row["particles_are"] == expected
    assert analysed.row["settings_hash"] == chosen.science_hash()
    assert analysed.found is not None
    disk = analysed.found.labels[50, 50] > 0
    assert bool(disk) == (expected == "bright")
    assert settings_of(record, chosen).segmentation.particles_are in ("dark", "bright")


@pytest.mark.parametrize(("voltage_kv", "known"), [(None, True), (200.0, True), (80.0, False)])
def test_fault_states_at_a_voltage_without_training_are_unknown_and_the_row_says_why(
    tmp_path: Path, make_tiff: Callable[..., Path], voltage_kv: float | None, known: bool
) -> None:
    scene = simulate_scene(seed=(3, 1), shape=(256, 256), pixel_size_nm=0.04, n_particles=2, diameter_nm=(4, 5))
    record = loading.list_micrographs(loading.find_sources(make_tiff(tmp_path / "a.tif", scene.image))[0])[0]
    record = replace(record, pixel_size_nm=(0.04, 0.04), voltage_kv=voltage_kv)
    settings = Settings().updated({"segmentation": {"method": "otsu"}, "execution": {"device": "cpu"}})
    analysed = analyse_record(record, settings.updated({"quality": {"min_sharpness": 0.0}}))
    assert len(analysed.particle_rows)
    states, flags = set(analysed.particle_rows.texts("fault_state")), str(analysed.row["quality_flags"]).split(",")
    assert ("voltage" in flags) != known
    assert known or states == {"unknown"}
    coarse = analyse_record(replace(record, pixel_size_nm=(0.3, 0.3)), settings)
    assert "voltage" not in str(coarse.row["quality_flags"]), "without a lattice nothing is classified at any voltage"
