"""Weights of ImageNet: converted ones name a known photograph, and files of other kinds are refused."""

from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from safetensors.torch import save_file
from torch.nn import functional
from torchvision.models import mobilenet_v2, resnet50
from torchvision.ops.misc import FrozenBatchNorm2d

from hrtem_dask.detection.networks.backbones import make_trunk
from hrtem_dask.errors import ModelError
from hrtem_dask.training.detection.imagenet_weights import convert_imagenet, find_installed, load_trunk, read_pickle

ESPRESSO = 967
"""Number of the class in ImageNet."""


def test_torchvisions_own_file_becomes_a_gray_backbone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for name, network in (("mobilenet_v2", mobilenet_v2()), ("resnet50", resnet50())):
        torch.save(network.state_dict(), tmp_path / "net.pth")
        assert convert_imagenet(tmp_path / "net.pth", tmp_path / "net.safetensors") == name
        trunk = make_trunk(name).eval()
        load_trunk(trunk, name, tmp_path / "net.safetensors")
        image = torch.randn(1, 1, 64, 64)
        stem = network.eval().features[0][0] if name == "mobilenet_v2" else network.eval().conv1
        own = trunk.features[0][0] if name == "mobilenet_v2" else trunk.conv1  # type: ignore[union-attr, index]
        torch.testing.assert_close(own(image), stem(image.repeat(1, 3, 1, 1)), atol=1e-5, rtol=1e-4)  # type: ignore[operator]


def test_all_layers_of_torchvisions_network_are_used(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = mobilenet_v2(norm_layer=FrozenBatchNorm2d).eval()
    torch.save(network.state_dict(), tmp_path / "net.pth")
    convert_imagenet(tmp_path / "net.pth", tmp_path / "net.safetensors")
    trunk = make_trunk("mobilenet_v2").eval()
    load_trunk(trunk, "mobilenet_v2", tmp_path / "net.safetensors")
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        expected = network.features[:18](image.repeat(1, 3, 1, 1))
        torch.testing.assert_close(trunk(image)["32"], expected, atol=1e-4, rtol=1e-3)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="holds none of efficientnet_lite0"):
        convert_imagenet(tmp_path / "other.pth", tmp_path / "out.safetensors")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="not a dictionary of tensors"):
        read_pickle(tmp_path / "list.pth")
    for text in ("no pickle", "text", "0"):
        (tmp_path / "text.pth").write_text(text)
        with pytest.raises(ModelError, match="cannot be read"):
            read_pickle(tmp_path / "text.pth")
    save_file({"a": torch.zeros(3)}, tmp_path / "plain.safetensors")
    with pytest.raises(ModelError, match="holds no backbone"):
        load_trunk(make_trunk("mobilenet_v2"), "mobilenet_v2", tmp_path / "plain.safetensors")


def test_converted_weights_name_a_photograph(tmp_path: Path) -> None:
    try:
        path = find_installed()
    except ModelError:
        pytest.skip("no package with weights of ImageNet is installed")
    if "efficientnet" not in path.name:
        pytest.skip("the installed weights have no head")
    photograph = skimage.data.coffee()[:, 100:500]
    gray = skimage.color.rgb2gray(photograph)
    image = skimage.transform.resize(gray, (224, 224), anti_aliasing=True) * 255
    seen = torch.from_numpy(((image - 127) / 128).astype(np.float32))[None, None]
    assert convert_imagenet(path, tmp_path / "net.safetensors") == "efficientnet_lite0"
    trunk = make_trunk("efficientnet_lite0").eval()
    load_trunk(trunk, "efficientnet_lite0", tmp_path / "net.safetensors")
    head = read_pickle(path)
    with torch.no_grad():
        x = trunk(seen / 0.45)["32"]  # the first convolution expects a standard deviation of 1
        x = functional.conv2d(x, head["_conv_head.weight"])
        x = functional.batch_norm(x, head["_bn1.running_mean"], head["_bn1.running_var"], head["_bn1.weight"],
                                  head["_bn1.bias"], eps=1e-3)  # fmt: skip
        logits = functional.linear(functional.relu6(x).mean(dim=(2, 3)), head["_fc.weight"], head["_fc.bias"])
    assert logits.argmax(dim=1).item() == ESPRESSO
