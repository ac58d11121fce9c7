"""Settings and pixel size decide on the regime, and a stated diameter sets the scale."""

import numpy as np
import pytest

from hrtem_dask.errors import CalibrationError, SettingsError
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.segmentation.scales.finder import ScaleFinder
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings


def test_the_pixel_size_decides_the_regime() -> None:
    def regime(pixel_size_nm: float | None, **options: object) -> bool:
        finder = ScaleFinder(SegmentationSettings(**options), is_calibrated=True)  # type: ignore[arg-type]
        return finder.is_contrast(None if pixel_size_nm is None else (pixel_size_nm, pixel_size_nm))

    assert [regime(size) for size in (0.02, 0.1, 0.11, 3.0, None)] == [False, False, True, True, True]
    assert regime(0.02, regime="contrast")
    assert not regime(3.0, regime="lattice")
    # a network that cannot predict the quality of its masks, such as a fine-tuned one, cannot choose either
    assert not ScaleFinder(SegmentationSettings(), is_calibrated=False).is_contrast(None)


def test_a_stated_diameter_sets_the_scale(rng: np.random.Generator) -> None:
    field = rng.uniform(size=(160, 160)).astype(np.float32)
    found = make_segmenter(SegmentationSettings(diameter_nm=40.0), ExecutionSettings(device="cpu"))(
        field, pixel_size_nm=(2.0, 2.0)
    )
    assert found.regime == "contrast"
    assert found.scale == pytest.approx(4.0)
    assert found.mask.shape == (160, 160)
    with pytest.raises(CalibrationError, match="needs a pixel size"):
        make_segmenter(SegmentationSettings(diameter_nm=40.0), ExecutionSettings(device="cpu"))(
            field, pixel_size_nm=None
        )


@pytest.mark.parametrize(
    "options",
    [{"regime": "both"}, {"diameter_nm": 0.0}, {"diameter_px": -1.0}, {"diameter_nm": 1.0, "diameter_px": 1.0}],
)
def test_impossible_settings_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        SegmentationSettings(**options)  # type: ignore[arg-type]
