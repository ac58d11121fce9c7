import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.errors import CalibrationError
from hrtem_dask.micrograph import make_micrograph, pixel_size_nm, require_pixel_size

sizes = st.floats(1e-4, 100, allow_subnormal=False)


@given(y=sizes, x=sizes)
def test_coordinates_are_in_nm(y: float, x: float) -> None:
    image = make_micrograph(np.zeros((3, 5)), pixel_size_nm=(y, x))
    assert float(image.y[2]) == pytest.approx(2 * y)
    assert float(image.x[4]) == pytest.approx(4 * x)
    assert {image.y.attrs["units"], image.x.attrs["units"]} == {"nm"}
    assert require_pixel_size(image) == (y, x)


def test_no_pixel_size_is_never_one() -> None:
    image = make_micrograph(np.zeros((3, 5)), pixel_size_nm=None)
    assert pixel_size_nm(image) is None
    assert image.y.attrs["units"] == "px"
    assert image.attrs["pixel_size_source"] == "none"
    with pytest.raises(CalibrationError, match="--pixel-size"):
        require_pixel_size(image)


def test_a_single_pixel_keeps_its_size() -> None:
    assert pixel_size_nm(make_micrograph(np.zeros((1, 1)), pixel_size_nm=(0.02, 0.03))) == (0.02, 0.03)


@pytest.mark.parametrize("bad", [(0, 0.1), (0.1, -1), (float("nan"), 0.1), (0.1, float("inf"))])
def test_impossible_pixel_sizes_are_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(CalibrationError, match="positive and finite"):
        make_micrograph(np.zeros((3, 5)), pixel_size_nm=bad)


def test_a_stack_is_not_a_micrograph() -> None:
    with pytest.raises(ValueError, match="2 dimensions"):
        make_micrograph(np.zeros((2, 3, 5)), pixel_size_nm=None)
