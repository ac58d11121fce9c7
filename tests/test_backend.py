import cv2
import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import skimage.filters

from hrtem_dask import backend
from hrtem_dask.errors import SettingsError


def test_numpy_arrays_stay_on_the_host() -> None:
    array = np.ones(3)
    assert backend.array_namespace(array) is np
    assert backend.ndimage(array) is scipy.ndimage
    assert backend.fft(array) is scipy.fft
    assert backend.skimage(array, "filters") is skimage.filters
    assert backend.to_numpy(array) is array
    assert backend.to_device(array, "cpu") is array


def test_the_device_is_one_that_is_there() -> None:
    assert backend.resolve_device("auto") == ("cuda" if backend.gpu_available() else "cpu")
    assert backend.resolve_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("x"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (MemoryError("std::bad_alloc: out_of_memory: CUDA error (failed to allocate 8 bytes)"), True),  # RMM
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (type("CuFFTError", (RuntimeError,), {})("CUFFT_ALLOC_FAILED"), True),
        (cv2.error("OpenCV(4.11) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes"), True),
        (cv2.error("OpenCV(4.11) error: (-215:Assertion failed) !empty()"), False),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory is not what this says"), False),
    ],
)
def test_out_of_memory_is_known_in_all_its_forms(error: Exception, expected: bool) -> None:
    assert backend.is_out_of_memory(error) is expected


@pytest.mark.skipif(backend.gpu_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said() -> None:
    with pytest.raises(SettingsError, match="no CUDA device"):
        backend.resolve_device("cuda")


@pytest.mark.gpu_arrays
def test_arrays_go_to_the_gpu_and_back(rng: np.random.Generator) -> None:
    array = rng.random((5, 7))
    there = backend.to_device(array, "cuda")
    assert backend.array_namespace(there).__name__ == "cupy"
    np.testing.assert_array_equal(backend.to_numpy(there), array)
