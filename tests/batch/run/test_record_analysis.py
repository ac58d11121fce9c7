"""What a file states decides how its micrograph is analyzed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hrtem_dask import loading
from hrtem_dask.batch.run.record_analysis import analyse_record, settings_of
from hrtem_dask.settings import Settings


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
