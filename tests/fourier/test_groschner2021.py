"""The five features of the paper: equal to the output of its code, and to rings integrated one mask at a time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import erf

from hrtem_dask.fourier import groschner2021_features, ring_integrals
from hrtem_dask.tables import PARTICLES

Copy = Callable[[object], np.ndarray]
REFERENCE_ORDER = ("fft_mean", "fft_std", "image_mean", "image_std", "fft_center_of_mass")


def integrals_mask_by_mask(crop: np.ndarray) -> np.ndarray:
    n = min(crop.shape)
    magnitude = np.abs(np.fft.fftshift(np.fft.fft2(crop[:n, :n].astype(float))))
    y, x = np.mgrid[:n, :n]
    radius = np.hypot(y - n / 2, x - n / 2)

    def flank(begin: float) -> np.ndarray:
        return (1 + erf(radius - begin - 2)) / 2

    return np.array([((flank(r) - flank(r + 14)) * magnitude).sum() for r in np.sqrt(2) * np.arange(min(n, 100))])


def test_parity_with_the_papers_code(data: Path, xp_array: Copy) -> None:
    with np.load(data / "pynanofind" / "reference" / "features.npz") as reference:
        names = [name.removeprefix("crop/") for name in reference if name.startswith("crop/")]
        assert len(names) == 30
        for name in names:
            crop = reference[f"crop/{name}"]
            # the code of the paper transforms float32 crops in float32
            tolerance = 2e-7 if crop.dtype == np.float32 else 1e-12
            features = groschner2021_features(xp_array(crop))
            values = [features[f"groschner2021_{feature}"] for feature in REFERENCE_ORDER]
            np.testing.assert_allclose(values, reference[f"features/{name}"], rtol=tolerance, err_msg=name)
            rings = reference[f"fft_int/{name}"]
            np.testing.assert_allclose(
                ring_integrals(crop), rings, rtol=tolerance, atol=tolerance * rings.max(), err_msg=name
            )


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 5), (16, 16), (31, 40), (60, 33), (128, 150)])
def test_equals_ring_by_ring(shape: tuple[int, int], xp_array: Copy) -> None:
    crop = np.random.default_rng(0).uniform(0, 255, shape)
    expected = integrals_mask_by_mask(crop)
    np.testing.assert_allclose(ring_integrals(xp_array(crop)), expected, rtol=1e-9, atol=1e-12 * expected.max())


def test_columns_are_those_of_the_table() -> None:
    columns = {column.name for column in PARTICLES if column.name.startswith("groschner2021_")}
    assert set(groschner2021_features(np.ones((20, 20)))) == columns


def test_mean_and_deviation_are_not_swapped() -> None:
    crop = np.random.default_rng(0).uniform(0, 255, (80, 80))
    rings = ring_integrals(crop)
    features = groschner2021_features(crop)
    assert features["groschner2021_fft_mean"] == pytest.approx(rings.mean())
    assert features["groschner2021_fft_std"] == pytest.approx(rings.std())


@pytest.mark.parametrize("dtype", ["?", ">u2", "<i4", "f2"])
def test_any_dtype(dtype: str, xp_array: Copy) -> None:
    crop = np.random.default_rng(0).integers(0, 2, (40, 44)).astype(dtype)
    assert groschner2021_features(xp_array(crop)) == groschner2021_features(crop.astype(float))


def test_a_black_crop_has_no_center_of_mass() -> None:
    features = groschner2021_features(np.zeros((30, 30), np.uint8))
    assert np.isnan(features["groschner2021_fft_center_of_mass"])
    assert features["groschner2021_fft_mean"] == 0


def test_an_empty_crop_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(0, 5\)"):
        groschner2021_features(np.zeros((0, 5)))


@pytest.mark.gpu_arrays
def test_gpu_equals_cpu() -> None:
    cupy = pytest.importorskip("cupy")
    crop = np.random.default_rng(0).uniform(0, 255, (77, 90))
    np.testing.assert_allclose(ring_integrals(cupy.asarray(crop)).get(), ring_integrals(crop), rtol=1e-10)
    assert groschner2021_features(cupy.asarray(crop)) == pytest.approx(groschner2021_features(crop))
