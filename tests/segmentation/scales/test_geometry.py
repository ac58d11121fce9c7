"""Shapes at a scale, and the scale for a diameter."""

import pytest

from hrtem_dask.errors import CalibrationError
from hrtem_dask.segmentation.scales.geometry import scale_for_diameter, scaled_shape


def test_particles_of_any_diameter_are_shown_at_80_px_within_the_range_of_scales() -> None:
    assert scale_for_diameter(80) == 1
    assert scale_for_diameter(10) == pytest.approx(8)
    assert scale_for_diameter(1e9) == pytest.approx(1 / 8)
    with pytest.raises(ValueError, match="above 0 px"):
        scale_for_diameter(0)


def test_pixels_that_are_far_from_square_are_refused() -> None:
    assert scaled_shape((100, 100), 1.0, pixel_size_nm=(2.0, 0.5)) == (200, 50)
    with pytest.raises(CalibrationError, match="times as long as wide"):
        scaled_shape((100, 100), 1.0, pixel_size_nm=(3.0, 0.002))
