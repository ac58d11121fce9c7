"""The commands train detection and train backbone, from weights of ImageNet to a detector."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torchvision.models import mobilenet_v2

from hrtem_dask.cli import main
from hrtem_dask.detection.model_file import load_detector
from hrtem_dask.training.detection.recipes import DetectionRecipe

TINY = DetectionRecipe(
    backbone="mobilenet_v2", channels=16, crop_px=64, batch=2, images=4, images_per_epoch=4, validation_scenes=1,
    validation_px=96,
)  # fmt: skip


def test_from_weights_of_imagenet_to_a_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save(mobilenet_v2().state_dict(), "net.pth")
    Path("tiny.toml").write_text(TINY.to_toml())
    done = CliRunner().invoke(main, ["train", "backbone", "net.pth", "--out", "net.safetensors"])
    assert done.exit_code == 0, done.output
    assert "mobilenet_v2" in done.output
    command = ["train", "detection", "--recipe", "tiny.toml", "--device", "cpu", "--out", "rods.safetensors"]
    done = CliRunner().invoke(main, [*command, "--backbone", "net.safetensors", "--freeze-backbone"])
    assert done.exit_code == 0, done.output
    assert "map50" in done.output
    assert load_detector("rods.safetensors")[1].backbone == "mobilenet_v2"
    assert Path("rods.training/log.csv").read_text().startswith("images,loss,map50")
    Path("tiny.toml").write_text(replace(TINY, learning_rate=1e-4).to_toml())
    done = CliRunner().invoke(main, command)
    assert done.exit_code != 0
    assert "another recipe" in done.output


def test_what_a_user_can_mend_is_one_line(tmp_path: Path) -> None:
    missing = CliRunner().invoke(
        main, ["train", "detection", "--recipe", "none", "--out", str(tmp_path / "a.safetensors")]
    )
    assert missing.exit_code != 0
    assert "there is no recipe 'none'" in missing.output
