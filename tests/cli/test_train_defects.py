"""The command line of training the classifier of regions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from hrtem_dask.cli import main
from hrtem_dask.defects import load_classifier
from hrtem_dask.training.forest.presets import GROSCHNER2021_FEATURES


def labelled(path: Path, *, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, 80)
    table = pd.DataFrame({name: rng.normal(size=80) + truth for name in GROSCHNER2021_FEATURES})
    table["region_class"] = np.array(["misoriented", "stacking_fault"])[truth]
    table["micrograph_id"] = rng.integers(0, 10, 80)
    table.to_csv(path, index=False)
    return path


def test_from_a_table_to_a_model_and_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("presets", "groschner2021"):  # 500 trees, many times over, take long
        monkeypatch.setattr(f"hrtem_dask.training.forest.{module}.N_TREES", 20)
    data, test = labelled(tmp_path / "a.csv", seed=0), labelled(tmp_path / "b.csv", seed=1)
    out, card = tmp_path / "m.safetensors", tmp_path / "m.md"
    arguments = ["train", "defects", data, "--out", out, "--test", test, "--card", card, "--search", 2]
    arguments += ["--preset", "groschner2021", "--cluster", "threads"]
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    assert "one random split of regions, as in the paper: 20 test regions" in result.stdout
    assert "test, all: 80 regions" in result.stdout
    assert "not used in training" in card.read_text()
    model = load_classifier(out)
    predicted = model.predict(pd.read_csv(test))
    assert (predicted["region_class"] == pd.read_csv(test)["region_class"]).mean() > 0.7


def test_a_file_of_another_kind_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    out = str(tmp_path / "m.safetensors")
    result = CliRunner().invoke(
        main, ["train", "defects", str(tmp_path / "a.txt"), "--out", out, "--cluster", "threads"]
    )
    assert result.exit_code == 1
    assert "a.txt: this is neither a table" in result.stderr


def test_no_cluster_starts_for_wrong_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrtem_dask.batch.training.train_defects.connect", None)
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").mkdir()
    for name, says in (("wrong.csv", "needs the column 'region_class'"), ("empty", "contains no folder of a class")):
        call = ["train", "defects", str(tmp_path / name), "--out", str(tmp_path / "m.safetensors")]
        result = CliRunner().invoke(main, call)
        assert result.exit_code == 1, result.output
        assert says in result.stderr
