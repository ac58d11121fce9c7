"""The network is the paper's: against a plain NumPy U-Net always, against the paper's Keras outputs where they are."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from hrtem_dask.errors import ModelError
from hrtem_dask.segmentation.engines import make_engine
from hrtem_dask.segmentation.networks.config import UNetConfig, groschner2021_config
from hrtem_dask.segmentation.unet import UNet, with_contact_output
from hrtem_dask.segmentation.weights import load_model, model_hash, save_model

MODELS = {
    "AuCdSe": "unet32_AuCdSeDots_09_final.h5",
    "Au": "unet481632_AuDots_07b_final.h5",
    "CdSe": "unet481632_CdSeDots_08b_final.h5",
}
INPUTS = ("Au_cell12", "CdSe_cell17", "overlay_cell24", "overlay_cell28", "rand_uniform", "rand_normal_minmax",
          "rand_zscore_extreme", "ones")  # fmt: skip


def numpy_conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    reach = kernel.shape[0] // 2
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
    out = np.zeros((*x.shape[:2], kernel.shape[3])) + bias
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            out += padded[i : i + x.shape[0], j : j + x.shape[1]] @ kernel[i, j].astype(float)
    return out


def numpy_unet(
    x: np.ndarray, layers: list[tuple[str, list[np.ndarray]]], *, pool_before_relu: bool, encoder_convs: int
) -> np.ndarray:
    """Class logits (y, x, class) in float64, by nothing but NumPy; epsilon 1e-4 as the paper's code has it."""
    weights = iter([w for _, w in layers if w])
    n_levels = sum(name.startswith("max_pooling") for name, _ in layers)

    def conv_norm(x: np.ndarray) -> np.ndarray:
        x = numpy_conv(x, *next(weights))
        gamma, beta, mean, variance = (w.astype(float) for w in next(weights))
        return (x - mean) / np.sqrt(variance + 1e-4) * gamma + beta

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    x, skips = x.astype(float)[..., None], []
    for _ in range(n_levels):
        for _ in range(encoder_convs - 1):
            x = relu(conv_norm(x))
        x = conv_norm(x)
        skips.append(relu(x))
        y = x if pool_before_relu else relu(x)
        x = np.maximum.reduce([y[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    x = relu(conv_norm(relu(conv_norm(x))))
    for skip in reversed(skips):
        x = np.concatenate([skip, x.repeat(2, axis=0).repeat(2, axis=1)], axis=2)
        x = relu(conv_norm(relu(conv_norm(x))))
    return numpy_conv(x, *next(weights))


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.astype(float)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pool_before_relu": False, "widths": (3, 6), "centre": 12, "encoder_convs": 2, "seed": 1},
        {"pool_before_relu": True, "widths": (5, 4, 7), "centre": 6, "encoder_convs": 2, "n_classes": 3, "seed": 2},
        {"widths": (2,), "centre": 3, "n_classes": 1, "seed": 6},
    ],
    ids=["paper", "textbook", "three classes", "one logit"],
)
def test_import_and_engines_equal_a_numpy_unet(
    tmp_path: Path, keras_layers: Any, write_keras: Any, xp_array: Any, options: dict[str, Any]
) -> None:
    layers = keras_layers(**options)
    model = load_model(write_keras(tmp_path / "net.h5", layers))
    x = np.random.default_rng(5).random((2, 48, 80), dtype=np.float32)
    truth = np.stack(
        [
            numpy_unet(
                image,
                layers,
                pool_before_relu=options.get("pool_before_relu", True),
                encoder_convs=options.get("encoder_convs", 1),
            )
            for image in x
        ]
    )
    with torch.inference_mode():
        logits = model(torch.from_numpy(x)[:, None]).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(logits, truth, atol=2e-5 * abs(truth).max())
    # ln(p / (1 − p)) of the particle, class 1, from the softmax; a single class is that logit itself
    log_odds = truth[..., 0]
    if truth.shape[-1] > 1:
        log_odds = truth[..., 1] - np.log(np.exp(np.delete(truth, 1, axis=-1)).sum(axis=-1))
    assert log_odds.std() > 0.1, "a network that says the same everywhere would test nothing"
    for engine in ("openvino", "torch"):
        ours = make_engine(model, engine=engine)(xp_array(x))
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, log_odds, atol=2e-5 * max(1, abs(log_odds).max()))


def test_configuration_is_read_from_the_file(tmp_path: Path, keras_layers: Any, write_keras: Any) -> None:
    paper = load_model(write_keras(tmp_path / "a.h5", keras_layers())).config
    assert paper == groschner2021_config()
    other = keras_layers(widths=(3, 6), centre=12, encoder_convs=2, pool_before_relu=False)
    config = load_model(write_keras(tmp_path / "b.h5", other)).config
    assert (config.widths, config.centre_width, config.encoder_convs) == ((3, 6), 12, 2)
    assert not config.pool_before_relu


def test_order_of_pooling_and_relu_matters(random_unet: Any) -> None:
    before = random_unet()
    after = UNet(UNetConfig(**{**vars(before.config), "pool_before_relu": False})).eval()
    after.load_state_dict(before.state_dict())
    x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert (before(x) - after(x)).abs().max() > 0.1


def test_dropout_acts_in_training_only(random_unet: Any) -> None:
    model = random_unet()
    x = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model(x), model(x))
        for decoder in model.decoders:
            decoder.dropout.train()
        assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize(
    ("config", "halo", "field"),
    [
        (groschner2021_config(), 80, 174),
        (UNetConfig(widths=(1,), centre_width=1), None, None),
        (UNetConfig(widths=(1, 1), centre_width=1, encoder_convs=1, pool_before_relu=True), None, None),
        (UNetConfig(widths=(1, 1), centre_width=1, encoder_convs=3, centre_convs=1, kernel_px=5), None, None),
        (UNetConfig(widths=(1, 1), centre_width=1, encoder_convs=1, block_px=2), None, None),
        (UNetConfig(widths=(1,), centre_width=1, block_px=3), None, None),
    ],
)
def test_receptive_field_is_what_a_touched_pixel_reaches(config: UNetConfig, halo: int, field: int) -> None:
    model = UNet(config).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(0.1 if "norm" not in name or "bias" in name else 1.0)
    stride, margin = config.total_stride_px, max(config.margins_px)
    n = 2 * (margin // stride + 2) * stride
    x = torch.zeros(1, 1, n, stride, dtype=torch.float64)
    touched = x.repeat(n, 1, 1, 1)
    touched[torch.arange(n), 0, torch.arange(n), 0] = 1e6  # positive weights: a maximum passes every pooling
    block = torch.arange(n // 2 // stride * stride, n // 2 // stride * stride + stride)
    with torch.inference_mode():
        reached = torch.cat([(model(t) != model(x))[:, 0][:, block].any(dim=2) for t in touched.split(64)])
    rows = [torch.nonzero(reached[:, p])[:, 0] for p in range(stride)]
    before = int(block[0]) - min(int(r.min()) for r in rows)
    after = max(int(r.max()) for r in rows) - int(block[-1])
    assert (before, after) == config.margins_px
    assert max(int(r.max() - r.min()) + 1 for r in rows) == config.receptive_field_px
    assert config.halo_px >= margin
    assert config.halo_px % stride == 0
    if halo:
        assert (config.halo_px, config.receptive_field_px) == (halo, field)


@pytest.mark.parametrize("block_px", [1, 2, 3])
def test_blocks_as_channels_give_a_logit_per_pixel_in_both_engines(block_px: int) -> None:
    torch.manual_seed(0)
    model = UNet(UNetConfig(widths=(4, 6), centre_width=5, block_px=block_px, input_scaling="standard")).eval()
    side = 4 * model.config.total_stride_px
    shape = (1, 1, side, side + model.config.total_stride_px)
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with torch.inference_mode():
        expected = model(torch.from_numpy(image))
    assert expected.shape == (1, 2, *image.shape[2:])
    for engine in ("torch", "openvino"):
        log_odds = make_engine(model, engine=engine)(image[0])
        np.testing.assert_allclose(log_odds[0], (expected[0, 1] - expected[0, 0]).numpy(), atol=1e-4)


@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_contacts_lower_the_log_odds_of_particles_alone(n_classes: int) -> None:
    torch.manual_seed(1)
    config = UNetConfig(
        widths=(4, 6), centre_width=5, block_px=2, n_classes=n_classes, particle_class=0, contact_output=True
    )
    model = UNet(config).eval()
    image = np.random.default_rng(0).standard_normal((2, 16, 24)).astype(np.float32)
    with torch.inference_mode():
        logits = model(torch.from_numpy(image)[:, None]).double().numpy()
    assert logits.shape == (2, n_classes + 1, 16, 24)
    odds = np.exp(logits[:, 0]) / np.exp(logits[:, 1:n_classes]).sum(axis=1) if n_classes > 1 else np.exp(logits[:, 0])
    contact = 1 / (1 + np.exp(-2 * logits[:, n_classes]))
    expected = np.where(odds > 1, np.log(odds) * (1 - contact), np.log(odds))
    for engine in ("torch", "openvino"):
        np.testing.assert_allclose(make_engine(model, engine=engine)(image), expected, atol=1e-4)


def test_an_output_for_contacts_leaves_the_mask_as_it_was(random_unet: Any) -> None:
    model = random_unet()
    extended = with_contact_output(model)
    assert with_contact_output(extended) is extended
    image = np.random.default_rng(0).standard_normal((1, 32, 32)).astype(np.float32)
    before, after = (make_engine(one, engine="torch")(image) for one in (model, extended))
    np.testing.assert_array_equal(before >= 0, after >= 0)
    np.testing.assert_allclose(after, before, rtol=0.003, atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [{"widths": ()}, {"kernel_px": 4}, {"particle_class": 2}, {"pixel_size_nm": 0.0}, {"encoder_convs": 0},
     {"input_scaling": "z_score"}],
)  # fmt: skip
def test_impossible_configurations_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=next(iter(wrong)) if "convs" not in str(wrong) and wrong != {"widths": ()} else "U-Net"
    ):
        UNetConfig(**{"widths": (4,), "centre_width": 4, **wrong})


def test_safetensors_round_trip_is_exact(tmp_path: Path, random_unet: Any) -> None:
    model = random_unet(widths=(3, 5), centre=4)
    path = tmp_path / "net.safetensors"
    save_model(model.to(memory_format=torch.channels_last), path, metadata={"licence": "CC0"})
    again = load_model(path)
    assert again.config == model.config
    assert not again.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert len(model_hash(path)) == 16


def test_hash_follows_content_not_name(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"one")
    b.write_bytes(b"one")
    first = model_hash(a)
    assert first == model_hash(b)
    a.write_bytes(b"other")
    assert model_hash(a) != first


def _drop(layers: list[Any], start: str) -> list[Any]:
    return [layer for layer in layers if not layer[0].startswith(start)]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda layers: _drop(layers, "max_pooling2d_4"), "as many poolings as upsamplings"),
        (lambda layers: _drop(layers, "conv2d_2"), "unequal numbers of convolutions"),
        (lambda layers: _drop(layers, "batch_normalization_3"), "batch normalizations"),
        (lambda layers: [(n, w[:1] if n == "conv2d_3" else w) for n, w in layers if n != "conv2d_3"], "unequal"),
        (lambda layers: [(n, [w[0][..., :2], w[1]] if n == "conv2d_9" else w) for n, w in layers], "convolution 9"),
        (lambda layers: [(n, [v * np.nan for v in w]) for n, w in layers], "NaN"),
        (lambda layers: [*layers[:-1], ("lstm_1", []), layers[-1]], "lstm_1"),
    ],
)
def test_a_keras_file_that_is_no_such_unet_is_refused(
    tmp_path: Path, keras_layers: Any, write_keras: Any, damage: Callable[[Any], Any], says: str
) -> None:
    path = write_keras(tmp_path / "net.h5", damage(keras_layers()))
    with pytest.raises(ModelError, match=says):
        load_model(path)


def test_other_files_are_refused_with_a_reason(tmp_path: Path, random_unet: Any) -> None:
    with pytest.raises(ModelError, match="cannot read"):
        load_model(tmp_path / "absent.h5")
    with pytest.raises(ModelError, match="cannot read"):
        model_hash(tmp_path / "absent.h5")
    pickled = tmp_path / "net.pt"
    torch.save({"a": torch.zeros(1)}, pickled)
    with pytest.raises(ModelError, match="pickled models"):
        load_model(pickled)
    empty = tmp_path / "empty.h5"
    empty.write_bytes(b"")
    with pytest.raises(ModelError, match="neither"):
        load_model(empty)
    truncated = tmp_path / "truncated.safetensors"
    save_model(random_unet(widths=(2,), centre=2), truncated)
    content = truncated.read_bytes()
    truncated.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="safetensors"):
        load_model(truncated)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1, 2]
    with pytest.raises(ModelError, match="layer_names"):
        load_model(tmp_path / "other.h5")
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.create_group("model_weights")
    with pytest.raises(ModelError, match="save_weights"):
        load_model(tmp_path / "whole.h5")
    cut = tmp_path / "cut.h5"
    cut.write_bytes((tmp_path / "other.h5").read_bytes()[:100])
    with pytest.raises(ModelError, match="HDF5"):
        load_model(cut)


def test_safetensors_of_others_and_of_wrong_config_are_refused(tmp_path: Path, random_unet: Any) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="not a U-Net of this package"):
        load_model(tmp_path / "other.safetensors")
    state = random_unet(widths=(2,), centre=2).state_dict()
    for name, config, says in [
        ("unknown", '{"depth": 3}', "depth"),
        ("missing", '{"widths": [2]}', "centre_width"),
        ("shape", '{"widths": [3], "centre_width": 2, "encoder_convs": 1}', "size mismatch"),
    ]:
        path = tmp_path / f"{name}.safetensors"
        save_file(state, path, metadata={"format": "hrtem_dask.unet/1", "config": config})
        with pytest.raises(ModelError, match=says):
            load_model(path)


def test_openvino_forgets_shapes_not_results(random_unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from hrtem_dask.segmentation import engines

    monkeypatch.setattr(engines, "COMPILED_PIXELS", 60)
    engine = engines.OpenVINOEngine(random_unet(widths=(1,), centre=1), threads=1)
    images = [np.random.default_rng(n).random((1, 2 * n, 4), dtype=np.float32) for n in range(1, 6)]
    first = [engine(image) for image in images]
    kept = [shape[2] for shape in engine._compiled]
    assert kept == [10], "16, 24 and 32 px of earlier shapes would exceed 60 px beside the last of 40 px"
    for image, result in zip(images, first, strict=True):
        np.testing.assert_array_equal(engine(image), result)
    engine(np.zeros((1, 50, 50), np.float32))  # larger than the limit by itself: kept alone
    assert len(engine._compiled) == 1


# --- the paper's own weights and outputs ---------------------------------------------------------------------------


def reference_input(data: Path, name: str) -> np.ndarray:
    x = np.load(data / "pynanofind/reference/inputs.npz")[name]
    return (x / 65535 if x.dtype == np.uint16 else x).astype(np.float32)


@pytest.mark.parametrize("model", MODELS)
def test_paper_outputs(data: Path, model: str) -> None:
    reference = np.load(data / "pynanofind/reference/keras_softmax_f32.npz")
    net = load_model(data / "pynanofind/weights" / MODELS[model])
    assert net.config == groschner2021_config()
    engines = [make_engine(net, engine=e) for e in ("openvino", "torch")]
    for name in INPUTS:
        x, truth = reference_input(data, name), reference[f"{model}/{name}"]
        tolerance = 1e-4 if name == "ones" else 2e-5
        if name in ("Au_cell12", "ones"):  # without folding, slower
            with torch.inference_mode():
                p = torch.softmax(net(torch.from_numpy(x)[None, None]), dim=1)[0, 1].numpy()
            np.testing.assert_allclose(p, truth, rtol=0, atol=2e-5, err_msg=name)
        for engine in engines:
            q = sigmoid(engine(x[None])[0])
            np.testing.assert_allclose(q, truth, rtol=0, atol=tolerance, err_msg=f"{engine.name} {name}")
            if name != "ones":
                np.testing.assert_array_equal(q >= 0.5, truth >= 0.5, err_msg=f"{engine.name} {name}")


def test_paper_outputs_of_both_classes_not_square(data: Path) -> None:
    reference = np.load(data / "pynanofind/reference/nonsquare_256x320.npz")
    net = load_model(data / "pynanofind/weights" / MODELS["AuCdSe"])
    with torch.inference_mode():
        p = torch.softmax(net(torch.from_numpy(reference["x"])[None, None]), dim=1)[0].numpy()
    np.testing.assert_allclose(p.transpose(1, 2, 0), reference["p"], rtol=0, atol=2e-5)


def test_paper_layer_by_layer(data: Path) -> None:
    reference = np.load(data / "pynanofind/reference/layer_activations_64.npz")
    net = load_model(data / "pynanofind/weights" / MODELS["AuCdSe"])
    seen: dict[str, list[np.ndarray]] = {"conv2d": [], "batch_normalization": [], "max_pooling2d": [],
                                         "up_sampling2d": [], "final": [], "activation": []}  # fmt: skip

    def record(kind: str) -> Any:
        return lambda _module, _inputs, output: seen[kind].append(output[0].numpy().transpose(1, 2, 0))

    for block in net.conv_norms():
        block.conv.register_forward_hook(record("conv2d"))
        block.norm.register_forward_hook(record("batch_normalization"))
        block.relu.register_forward_hook(record("activation"))
    for encoder in net.encoders:
        encoder.pool.register_forward_hook(record("max_pooling2d"))
    for decoder in net.decoders:
        decoder.upsample.register_forward_hook(record("up_sampling2d"))
    net.final.register_forward_hook(record("final"))
    with torch.inference_mode():
        net(torch.from_numpy(reference["x"])[None, None])
    # Keras numbers layers as they were made: sorted by number they are in order of execution
    for kind in ("conv2d", "batch_normalization", "max_pooling2d", "up_sampling2d", "activation"):
        names = sorted((n for n in reference if f"_{kind}_" in n), key=lambda n: int(n.rsplit("_", 1)[1]))
        assert len(names) == len(seen[kind])
        for name, ours in zip(names, seen[kind], strict=True):
            np.testing.assert_allclose(ours, reference[name], rtol=0, atol=2e-5 * max(1, abs(ours).max()), err_msg=name)
    last = reference["58_final_layer"]
    ours = softmax(seen["final"][0]) if np.allclose(last.sum(-1), 1) else seen["final"][0]
    np.testing.assert_allclose(ours, last, rtol=0, atol=2e-5)


@pytest.mark.gpu
def test_cuda_equals_cpu(random_unet: Any) -> None:
    import cupy

    model = random_unet()
    x = np.random.default_rng(0).random((1, 256, 320), dtype=np.float32)
    cpu, cuda = make_engine(model, engine="torch")(x), make_engine(model, device="cuda")
    on_device = cuda(cupy.asarray(x))
    assert isinstance(on_device, cupy.ndarray)
    np.testing.assert_allclose(cupy.asnumpy(on_device), cpu, atol=1e-4)
    np.testing.assert_allclose(cuda(x), cpu, atol=1e-4)


@pytest.mark.parametrize("engine", ["openvino", "torch"])
@pytest.mark.parametrize("scaling", ["min_max", "standard"])
def test_bfloat16_is_float32_but_for_its_digits(random_unet: Any, engine: Any, scaling: Any) -> None:
    """Centering is exact: what is left are the few digits of bfloat16, at the border of the image too."""
    model = random_unet()
    model.config = dataclasses.replace(model.config, input_scaling=scaling)
    x = np.random.default_rng(0).normal(0.45, 0.1, (1, 96, 64)).astype(np.float32)
    exact = make_engine(model, engine=engine)(x)
    rounded = make_engine(model, engine=engine, precision="bfloat16")(x)
    assert rounded.dtype == np.float32
    difference = np.abs(rounded - exact)
    assert difference.mean() < 0.02 * exact.std()
    assert difference[:, [0, -1]].mean() < 0.04 * exact.std()
