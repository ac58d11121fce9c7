"""What networks see: normalized gray values, padded without moving a pixel."""

import numpy as np
import pytest

from hrtem_dask.detection.network_input import pad_to_stride, standardize


def test_gain_and_offset_do_not_matter() -> None:
    image = np.random.default_rng(0).integers(0, 60000, (40, 50)).astype(np.uint16)
    seen = standardize(image)
    assert seen.dtype == np.float32
    assert seen.mean() == pytest.approx(0, abs=1e-5)
    assert seen.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(standardize(image * 1e-5 + 3), seen, atol=1e-4)


@pytest.mark.parametrize("value", [0, 7.3, 65535])
def test_a_constant_image_gives_zeros(value: float) -> None:
    assert not standardize(np.full((9, 9), value)).any()


def test_padding_is_at_the_end_and_mirrored() -> None:
    image = np.arange(40 * 70).reshape(40, 70)
    padded = pad_to_stride(image)
    assert padded.shape == (64, 96)
    np.testing.assert_array_equal(padded[:40, :70], image)
    np.testing.assert_array_equal(padded[40, :70], image[39])
    assert pad_to_stride(image[:32, :64]).shape == (32, 64)
    assert pad_to_stride(image[:1, :1]).shape == (32, 32)
