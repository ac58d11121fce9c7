"""Settings can be given as an object, a dictionary, a file, and by name."""

from pathlib import Path

import pytest

from hrtem_dask.chosen_settings import SHORTCUTS, choose_settings
from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings

OTSU = Settings().updated({"segmentation": {"method": "otsu"}, "particles": {"min_area_px": 50}})


def test_every_form_gives_the_same_settings(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(OTSU.to_toml(), encoding="utf-8")
    tables = {"segmentation": {"method": "otsu"}, "particles": {"min_area_px": 50}}
    assert (
        choose_settings(OTSU) == choose_settings(tables) == choose_settings(file) == choose_settings(str(file)) == OTSU
    )
    assert choose_settings(None) == Settings()


def test_a_setting_by_name_replaces_that_of_the_settings() -> None:
    chosen = choose_settings(OTSU, method="fourier", material="Au", pixel_size_nm=0.02)
    assert (chosen.segmentation.method, chosen.fourier.material, chosen.loading.pixel_size_nm) == (
        "fourier",
        "Au",
        0.02,
    )
    assert chosen.particles.min_area_px == 50
    assert choose_settings(OTSU, **dict.fromkeys(SHORTCUTS)) == OTSU


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "a dictionary or the path of a TOML file, got int"),
        ({"segmentation": {"method": "watershed"}}, "must be one of otsu, fourier, unet"),
        ({"particles": {"min_area": 3}}, "unknown setting particles.min_area"),
        ("absent.toml", "absent.toml"),
    ],
)
def test_mistakes_are_named(given: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        choose_settings(given)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"loading\.pixel_size_nm must be one number"):
        choose_settings(pixel_size_nm="0.02 nm")
