"""A micrograph on a GPU, by a stand-in for CuPy: the same results, and each array crosses once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hrtem_dask import analysis, backend
from hrtem_dask.analysis.segmenters import make_segmenter
from hrtem_dask.defects import make_classifier
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import simulate_scene

PIXEL = (0.03, 0.03)
SHAPE = (180, 200)


def analyse(device: str, method: str, image: np.ndarray, gain: np.ndarray | None) -> analysis.Analysis:
    settings = Settings().updated({"segmentation": {"method": method}, "execution": {"device": device}})
    return analysis.analyse(
        image,
        pixel_size_nm=PIXEL,
        settings=settings,
        segmenter=make_segmenter(settings),
        classifier=make_classifier(settings.defects),
        gain=gain,
    )


@pytest.mark.gpu_arrays
@pytest.mark.parametrize("method", ["otsu", "fourier"])
@pytest.mark.parametrize("with_gain", [False, True])
def test_a_micrograph_on_a_gpu_gives_the_same_rows(gpu_library: str, method: str, with_gain: bool) -> None:
    scene = simulate_scene(seed=2, shape=SHAPE, pixel_size_nm=PIXEL[0], n_particles=2, diameter_nm=(1.8, 2.2))
    gain = np.random.default_rng(0).uniform(0.98, 1.02, SHAPE).astype(np.float32) if with_gain else None
    here, there = (analyse(device, method, scene.image, gain) for device in ("cpu", "cuda"))
    assert len(here.particles)
    assert isinstance(there.prepared, np.ndarray)
    if gpu_library == "cuda":  # its sums round otherwise, so that a pixel may lie on the other side of a threshold
        assert len(there.particles) == len(here.particles)
        areas = [one.particles["area_px"].to_numpy(float) for one in (there, here)]
        np.testing.assert_allclose(*areas, rtol=0.01)
        return
    np.testing.assert_array_equal(there.labels, here.labels)
    pd.testing.assert_frame_equal(there.particles, here.particles, rtol=1e-5)
    pd.testing.assert_frame_equal(there.regions, here.regions, rtol=1e-3, atol=1e-5)


@pytest.mark.gpu_arrays
def test_each_array_crosses_once(gpu_library: str, transfers: Counter[tuple[str, tuple[int, ...]]]) -> None:
    if gpu_library != "stand-in":
        pytest.skip("only the stand-in counts")
    scene = simulate_scene(seed=2, shape=SHAPE, pixel_size_nm=PIXEL[0], n_particles=2, diameter_nm=(1.8, 2.2))
    transfers.clear()
    found = analyse("cuda", "otsu", scene.image, None)
    assert len(found.particles)
    whole = {direction: n for (direction, shape), n in transfers.items() if shape == SHAPE}
    assert whole["to_device"] == 1  # the micrograph
    assert whole["to_host"] == 4  # the prepared image, the probability, the mask before and after it was cleaned


@pytest.mark.gpu_arrays
def test_nothing_is_converted_silently(gpu_library: str) -> None:
    """The stand-in is as strict as CuPy: else these tests would say nothing."""
    import cupy

    array: Any = cupy.asarray(np.arange(6.0))
    assert backend.array_namespace(array) is cupy
    for forbidden in (
        lambda: np.asarray(array),
        lambda: array + np.arange(6.0),
        lambda: cupy.where(array > 2, np.arange(6.0), array),
        lambda: cupy.float32(array.mean()),
        lambda: range(array.astype(int)[2]),
    ):
        with pytest.raises(TypeError):
            forbidden()
    with pytest.raises(TypeError):
        array.mean(weights=array)
    assert not hasattr(cupy, "lexicographic_sort")
    assert array.mean().shape == ()
    assert float(array.mean()) == 2.5
    assert gpu_library in ("stand-in", "cuda")
