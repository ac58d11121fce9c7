"""Resampling on the CPU: that of PyTorch in float64, and what any resampling keeps."""

import numpy as np
import pytest
import torch

from hrtem_dask.segmentation.rescale import resample


@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    ("shape", "new"),
    [((64, 48), (40, 40)), ((61, 83), (200, 31)), ((30, 30), (97, 30)), ((5, 7), (1, 2)), ((3, 2), (24, 16))],
)
def test_it_is_that_of_torch(method: str, shape: tuple[int, int], new: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    exact = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None].double(), size=new, mode=method, antialias=True, align_corners=False
    )[0, 0].numpy()
    ours = resample(image, new, method=method)
    assert (ours.shape, ours.dtype) == (new, np.float32)
    assert ours.flags.c_contiguous
    np.testing.assert_allclose(ours, exact, atol=1e-6 * abs(image).max())


@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
def test_the_mean_stays_and_so_does_a_constant(method: str) -> None:
    image = np.random.default_rng(1).random((96, 96), dtype=np.float32)
    image[:16] = image[-16:] = image[:, :16] = image[:, -16:] = 0.5  # at its ends the kernel is cut
    assert resample(image, (48, 32), method=method).mean() == pytest.approx(image.mean(), abs=1e-4)
    np.testing.assert_allclose(resample(np.full((9, 13), 0.25, np.float32), (20, 5), method=method), 0.25, rtol=1e-6)


def test_a_probability_stays_one_and_the_image_itself_is_returned_where_nothing_changes() -> None:
    mask = (np.random.default_rng(2).random((40, 60)) > 0.5).astype(np.float32)
    found = resample(mask, (25, 130), method="bilinear")
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-6
    assert resample(mask, (40, 60), method="bilinear") is mask
    read_only = mask.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(resample(read_only, (25, 130), method="bilinear"), found)
