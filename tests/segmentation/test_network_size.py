"""Model files whose headers ask for more than the files hold: refused before memory or time is spent."""

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hrtem_dask.errors import ModelError
from hrtem_dask.segmentation.network_size import count_weights
from hrtem_dask.segmentation.networks.config import UNetConfig, groschner2021_config
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.segmentation.weights import load_model

MIB = 2**20


@pytest.fixture
def bounded() -> Iterator[None]:
    """Check that a test takes little time and memory."""
    tracemalloc.start()
    began = time.process_time()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - began < 5
    assert peak < 20 * MIB


@pytest.mark.parametrize(
    "config",
    [
        groschner2021_config(),
        UNetConfig(widths=(3, 5, 4), centre_width=7, block_px=2, contact_output=True, n_classes=3),
        UNetConfig(widths=(2,), centre_width=3, kernel_px=5, encoder_convs=3, centre_convs=1, decoder_convs=1),
    ],
)
def test_weights_are_counted_without_building_the_network(config: UNetConfig) -> None:
    state = UNet(config).state_dict()
    assert count_weights(config) == sum(v.numel() for k, v in state.items() if not k.endswith("num_batches_tracked"))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"widths": [10**6], "centre_width": 10**6}, r"a network of \d+ weights, and holds \d+ bytes: save"),
        ({"widths": [2], "centre_width": 2, "kernel_px": 10**7 + 1}, r"a network of \d+ weights"),
        ({"widths": [2], "centre_width": 2, "block_px": 2000}, r"a network of \d+ weights"),
        ({"widths": [1], "centre_width": 1, "encoder_convs": 10**12}, "convolutions, more than 1000"),
        ({"widths": [1] * 40, "centre_width": 1}, "1 × 2\\^40 px to one value, more than 4096"),
        ({"widths": [1.5], "centre_width": 1}, "whole numbers"),
        ([1, 2], "no table of fields"),
    ],
)
def test_configurations_of_safetensors(tmp_path: Path, config: Any, says: str, bounded: None) -> None:
    header = {"format": "hrtem_dask.unet/1", "config": json.dumps(config)}
    save_file({"a": torch.zeros(1)}, tmp_path / "net.safetensors", metadata=header)
    with pytest.raises(ModelError, match=says):
        load_model(tmp_path / "net.safetensors")


def change(path: Path, layer: str, key: str, **dataset: Any) -> None:
    """Replace the first weights of a layer by a data set without any data."""
    with h5py.File(path, "a") as file:
        name = next(n for n in file[layer].attrs["weight_names"] if key in str(n))
        del file[layer][name]
        file[layer].create_dataset(name, **{"dtype": "f4", **dataset})


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        ({"shape": (3, 3, 10**6, 10**6)}, r"it states 36000000000000 bytes, more than the \d+ that are left of 10"),
        ({"shape": (3, 3, 10**6, 10**6), "chunks": (3, 3, 10, 10)}, "it states 36000000000000 bytes"),
        ({"shape": (3, 3, 1, 4), "maxshape": (3, 3, None, None), "chunks": (3, 3, 5000, 5000)}, "states 900000000"),
        ({"shape": (3, 3, 1, 4), "dtype": "S5"}, "not numbers"),
        ({"shape": (1, 0, 1, 4)}, "convolution 1 should have a kernel"),
        ({"shape": (4,)}, "convolution 1 should have a kernel"),
        ({"shape": (2, 2, 1, 4)}, "kernel_px must be odd"),
    ],
)
def test_data_sets_of_keras_files(
    tmp_path: Path, keras_layers: Any, write_keras: Callable[..., Path], dataset: Any, says: str, bounded: None
) -> None:
    path = write_keras(tmp_path / "net.h5", keras_layers())
    layer = "conv2d_1"
    change(path, layer, "kernel" if "kernel" in str(names(path, layer)) else "0", **dataset)
    with pytest.raises(ModelError, match=says):
        load_model(path)


def names(path: Path, layer: str) -> list[Any]:
    with h5py.File(path) as file:
        return list(file[layer].attrs["weight_names"])


def test_kernels_that_imply_a_far_larger_network(
    tmp_path: Path, keras_layers: Any, write_keras: Callable[..., Path], bounded: None
) -> None:
    wide = [
        (name, [np.zeros((1, 1, 1, 40_000), np.float32), w[1]] if name.startswith("conv2d") else w)
        for name, w in keras_layers()
    ]
    with pytest.raises(ModelError, match=r"describes a network of \d+ weights, and holds \d+ bytes"):
        load_model(write_keras(tmp_path / "net.h5", wide))


def test_very_many_layers(tmp_path: Path, bounded: None) -> None:
    with h5py.File(tmp_path / "net.h5", "w", libver="latest") as file:
        file.attrs["layer_names"] = np.full(20_000, b"conv2d_1")
    with pytest.raises(ModelError, match="layer_names has 20000 names, more than 10000"):
        load_model(tmp_path / "net.h5")


def test_bytes_changed_in_model_files(
    tmp_path: Path, keras_layers: Any, write_keras: Callable[..., Path], random_unet: Any
) -> None:
    from hrtem_dask.segmentation.weights import save_model

    keras = write_keras(tmp_path / "good.h5", keras_layers(widths=(2, 2), centre=2))
    save_model(random_unet(widths=(2,), centre=2), tmp_path / "good.safetensors")
    rng = np.random.default_rng(0)
    n_refused = 0
    for good in (keras, tmp_path / "good.safetensors"):
        content = good.read_bytes()
        for _ in range(60):
            changed = bytearray(content)
            for at in rng.integers(0, min(len(content), 20_000), 8):
                changed[at] = rng.choice([0, 1, 0x7F, 0xFF, rng.integers(256)])
            (tmp_path / "bad").write_bytes(changed)
            began = time.process_time()
            try:
                load_model(tmp_path / "bad")
            except ModelError:
                n_refused += 1
            assert time.process_time() - began < 5
    assert n_refused > 20
