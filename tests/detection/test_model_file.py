"""Model files that lie: no code of theirs runs, and each ends as an error of this package, soon and small."""

import io
import json
import pickle
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hrtem_dask.defects import load_classifier
from hrtem_dask.detection.model_file import DetectorConfig, load_detector, make_network, save_detector
from hrtem_dask.errors import ModelError
from hrtem_dask.segmentation.weights import load_model

LOADERS = (load_model, load_detector, load_classifier)
CONFIG = DetectorConfig(kind="rotated_rcnn", class_names=("rod",), backbone="mobilenet_v2", channels=8)


class Hurts:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "code has run")


def npz(value: object) -> bytes:
    content = io.BytesIO()
    np.savez(content, a=np.array([value], dtype=object))
    return content.getvalue()


@contextmanager
def little_and_soon() -> Iterator[None]:
    tracemalloc.start()
    began = time.process_time()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 10


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "good.safetensors"
    save_detector(make_network(CONFIG), CONFIG, path)
    return path.read_bytes()


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors", "model.pkl", "model.h5"])
def test_pickles_are_refused_and_never_run(tmp_path: Path, load: Callable[[Path], Any], name: str) -> None:
    path, hurt = tmp_path / name, tmp_path / "hurt"
    for write in (
        lambda: path.write_bytes(pickle.dumps(Hurts(hurt))),
        lambda: torch.save({"weights": Hurts(hurt)}, path),
        lambda: torch.save({"weights": Hurts(hurt)}, path, _use_new_zipfile_serialization=False),
        lambda: path.write_bytes(npz(Hurts(hurt))),
    ):
        write()
        with pytest.raises(ModelError), little_and_soon():
            load(path)
        assert not hurt.exists()


def header_of(content: bytes) -> dict[str, Any]:
    (n,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + n])


def with_header(content: bytes, header: dict[str, Any]) -> bytes:
    (n,) = struct.unpack("<Q", content[:8])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + n :]


def shapes_that_lie(header: dict[str, Any], shape: list[int]) -> dict[str, Any]:
    name = next(key for key in header if key != "__metadata__")
    return {**header, name: {**header[name], "shape": shape}}


@pytest.mark.parametrize("shape", [[2**31, 2**31], [2**63 - 1], [1], [-1], []])
def test_shapes_that_the_bytes_do_not_have(tmp_path: Path, detector: bytes, shape: list[int]) -> None:
    path = tmp_path / "lies.safetensors"
    path.write_bytes(with_header(detector, shapes_that_lie(header_of(detector), shape)))
    with pytest.raises(ModelError), little_and_soon():
        load_detector(path)


@pytest.mark.parametrize("size", [2**63, 2**62, 10**12, 2**31, 0])
@pytest.mark.parametrize("load", LOADERS)
def test_headers_of_a_gigantic_size(tmp_path: Path, load: Callable[[Path], Any], size: int) -> None:
    path = tmp_path / "lies.safetensors"
    path.write_bytes(struct.pack("<Q", size) + b"{" * 1000)
    with pytest.raises(ModelError), little_and_soon():
        load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 10**9}, {"channels": 8.5}, {"channels": "8"}, {"channels": None}, {"class_names": 5},
        {"class_names": ["a"] * 10**5}, {"class_names": []}, {"kind": ["rotated_rcnn"]}, {"backbone": {"a": 1}},
        {"backbone": "resnet1000"}, {"more": 1}, {"channels": 16}, {"class_names": ["a", "b"]},
    ],
)  # fmt: skip
def test_configurations_that_lie(tmp_path: Path, detector: bytes, change: dict[str, Any]) -> None:
    header = header_of(detector)
    config = {**json.loads(header["__metadata__"]["config"]), **change}
    metadata = {**header["__metadata__"], "config": json.dumps(config)}
    path = tmp_path / "lies.safetensors"
    path.write_bytes(with_header(detector, {**header, "__metadata__": metadata}))
    with pytest.raises(ModelError), little_and_soon():
        load_detector(path)


def test_bytes_changed_in_a_detector(tmp_path: Path, detector: bytes) -> None:
    rng = np.random.default_rng(0)
    end, n_refused = 8 + struct.unpack("<Q", detector[:8])[0], 0
    for number in range(40):
        content = bytearray(detector[: int(rng.integers(len(detector)))] if number % 4 == 0 else detector)
        for at in rng.integers(0, min(end, len(content)), 1 + number % 8):
            content[at] = rng.choice([0, 1, 0x7F, 0xFF, rng.integers(256)])
        (tmp_path / "bad").write_bytes(content)
        try:
            with little_and_soon():
                load_detector(tmp_path / "bad")
        except ModelError:
            n_refused += 1
    assert n_refused > 20
