"""Tiles equal the whole image, a wrong halo shows, and running out of memory changes nothing."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.segmentation.engines import make_engine
from hrtem_dask.segmentation.memory import logits_within_memory
from hrtem_dask.segmentation.tiling import pad_to_stride, plan_axis, tiled_logits


@given(
    blocks=st.integers(1, 400),
    tile_px=st.integers(1, 900),
    stride_px=st.sampled_from([2, 4, 16]),
    halo_blocks=st.integers(0, 6),
)
def test_tiles_cover_an_axis(blocks: int, tile_px: int, stride_px: int, halo_blocks: int) -> None:
    length, halo = blocks * stride_px, halo_blocks * stride_px
    tiles = plan_axis(length, tile_px=tile_px, stride_px=stride_px, halo_px=halo)
    assert len({t.stop - t.start for t in tiles}) == 1
    assert (tiles[0].start, tiles[0].valid_start) == (0, 0)
    assert (tiles[-1].stop, tiles[-1].valid_stop) == (length, length)
    assert all(t.start % stride_px == 0 and t.stop % stride_px == 0 for t in tiles)
    for before, after in itertools.pairwise(tiles):
        assert before.valid_stop - after.valid_start >= stride_px
        assert before.stop - before.valid_stop == halo
        assert after.valid_start - after.start == halo
    window = tiles[0].stop - tiles[0].start
    assert window <= max(tile_px + stride_px, stride_px) + 2 * halo + stride_px or len(tiles) == 1


@pytest.fixture(scope="module")
def tiny(random_unet: Any) -> tuple[Any, Any]:
    model = random_unet(widths=(3, 4), centre=4, seed=4)
    return model.config, make_engine(model, engine="torch")


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 120), width=st.integers(1, 120), tile_px=st.integers(16, 90), seed=st.integers(0, 99))
def test_tiled_logits_equal_the_whole_images(tiny: Any, height: int, width: int, tile_px: int, seed: int) -> None:
    config, engine = tiny
    image = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    image.flags.writeable = False
    grid = {"stride_px": config.total_stride_px, "halo_px": config.halo_px}
    whole, none = tiled_logits(image, engine, tile_px=None, **grid)
    tiled, score = tiled_logits(image, engine, tile_px=tile_px, **grid)
    assert whole.shape == tiled.shape == (height, width)
    assert none is None
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-4)
    assert score is None or score < 1e-4


@pytest.fixture(scope="module")
def paper_engines(random_unet: Any) -> dict[str, Any]:
    model = random_unet()
    return {name: make_engine(model, engine=name) for name in ("openvino", "torch")}


SHAPES = [((1, 1), 64), ((17, 333), 100), ((400, 300), 64), ((433, 405), 200)]


@pytest.mark.parametrize(
    ("engine", "shape", "tile_px"),
    [*(("openvino", *s) for s in SHAPES), *(("torch", *s) for s in SHAPES), ("openvino", (20000, 100), 2048)],
)
def test_paper_network_tiled(paper_engines: Any, engine: str, shape: tuple[int, int], tile_px: int) -> None:
    network = paper_engines[engine]
    image = np.random.default_rng(1).random(shape, dtype=np.float32)
    whole, _ = tiled_logits(image, network, stride_px=16, halo_px=80, tile_px=None)
    tiled, score = tiled_logits(image, network, stride_px=16, halo_px=80, tile_px=tile_px)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-4)
    assert score is None or score < 1e-4
    assert (score is None) == (max(shape) <= tile_px + 176)


def test_seam_score_shows_a_wrong_halo(paper_engines: Any) -> None:
    network = paper_engines["torch"]
    image = np.random.default_rng(1).random((300, 500), dtype=np.float32)
    whole, _ = tiled_logits(image, network, stride_px=16, halo_px=80, tile_px=None)
    _, right = tiled_logits(image, network, stride_px=16, halo_px=80, tile_px=160)
    halved, wrong = tiled_logits(image, network, stride_px=16, halo_px=32, tile_px=160)
    assert right is not None
    assert wrong is not None
    assert right < 1e-4
    assert wrong > 100 * max(right, 1e-5)
    # and it is of the size of the damage
    assert wrong > 0.2 * abs(halved - whole).max()


def test_seam_score_shows_a_wrong_origin(paper_engines: Any) -> None:
    network = paper_engines["torch"]
    image = np.random.default_rng(1).random((160, 672), dtype=np.float32)
    _, score = tiled_logits(image, network, stride_px=8, halo_px=80, tile_px=168)
    assert score is not None
    assert score > 1e-2


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (16, 16), (33, 31)])
def test_padding_mirrors_the_bottom_and_the_right(xp_array: Any, shape: tuple[int, int]) -> None:
    image = xp_array(np.random.default_rng(0).random(shape, dtype=np.float32))
    padded = pad_to_stride(image, stride_px=16)
    assert all(n % 16 == 0 and n - m < 16 for n, m in zip(padded.shape, shape, strict=True))
    np.testing.assert_array_equal(padded[: shape[0], : shape[1]], image)
    if padded.shape[0] > shape[0]:
        np.testing.assert_array_equal(padded[shape[0], : shape[1]], image[-1])
    assert (padded is image) == (padded.shape == shape)


# --- out of memory ---------------------------------------------------------------------------------------------------


class Limited:
    """An engine whose device holds only so many pixels."""

    name = "limited"

    def __init__(self, network: Any, device: str, limit_px: int, error: Callable[[], BaseException]) -> None:
        self.network, self.device, self.limit_px, self.error = network, device, limit_px, error
        self.calls = 0

    def __call__(self, images: Any) -> Any:
        self.calls += 1
        if images.size > self.limit_px:
            raise self.error()
        return self.network(images)


ERRORS = [
    lambda: MemoryError("Unable to allocate 2.00 GiB"),
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    lambda: RuntimeError("CUDA error: out of memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=["MemoryError", "torch", "RuntimeError"])
@pytest.mark.parametrize(
    ("cuda_px", "cpu_px", "steps", "device"),
    [
        (10**9, 10**9, (), "cuda"),
        (900 * 900, 10**9, ("tiles of 512 px on cuda",), "cuda"),
        (500 * 500, 10**9, ("tiles of 512 px on cuda", "tiles of 256 px on cuda"), "cuda"),
        (0, 10**9, ("tiles of 512 px on cuda", "tiles of 256 px on cuda", "whole image on cpu"), "cpu"),
        (
            0,
            900 * 900,
            (
                "tiles of 512 px on cuda",
                "tiles of 256 px on cuda",
                "whole image on cpu",
                "tiles of 512 px on cpu",
            ),
            "cpu",
        ),
    ],
)
def test_running_out_of_memory_changes_nothing(
    error: Any, cuda_px: int, cpu_px: int, steps: tuple[str, ...], device: str
) -> None:
    def network(images: np.ndarray) -> np.ndarray:
        return 3 * images - 1

    image = np.random.default_rng(2).random((1024, 1000), dtype=np.float32)
    engines = {"cuda": Limited(network, "cuda", cuda_px, error), "cpu": Limited(network, "cpu", cpu_px, error)}
    grid: dict[str, int] = {"stride_px": 16, "halo_px": 80}
    result = logits_within_memory(image, engines.__getitem__, device="cuda", tile_px=None, **grid)
    assert result.out_of_memory_steps == steps
    assert (result.engine, result.device) == ("limited", device)
    whole, _ = tiled_logits(image, network, tile_px=None, **grid)
    np.testing.assert_allclose(result.logits, whole, rtol=0, atol=1e-4)


def test_smaller_tiles_give_the_networks_own_logits(paper_engines: Any) -> None:
    network = paper_engines["torch"]
    image = np.random.default_rng(2).random((600, 560), dtype=np.float32)
    engine = Limited(network, "cpu", 500 * 500, ERRORS[0])
    grid: dict[str, int] = {"stride_px": 16, "halo_px": 80}
    result = logits_within_memory(image, lambda _: engine, device="cpu", tile_px=None, **grid)
    assert result.out_of_memory_steps == ("tiles of 300 px on cpu",)
    whole, _ = tiled_logits(image, network, tile_px=None, **grid)
    np.testing.assert_allclose(result.logits, whole, rtol=0, atol=1e-4)


def test_no_memory_at_all_is_said() -> None:
    image = np.zeros((700, 600), np.float32)
    engine = Limited(None, "cpu", 0, ERRORS[0])
    with pytest.raises(MemoryError, match=r"700 × 600 px .*256 px.*fewer workers"):
        logits_within_memory(image, lambda _: engine, device="cpu", stride_px=2, halo_px=8, tile_px=None)
    assert engine.calls == 3  # whole, 350, 256


def test_a_small_image_is_not_tried_again_in_tiles_that_cannot_help() -> None:
    engines = {"cuda": Limited(None, "cuda", 0, ERRORS[1]), "cpu": Limited(np.copy, "cpu", 10**9, ERRORS[0])}
    image = np.zeros((300, 300), np.float32)
    result = logits_within_memory(image, engines.__getitem__, device="cuda", stride_px=16, halo_px=80, tile_px=None)
    assert result.out_of_memory_steps == ("whole image on cpu",)


def test_other_errors_pass_through() -> None:
    engine = Limited(None, "cpu", 0, lambda: RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        logits_within_memory(
            np.zeros((64, 64), np.float32), lambda _: engine, device="cpu", stride_px=16, halo_px=80, tile_px=None
        )
    assert engine.calls == 1


@pytest.mark.gpu
def test_cuda_out_of_memory_for_real(random_unet: Any) -> None:
    import cupy

    model = random_unet()
    image = np.random.default_rng(2).random((4096, 4096), dtype=np.float32)
    grid: dict[str, int] = {"stride_px": 16, "halo_px": 80}
    engines = {d: make_engine(model, device=d) for d in ("cpu", "cuda")}
    before = torch.cuda.memory_reserved()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((before + 700 * 2**20) / total)
    try:
        result = logits_within_memory(cupy.asarray(image), engines.__getitem__, device="cuda", tile_px=None, **grid)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert result.out_of_memory_steps
    whole, _ = tiled_logits(image, engines["cpu"], tile_px=None, **grid)
    np.testing.assert_allclose(cupy.asnumpy(result.logits), whole, rtol=0, atol=1e-4)
