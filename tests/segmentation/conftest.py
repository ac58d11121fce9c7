"""Networks for the tests: random ones whose every layer matters, as torch modules and as Keras 2 weight files."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

Layers = list[tuple[str, list[np.ndarray]]]


def _sizes(widths: tuple[int, ...], centre: int, encoder_convs: int) -> tuple[list[list[int]], list[int]]:
    encoder, below = [], 1
    for width in widths:
        encoder.append([below, *[width] * encoder_convs])
        below = width
    return encoder, [below, centre, centre]


@pytest.fixture(scope="session")
def keras_layers() -> Callable[..., Layers]:
    """Random layers (name, weights) of a Keras U-Net in order of execution, scaled so that no signal dies."""

    def make(
        *,
        widths: tuple[int, ...] = (4, 8, 16, 32),
        centre: int = 32,
        encoder_convs: int = 1,
        pool_before_relu: bool = True,
        n_classes: int = 2,
        seed: int = 0,
    ) -> Layers:
        rng = np.random.default_rng(seed)
        layers: Layers = [("input_1", [])]
        numbers: dict[str, int] = {}

        def add(kind: str, *weights: np.ndarray) -> None:
            numbers[kind] = numbers.get(kind, 0) + 1
            layers.append((f"{kind}_{numbers[kind]}", [w.astype(np.float32) for w in weights]))

        def conv_norm(n_in: int, n_out: int) -> None:
            scale = np.sqrt(1.4 / (9 * n_in))
            add("conv2d", rng.normal(0, scale, (3, 3, n_in, n_out)), rng.normal(0, 0.3, n_out))
            add("batch_normalization", rng.uniform(0.8, 1.6, n_out), rng.normal(0.2, 0.4, n_out),
                rng.normal(0, 0.3, n_out), rng.uniform(0.5, 1.5, n_out))  # fmt: skip

        encoder, (below, *inside) = _sizes(widths, centre, encoder_convs)
        for sizes in encoder:
            for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
                conv_norm(n_in, n_out)
                if i < encoder_convs - 1 or not pool_before_relu:
                    add("activation")
            add("max_pooling2d")
        for n_out in inside:
            conv_norm(below, n_out)
            add("activation")
            below = n_out
        for width in reversed(widths):
            if pool_before_relu:
                add("activation")  # of the skip connection: Keras sorts it here, far from its convolution
            add("up_sampling2d")
            add("concatenate")
            conv_norm(below + width, width)
            add("activation")
            add("dropout")
            conv_norm(width, width)
            add("activation")
            below = width
        layers.append(
            ("final_layer", [rng.normal(0, 1, (1, 1, below, n_classes)).astype(np.float32),
                             rng.normal(0, 0.3, n_classes).astype(np.float32)])
        )  # fmt: skip
        return layers

    return make


@pytest.fixture(scope="session")
def write_keras() -> Callable[[Path, Layers], Path]:
    """Write layers as Keras 2 writes weights."""
    parts = {2: ("kernel:0", "bias:0"), 4: ("gamma:0", "beta:0", "moving_mean:0", "moving_variance:0"), 0: ()}

    def write(path: Path, layers: Layers) -> Path:
        with h5py.File(path, "w") as file:
            file.attrs["backend"] = b"tensorflow"
            file.attrs["keras_version"] = b"2.2.2"
            file.attrs["layer_names"] = [name.encode() for name, _ in layers]
            for name, weights in layers:
                group = file.create_group(name)
                names = [f"{name}/{part}" for part in parts[len(weights)]]
                group.attrs["weight_names"] = [n.encode() for n in names]
                for n, values in zip(names, weights, strict=True):
                    group[n] = values
        return path

    return write


@pytest.fixture(scope="session")
def random_unet(
    tmp_path_factory: pytest.TempPathFactory, keras_layers: Callable[..., Layers], write_keras: Any
) -> Callable[..., Any]:
    """A random U-Net as a torch module."""

    def make(**options: Any) -> Any:
        from hrtem_dask.segmentation.weights import load_model

        path = tmp_path_factory.mktemp("net") / "net.h5"
        return load_model(write_keras(path, keras_layers(**options)))

    return make
