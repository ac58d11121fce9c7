"""All segmenters by one call: scale of the model, thresholds, loading once, and what cannot be done said so."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hrtem_dask.errors import CalibrationError, ModelError, SettingsError
from hrtem_dask.segmentation import Segmenter, make_segmenter, segmenter_loads
from hrtem_dask.segmentation.network_input import network_input
from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.segmentation.rescale import model_shape, resample
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.segmentation.unet_segmenter import UNetSegmenter
from hrtem_dask.segmentation.weights import load_model, save_model
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings

CPU = ExecutionSettings(device="cpu")


def fringe_detector() -> UNet:
    """A network that finds fringes of about 4 px and is blind to those of 8 px, made by hand.

    One level: second differences along x, rectified; averaged twice over 3×3; compared with a constant.
    """
    config = UNetConfig(widths=(2,), centre_width=1, encoder_convs=1, pixel_size_nm=0.04)
    model = UNet(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
        laplacian = torch.tensor([0.5, -1.0, 0.5])
        encoder, (first, second) = model.encoders[0].convs[0], model.decoders[0].convs
        encoder.conv.weight[0, 0, 1], encoder.conv.weight[1, 0, 1] = laplacian, -laplacian
        first.conv.weight[0, :2] = 1 / 9  # the skip connection, both signs
        second.conv.weight[0, 0] = 1 / 9
        model.final.weight[1, 0] = 100.0
        model.final.bias[1] = -15.0
    return model


def fringes_in_a_disk(pixel_size_nm: tuple[float, float]) -> tuple[np.ndarray, float]:
    """A disk of 6 nm with fringes of 0.16 nm, scaled to [0, 1]; and its area in nm²."""
    y, x = (np.arange(round(12 / p)) * p + p / 2 for p in pixel_size_nm)
    inside = (y[:, None] - 6) ** 2 + (x[None] - 5) ** 2 < 3**2
    image = 0.5 + 0.5 * inside * np.cos(2 * np.pi * x[None] / 0.16 + 0.8)
    return image.astype(np.float32), float(np.pi * 3**2)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> SegmentationSettings:
    path = tmp_path_factory.mktemp("model") / "fringes.safetensors"
    save_model(fringe_detector(), path)
    return SegmentationSettings(method="unet", model=str(path))


@pytest.fixture(scope="module")
def paper_like(tmp_path_factory: pytest.TempPathFactory, random_unet: Any) -> SegmentationSettings:
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    save_model(random_unet(), path)
    return SegmentationSettings(method="unet", model=str(path))


def test_size_in_nm_does_not_depend_on_the_pixel_size(detector: SegmentationSettings, xp_array: Any) -> None:
    segmenter = make_segmenter(detector, CPU)
    diameters = {}
    for size in [(0.02, 0.02), (0.04, 0.04), (0.02, 0.04), (0.031, 0.025)]:
        image, area = fringes_in_a_disk(size)
        result = segmenter(xp_array(image), pixel_size_nm=size)
        assert result.mask.shape == result.probability.shape == image.shape
        diameters[size] = np.sqrt(result.mask.sum() * size[0] * size[1] / area)
    assert abs(diameters[0.04, 0.04] - 1) < 0.05
    for size, diameter in diameters.items():
        assert abs(diameter / diameters[0.04, 0.04] - 1) < 0.01, size


def test_without_its_scale_the_network_is_blind(detector: SegmentationSettings) -> None:
    """So the test above can fail: at 0.02 nm per pixel the same scene shows the network nothing."""
    image, _ = fringes_in_a_disk((0.02, 0.02))
    assert make_segmenter(detector, CPU)(image, pixel_size_nm=None).mask.mean() < 0.01
    native = dataclasses.replace(detector, model_pixel_size_nm=0.02)  # the settings override the model
    assert make_segmenter(native, CPU)(image, pixel_size_nm=(0.02, 0.02)).mask.mean() < 0.01


@pytest.mark.parametrize(
    ("size", "model", "shape"),
    [
        (None, 0.04, (100, 60)),
        ((0.02, 0.02), None, (100, 60)),
        ((0.0402, 0.0398), 0.04, (100, 60)),
        ((0.041, 0.04), 0.04, (102, 60)),
        ((0.02, 0.04), 0.04, (50, 60)),
        ((0.08, 0.02), 0.04, (200, 30)),
        ((0.0001, 0.0001), 0.04, (1, 1)),
    ],
)
def test_shape_at_the_models_pixel_size(size: Any, model: Any, shape: tuple[int, int]) -> None:
    assert model_shape((100, 60), pixel_size_nm=size, model_pixel_size_nm=model) == shape


def test_a_far_too_coarse_image_is_refused() -> None:
    with pytest.raises(
        CalibrationError, match=r"was trained at 0\.04 nm per pixel.*enlarged 19\.6 times, need at most 8"
    ):
        model_shape((512, 512), pixel_size_nm=(0.782, 0.391), model_pixel_size_nm=0.04)


def test_resampling_is_exact_on_what_it_can_hold(xp_array: Any) -> None:
    image = xp_array(np.random.default_rng(0).random((40, 30), dtype=np.float32))
    assert resample(image, (40, 30), method="bicubic") is image
    np.testing.assert_allclose(resample(np.full((40, 30), 0.3), (17, 55), method="bicubic"), 0.3, atol=1e-6)
    # a wave far below Nyquist, at pixel centres, comes out at the new pixel centres
    for n, m in [(400, 200), (200, 400), (400, 250)]:
        waves = [np.cos(2 * np.pi * (np.arange(k) + 0.5) / k * 5)[None].repeat(8, axis=0) for k in (n, m)]
        out = resample(waves[0].astype(np.float32), (8, m), method="bicubic")
        np.testing.assert_allclose(out[:, 8:-8], waves[1][:, 8:-8], atol=5e-3)
    # a wave above the new Nyquist frequency goes away instead of coming back as another
    fine = np.cos(2 * np.pi * np.arange(400) * 0.45)[None].repeat(8, axis=0).astype(np.float32)
    assert abs(resample(fine, (8, 100), method="bicubic")[:, 4:-4]).max() < 0.05
    p = resample((image > 0.5).astype(np.float32), (90, 95), method="bilinear")
    assert p.min() >= 0
    assert p.max() <= 1


def test_unet_threshold_and_fields(paper_like: SegmentationSettings) -> None:
    image = np.random.default_rng(0).random((100, 70), dtype=np.float32)
    result = make_segmenter(paper_like, CPU)(image, pixel_size_nm=(0.02, 0.02))
    assert result.probability.dtype == np.float32
    assert result.mask.dtype == bool
    assert 0 <= result.probability.min() <= result.probability.max() <= 1
    assert (result.engine, result.device, result.seam_score, result.out_of_memory_steps) == (
        "openvino",
        "cpu",
        None,
        (),
    )
    level = float(np.median(result.probability))
    strict = make_segmenter(dataclasses.replace(paper_like, threshold=level), CPU)(image, pixel_size_nm=None)
    np.testing.assert_array_equal(strict.mask, result.probability >= level)
    assert 0.4 < strict.mask.mean() < 0.6


@pytest.mark.parametrize("shape", [(1, 1), (1, 33), (16, 16), (500, 20)])
def test_engines_and_tiles_give_the_same_mask(paper_like: SegmentationSettings, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(3).random(shape, dtype=np.float32)
    results = [
        make_segmenter(paper_like, ExecutionSettings(device="cpu", engine=engine, whole_px=whole, tile_px=128))(
            image, pixel_size_nm=None
        )
        for engine, whole in [("openvino", 4096), ("openvino", 256), ("torch", 4096), ("torch", 256)]
    ]
    for result in results[1:]:
        np.testing.assert_allclose(result.probability, results[0].probability, rtol=0, atol=1e-5)
        near = abs(results[0].probability - 0.5) < 1e-5
        np.testing.assert_array_equal(result.mask | near, results[0].mask | near)
    assert [r.engine for r in results] == ["openvino"] * 2 + ["torch"] * 2
    assert (results[1].seam_score is not None) == (max(shape) == 500)


def test_baselines_say_mask_as_probability(xp_array: Any) -> None:
    image = xp_array(np.random.default_rng(0).random((64, 48), dtype=np.float32))
    for method in ("otsu", "fourier"):
        segmenter = make_segmenter(SegmentationSettings(method=method), CPU)
        assert isinstance(segmenter, Segmenter)
        assert (segmenter.name, segmenter.model_hash) == (method, None)
        result = segmenter(image, pixel_size_nm=(0.05, 0.04))
        assert (result.engine, result.device, result.seam_score) == ("numpy", "cpu", None)
        np.testing.assert_array_equal(result.probability, result.mask)
        assert result.probability.dtype == np.float32


def test_settings_reach_the_baselines() -> None:
    image = np.random.default_rng(0).random((64, 48), dtype=np.float32)

    def mask(**options: Any) -> np.ndarray:
        return make_segmenter(SegmentationSettings(**options), CPU)(image, pixel_size_nm=(0.05, 0.04)).mask

    reference = {m: mask(method=m) for m in ("otsu", "fourier")}
    assert (mask(method="otsu", particles_are="bright") == ~reference["otsu"]).all()
    assert (mask(method="otsu", otsu_sigma_nm=0.1) != reference["otsu"]).any()
    assert (mask(method="fourier", annulus_per_nm=(4.0, 9.0)) != reference["fourier"]).any()
    assert (mask(method="fourier", fourier_sigma_nm=0.2) != reference["fourier"]).any()


def test_pixels_mode() -> None:
    image = np.random.default_rng(0).random((64, 48), dtype=np.float32)
    assert make_segmenter(SegmentationSettings(method="otsu"), CPU)(image, pixel_size_nm=None).mask.any()
    with pytest.raises(CalibrationError, match=r"otsu_sigma_nm=0.2.*--pixel-size"):
        make_segmenter(SegmentationSettings(method="otsu", otsu_sigma_nm=0.2), CPU)(image, pixel_size_nm=None)
    with pytest.raises(CalibrationError, match="--pixel-size"):
        make_segmenter(SegmentationSettings(method="fourier"), CPU)(image, pixel_size_nm=None)


def test_a_network_is_loaded_once(tmp_path: Path, random_unet: Any) -> None:
    path = tmp_path / "net.safetensors"
    save_model(random_unet(widths=(2,), centre=2, seed=1), path)
    settings = SegmentationSettings(method="unet", model=str(path))
    before = segmenter_loads()
    first = make_segmenter(settings, CPU)
    assert make_segmenter(settings, dataclasses.replace(CPU, overlays="all", group_megapixels=9.0)) is first
    assert segmenter_loads() == before + 1
    save_model(random_unet(widths=(2,), centre=2, seed=2), path)  # the file changes under the same name
    second = make_segmenter(settings, CPU)
    assert second is not first
    assert second.model_hash != first.model_hash
    assert segmenter_loads() == before + 2


def test_impossible_settings_are_said(tmp_path: Path, detector: SegmentationSettings) -> None:
    with pytest.raises(SettingsError, match='a U-Net needs "unet"'):
        UNetSegmenter(SegmentationSettings(method="otsu"), CPU)
    with pytest.raises(ModelError, match=r"absent\.h5"):
        make_segmenter(SegmentationSettings(method="unet", model=str(tmp_path / "absent.h5")), CPU)
    with pytest.raises(SettingsError, match=r"got 1\.5"):
        make_segmenter(dataclasses.replace(detector, threshold=1.5), CPU)


def test_importing_the_stage_imports_no_torch() -> None:
    code = "import sys, hrtem_dask.segmentation; sys.exit('torch' in sys.modules or 'openvino' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["Au_cell12", "CdSe_cell17"])
def test_paper_network_finds_the_papers_particles(data: Path, name: str) -> None:
    """Whole way on the paper's own micrographs: our mask is that of its Keras network."""
    folder = data / "pynanofind"
    image = (np.load(folder / "reference/inputs.npz")[name] / 65535).astype(np.float32)
    truth = np.load(folder / "reference/keras_softmax_f32.npz")[f"AuCdSe/{name}"] >= 0.5
    settings = SegmentationSettings(method="unet", model=str(folder / "weights/unet32_AuCdSeDots_09_final.h5"))
    tiles = ExecutionSettings(device="cpu", whole_px=256, tile_px=160)
    for execution in (CPU, tiles):
        result = make_segmenter(settings, execution)(image, pixel_size_nm=(0.02, 0.02))
        np.testing.assert_array_equal(result.mask, truth)
    assert result.seam_score is not None
    assert result.seam_score < 1e-4


@pytest.mark.gpu
def test_masks_on_cuda_equal_those_on_the_cpu(paper_like: SegmentationSettings, detector: SegmentationSettings) -> None:
    import cupy

    image = np.random.default_rng(0).random((700, 500), dtype=np.float32)
    fringes, _ = fringes_in_a_disk((0.02, 0.03))
    for settings, x, size in [(paper_like, image, None), (detector, fringes, (0.02, 0.03))]:
        cpu = make_segmenter(settings, CPU)(x, pixel_size_nm=size)
        cuda = make_segmenter(settings, ExecutionSettings(device="cuda"))(cupy.asarray(x), pixel_size_nm=size)
        assert isinstance(cuda.mask, cupy.ndarray)
        assert (cuda.engine, cuda.device) == ("torch", "cuda")
        near = abs(cpu.probability - 0.5) < 1e-4
        np.testing.assert_array_equal(cupy.asnumpy(cuda.mask) | near, cpu.mask | near)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_standard_scaling_is_of_the_whole_image(tmp_path: Path, engine: Any, xp_array: Any) -> None:
    """Shift and gain change nothing, and tiles equal the whole: with statistics of a tile they would not."""
    torch.manual_seed(0)
    config = UNetConfig(widths=(4, 6), centre_width=6, encoder_convs=1, decoder_convs=1, input_scaling="standard")
    path = tmp_path / "net.safetensors"
    save_model(UNet(config).eval(), path)
    rng = np.random.default_rng(0)
    image = xp_array((rng.random((90, 300)) * np.linspace(0.1, 1, 300)).astype(np.float32))  # tiles differ by far
    settings = SegmentationSettings(method="unet", model=str(path))

    def probability(array: np.ndarray, **execution: Any) -> np.ndarray:
        segmenter = make_segmenter(settings, ExecutionSettings(device="cpu", engine=engine, **execution))
        return np.asarray(segmenter(array, pixel_size_nm=None).probability)

    whole = probability(image)
    assert whole.std() > 0.01
    np.testing.assert_allclose(probability(image * 0.25 + 0.5), whole, atol=2e-5)
    np.testing.assert_allclose(probability(image, whole_px=64, tile_px=32), whole, atol=2e-5)
    with torch.inference_mode():
        seen = (image - image.mean(dtype=float)) / image.std(dtype=float)
        padded = np.pad(seen, ((0, 2), (0, 0)), mode="symmetric").astype(np.float32)
        logits = load_model(path)(torch.from_numpy(padded)[None, None])[0, :, :90]
    np.testing.assert_allclose(torch.softmax(logits, dim=0)[1].numpy(), whole, atol=2e-5)
    assert np.isfinite(probability(np.full((20, 20), 0.3, np.float32))).all()


def test_scaling_is_done_at_the_models_pixel_size() -> None:
    image = np.random.default_rng(0).random((80, 60), dtype=np.float32)
    options: dict[str, Any] = {"pixel_size_nm": (0.02, 0.02), "model_pixel_size_nm": 0.04}
    seen = network_input(image, scaling="standard", **options)
    assert seen.shape == (40, 30)
    assert (float(seen.mean()), float(seen.std())) == pytest.approx((0, 1), abs=1e-5)
    seen = network_input(image, scaling="min_max", **options)
    assert (seen.min(), seen.max()) == (0, 1)
    assert network_input(image, pixel_size_nm=None, model_pixel_size_nm=0.04, scaling="min_max") is image
    assert (network_input(np.full((9, 9), 0.1, np.float32), scaling="standard", **options) == 0).all()
