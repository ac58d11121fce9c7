"""The command line of training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from hrtem_dask.cli import main
from hrtem_dask.segmentation.weights import load_model
from hrtem_dask.training.fine_tuning import fine_tune, other_images

RECIPE = """
crop_px = 32
batch = 4
crops_per_epoch = 16
validation_share = 0.3
[network]
widths = [4, 4]
centre_width = 4
block_px = 1
input_scaling = "standard"
"""


@pytest.fixture(autouse=True)
def _one_other_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score one simulated image of each regime only."""
    monkeypatch.setattr(fine_tune, "simulated_lattice", lambda: other_images.simulated_lattice(1))
    monkeypatch.setattr(fine_tune, "simulated_contrast", lambda: other_images.simulated_contrast(1))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    rng = np.random.default_rng(0)
    for i in range(5):
        mask = np.zeros((64, 64), np.uint8)
        mask[10:30, 20:45] = 255 * (i > 0)
        assert cv2.imwrite(str(tmp_path / f"{i}.png"), (rng.integers(0, 99, (64, 64)) + mask // 2).astype(np.uint8))
        assert cv2.imwrite(str(tmp_path / f"{i}_mask.png"), mask)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(main, ["train", "segmentation", *map(str, arguments)])


def test_training_and_fine_tuning(folder: Path) -> None:
    out, recipe = folder / "m.safetensors", folder / "recipe.toml"
    first = run(folder, "--out", out, "--recipe", recipe, "--epochs", 2, "--seed", 1)
    assert first.exit_code == 0, first.output
    assert "epoch 2/2: loss" in first.stderr
    assert "ended:       after 2 epochs" in first.stdout
    assert load_model(out).config.widths == (4, 4)
    tuned = run(folder, "--out", folder / "t.safetensors", "--recipe", recipe, "--from", out, "--epochs", 1)
    assert tuned.exit_code == 0, tuned.output
    table = tuned.stdout.splitlines()
    start = table.index("held out, 4 folds                  Dice before    after   change")
    assert table[start + 1] == "fold 1"
    mean = next(i for i, line in enumerate(table) if line.startswith("mean"))
    assert [line for line in table[start:mean] if line.startswith("fold")] == [f"fold {k}" for k in range(1, 5)]
    assert len(table[start + 1 : mean]) == 4 + 5  # a line per fold and per micrograph
    assert sum(line.split()[1:] == ["empty", "empty"] for line in table[start:mean]) == 1
    assert table[mean].endswith("n = 4")
    assert table[mean + 1].startswith("falsely found on empty ones")
    assert table[mean + 2] == "images of another kind"
    assert [line[2:11] for line in table[mean + 3 : mean + 5]] == ["simulated"] * 2
    assert "predicted_dice: none, because the initial network has no calibration" in table


def test_fine_tuning_with_images_of_the_user(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    out, recipe, other = folder / "m.safetensors", folder / "recipe.toml", tmp_path_factory.mktemp("mine")
    for name in ("1.png", "1_mask.png"):
        (other / name).write_bytes((folder / name).read_bytes())
    assert run(folder, "--out", out, "--recipe", recipe, "--epochs", 1).exit_code == 0
    tuned = run(folder, "--out", folder / "t.safetensors", "--recipe", recipe, "--from", out, "--epochs", 1,
                "--folds", 0, "--other", other)  # fmt: skip
    assert tuned.exit_code == 0, tuned.output
    assert "held out, not trained on" in tuned.stdout
    assert "fold 1" not in tuned.stdout
    assert f"  {other.name}" in tuned.stdout


def test_what_a_user_can_mend_is_one_line(folder: Path) -> None:
    for arguments, says in [
        ((folder / "absent",), "does not exist"),
        ((folder, "--recipe", "best"), "neither a recipe"),
        ((folder, "--from", folder / "recipe.toml"), "neither a safetensors file"),
        ((folder, "--folds", 4), "--folds is for fine-tuning alone"),
        ((folder, "--other", folder), "--other is for fine-tuning alone"),
        ((folder, "--from", "bundled", "--folds", 1), "leaves nothing to train on"),
        ((folder, "--from", "bundled", "--folds", 9), "9 folds need"),
        ((folder, "--from", "bundled", "--diameter", 5, "--diameter-px", 80), "not both"),
    ]:
        result = run(*arguments, "--out", folder / "m.safetensors")
        assert result.exit_code == (2 if "absent" in str(arguments) else 1)
        assert says in result.stderr
        assert "Traceback" not in result.stderr
