"""Windows cover a field without a gap, and joining pixels changes no mean."""

import itertools

import numpy as np
import pytest

from hrtem_dask.fourier.crystal_fields.windows import MIN_WINDOW_PX, WINDOW_NM, Grid, binned


@pytest.mark.parametrize("overlap", [0.0, 0.5])
@pytest.mark.parametrize(
    ("shape", "pixel"), [((768, 512), (0.027, 0.027)), ((301, 97), (0.05, 0.02)), ((96, 96), (0.1, 0.1))]
)
def test_windows_and_cores_cover_the_field(shape: tuple[int, int], pixel: tuple[float, float], overlap: float) -> None:
    grid = Grid.over(shape, pixel, overlap=overlap)
    assert len(grid.windows) == np.prod(grid.shape)
    seen, area = np.zeros(shape, int), 0.0
    for window in grid.windows:
        y0, x0, y1, x1 = window.box
        assert 0 <= y0 < y1 <= shape[0]
        assert 0 <= x0 < x1 <= shape[1]
        for side, n, size in ((y1 - y0, shape[0], pixel[0]), (x1 - x0, shape[1], pixel[1])):
            assert side == min(max(round(WINDOW_NM / size), MIN_WINDOW_PX), n)
        first_y, first_x, last_y, last_x = window.core
        assert y0 <= first_y < last_y <= y1
        assert x0 <= first_x < last_x <= x1
        seen[window.part] += 1
        area += (last_y - first_y) * (last_x - first_x)
    assert seen.min() >= 1
    assert area == pytest.approx(np.prod(shape))
    starts = sorted({w.box[0] for w in grid.windows})
    side = grid.windows[0].box[2] - grid.windows[0].box[0]
    assert all(b - a <= side * (1 - overlap) + 1 for a, b in itertools.pairwise(starts))


def test_fine_pixels_are_joined_to_their_means(rng: np.random.Generator) -> None:
    image = rng.normal(size=(61, 90))
    joined, size, factor = binned(image, (0.0125, 0.008))
    assert factor == (2, 3)
    assert size == pytest.approx((0.025, 0.024))
    np.testing.assert_allclose(joined, image[:60].reshape(30, 2, 30, 3).mean((1, 3)), atol=1e-6)
    same, size, factor = binned(image, (0.02, 0.03))
    assert (size, factor) == ((0.02, 0.03), (1, 1))
    np.testing.assert_array_equal(same, image.astype(np.float32))
