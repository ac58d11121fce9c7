from pathlib import Path

import cv2
import numpy as np
from click.testing import CliRunner

from hrtem_dask.cli import main


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(
        main, ["reproduce", "groschner2021", *map(str, arguments), "--cluster", "threads"], env={"COLUMNS": "200"}
    )
    return result.exit_code, result.output


def test_labelled_regions_alone_give_figure_5f(tmp_path: Path, rng: np.random.Generator) -> None:
    for k, name in enumerate(("yes", "no_fringe")):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(16):
            picture = rng.normal(80 + 60 * k, 10, (30, 30)).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "in" / name / f"particle_{i:03d}.png"), picture)
    code, output = call("--data", tmp_path / "in", "--out", tmp_path / "out", "--orders", 1)
    assert code == 0, output
    lines = [line.split() for line in output.splitlines()]
    row = next(line for line in lines if line[:1] == ["stacking_fault"])
    assert row[1:6] == ["0.000", "0.000", "0.000", "0.000", "1.000"]
    assert next(line for line in lines if line[:2] == ["out-of-bag", "accuracy"])[2:] == ["0.851", "1.000"]
    for part in ("needed for Table 1, combined", "agglomeration/, empty/, no/", "0.864", "52% / 49%"):
        assert part in output
    assert "Table 1:" not in output.replace("needed for Table 1", "")
    assert (tmp_path / "out" / "reproduction.md").is_file()


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    code, output = call("--data", tmp_path / "absent")
    assert code == 1
    assert "is not a folder" in output
    assert "Traceback" not in output
