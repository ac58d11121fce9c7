from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import SimulationRanges


def test_settings_survive_toml() -> None:
    changed = Settings().updated({"loading": {"pixel_size_nm": 0.02}, "quality": {"set_aside": ["blur", "drift"]}})
    assert Settings.from_toml(changed.to_toml()) == changed


@given(st.floats(0.001, 10), st.integers(0, 50), st.booleans())
def test_any_value_survives_toml(size: float, radius: int, split: bool) -> None:
    changed = Settings().updated(
        {"loading": {"pixel_size_nm": size}, "particles": {"opening_radius_px": radius, "split_touching": split}}
    )
    assert Settings.from_toml(changed.to_toml()) == changed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[segmenting]\nx = 1", "unknown setting segmenting: known are"),
        ("[particles]\nmin_area = 3", "unknown setting particles.min_area"),
        ('[segmentation]\nmethod = "watershed"', "must be one of otsu, fourier, unet"),
        ("[particles]\nmin_area_px = 2.5", "particles.min_area_px must be a whole number"),
        ("[particles]\nmin_area_px = true", "particles.min_area_px must be a whole number"),
        ('[loading]\npixel_size_nm = "0.02 nm"', "loading.pixel_size_nm must be one number"),
        ("[segmentation]\nannulus_per_nm = [1, 2, 3]", "annulus_per_nm must be"),
        ("[particles", "not valid TOML"),
        ("segmentation = 3", "segmentation must be a table, got 3"),
        ('[quality]\nset_aside = ["smeared"]', "must be one of blur, drift"),
        ("[particles]\nopening_radius_px = -3", "must be at least 0"),
        ("[execution]\ngroup_megapixels = nan", "must be at least 0"),
        ('[segmentation]\nmodel = "x.h5"\nmethod = "otsu"', "drop one of them"),
        ('[segmentation]\nmethod = "rotated_rcnn"\ndiameter_px = 20.0', "diameter_px are for the U-Net"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.from_toml(text)


def test_the_hash_sees_science_and_not_speed() -> None:
    plain = Settings()
    assert plain.updated({"execution": {"tile_px": 512}}).science_hash() == plain.science_hash()
    assert plain.updated({"particles": {"min_area_px": 99}}).science_hash() != plain.science_hash()


def test_the_pipelines_are_valid(pytestconfig: pytest.Config) -> None:
    recipes = sorted((pytestconfig.rootpath / "pipelines").glob("*.toml"))
    assert recipes
    for recipe in recipes:
        assert Settings.from_file(recipe) != Settings()


def test_the_simulations_ranges_are_valid(pytestconfig: pytest.Config) -> None:
    files = sorted((pytestconfig.rootpath / "pipelines" / "simulation").glob("*.toml"))
    assert files
    for file in files:
        assert SimulationRanges.from_file(file) != SimulationRanges()


def test_the_bundled_model_is_used_unless_another_is_named() -> None:
    plain = Settings().segmentation
    assert plain.chosen_method == "unet"
    assert Path(plain.model_file or "").is_file()
    assert Settings().updated({"segmentation": {"model": "x.h5"}}).segmentation.model_file == "x.h5"
    assert Settings().updated({"segmentation": {"method": "otsu"}}).segmentation.model_file is None
