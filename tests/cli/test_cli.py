import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner

from hrtem_dask.cli import main


@pytest.fixture
def micrograph(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.tif"
    path.parent.mkdir()
    image = np.full((100, 100), 1000, np.uint16)
    image[30:70, 30:70] = 100
    tifffile.imwrite(path, image, imagej=True, resolution=(20, 20), metadata={"unit": "nm"})
    return path


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    return result.exit_code, result.output


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; sys.argv = ['hrtem-dask', 'run', '--help']\n"
        "from hrtem_dask.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'dask', 'numpy', 'pandas', 'xarray', 'openvino'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_run_ends_in_a_table(micrograph: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, output = call("run", micrograph.parent, "-o", out, "--method", "otsu", "--cluster", "threads", "-q")
    assert code == 0, output
    assert "1 done" in output
    assert "1 of 1 micrographs has no verdict" in output.splitlines()[-1]  # Otsu predicts no quality
    assert len(pd.read_parquet(out / "particles.parquet")) == 1


def test_run_ends_with_its_doubts_and_what_to_do(micrograph: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    forced = ("--regime", "lattice", "--pixel-size", 0.15)
    code, output = call("run", micrograph.parent, "-o", out, *forced, "--cluster", "threads", "-q")
    assert code == 0, output
    row = pd.read_parquet(out / "micrographs.parquet").iloc[0]
    assert (row["verdict"], row["pixel_size_in_training"]) == ("doubtful", False)
    lines = output[output.index("results:") :].splitlines()[1:]
    assert lines[0] == "1 of 1 micrographs is doubtful"
    for reason in row["doubt_reasons"].split("; "):
        assert f"  1 because: {reason} ({row['micrograph_id']})" in lines
    assert "pixel size unlike those of the training" in row["doubt_reasons"]
    assert "--diameter" in lines[-1]
    assert json.loads((out / "summary.json").read_text())["verdicts"]["n_doubtful"] == 1


def test_run_says_how_many_objects_are_below_the_counting_limit(micrograph: Path, tmp_path: Path) -> None:

    image = tifffile.imread(micrograph)
    image[80:83, 10:13] = image[80:83, 50:53] = 100
    tifffile.imwrite(micrograph, image, imagej=True, resolution=(20, 20), metadata={"unit": "nm"})
    code, output = call("run", micrograph, "--out", tmp_path / "out", "--method", "otsu", "--cluster", "threads")
    assert code == 0, output
    assert "2 objects below the counting limit of 100 px (0.5 nm² where that is larger) were not counted" in output
    assert pd.read_parquet(tmp_path / "out" / "micrographs.parquet")["n_too_small"].tolist() == [2]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["n_too_small"] == 2


def test_run_says_what_is_not_counted_and_that_frames_of_a_stack_are(micrograph: Path, tmp_path: Path) -> None:
    image = tifffile.imread(micrograph)
    image[:20, :20] = image[50, 50]  # another particle, at the border
    stack = np.stack([np.roll(image, i, 1) for i in (0, 3)])
    tifffile.imwrite(micrograph, stack, imagej=True, resolution=(20, 20), metadata={"unit": "nm", "axes": "TYX"})
    code, output = call("run", micrograph, "--out", tmp_path / "out", "--method", "otsu", "--cluster", "threads")
    assert code == 0, output
    assert "particles:   4, 2 of them counted; not counted: at the border: 2" in output
    assert f"2 counted micrographs are frames of stacks ({micrograph.name}: 2)" in output


def test_run_says_when_nothing_could_be_analysed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.dm3").write_bytes(b"\x00\x00")
    code, output = call("run", tmp_path / "in", "-o", tmp_path / "out", "--cluster", "threads", "-q")
    assert code == 1
    assert "no micrograph could be analyzed" in output
    assert pd.read_parquet(tmp_path / "out" / "micrographs.parquet")["status"].tolist() == ["failed"]


def test_inspect_names_what_is_wrong(micrograph: Path, tmp_path: Path) -> None:
    tifffile.imwrite(micrograph.parent / "b.tif", np.ones((40, 40), np.uint16))
    table = tmp_path / "table.csv"
    code, output = call("inspect", micrograph.parent, "--csv", table)
    assert code == 0, output
    rows = pd.read_csv(table)
    assert rows["status"].tolist() == ["ok", "set_aside"]
    assert rows["pixel_size_y_nm"].iloc[0] == pytest.approx(0.05)
    code, output = call("inspect", micrograph.parent / "b.tif")
    assert code == 1
    assert "1 image: no pixel size in the file: give one" in " ".join(output.split())


def test_a_pixel_of_exactly_1_nm_is_named_and_a_stated_one_is_not(micrograph: Path, tmp_path: Path) -> None:
    """ImageJ and others write 1 nm where no scale was set: 87 nm was the trusted median of particles of 3 nm."""
    image = tifffile.imread(micrograph)
    tifffile.imwrite(micrograph, image, imagej=True, resolution=(1, 1), metadata={"unit": "nm"})
    code, output = call("inspect", micrograph)
    assert code == 0, output
    assert "1 image: a pixel of exactly 1 nm, as programs write it that know no pixel size: check it" in " ".join(
        output.split()
    )
    run = ("run", micrograph, "--out", tmp_path / "out", "--method", "otsu", "--cluster", "threads")
    code, output = call(*run)
    assert code == 0, output
    assert "pixel size:  1 micrograph has a pixel of exactly 1 nm" in output
    assert pd.read_parquet(tmp_path / "out" / "micrographs.parquet")["calibration_flags"].tolist() == ["unset_pixel"]
    code, output = call(*run, "--pixel-size", "1")
    assert code == 0, output
    assert "pixel size:" not in output


def test_ingest_then_run_gives_what_the_files_give(micrograph: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.zarr"
    code, output = call("ingest", micrograph.parent, "-o", store, "--cluster", "threads")
    assert code == 0, output
    for source, out in ((micrograph.parent, "files"), (store, "zarr")):
        code, output = call("run", source, "-o", tmp_path / out, "--method", "otsu", "--cluster", "threads", "-q")
        assert code == 0, output
    files, stored = (pd.read_parquet(tmp_path / out / "particles.parquet") for out in ("files", "zarr"))
    names = [c for c in files if c not in {"micrograph_id", "sample"}]
    pd.testing.assert_frame_equal(files[names], stored[names])


def test_mistakes_are_one_line(micrograph: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[particles]\nmin_area = 3\n")
    code, output = call("run", micrograph, "-o", tmp_path / "out", "--settings", bad)
    assert code == 1
    assert "unknown setting particles.min_area" in output
    assert "Traceback" not in output


def test_run_groups_the_reasons_and_names_the_next_command(micrograph: Path, tmp_path: Path) -> None:
    for i in range(3):
        (micrograph.parent / f"cut{i}.tif").write_bytes(micrograph.read_bytes()[:200])
    code, output = call("run", micrograph.parent, "-o", tmp_path / "out", "--method", "otsu", "--cluster", "threads")
    assert code == 0, output
    rows = pd.read_parquet(tmp_path / "out" / "micrographs.parquet")
    reasons = rows.loc[rows["status"] == "failed", "reason"]
    assert len(reasons) == 3
    for reason, n in reasons.str.replace(r"^cut\d.tif: ", "", regex=True).value_counts().items():
        assert f"failed:      {n} because: {reason}" in output.splitlines()
    assert output.splitlines()[-1].startswith(f"next:        hrtem-dask report {tmp_path / 'out'}")


@pytest.mark.parametrize("size", ["-1", "0", "nan", "inf"])
def test_an_impossible_pixel_size_starts_no_cluster(
    micrograph: Path, tmp_path: Path, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hrtem_dask.batch.run.run.connect", lambda *_, **__: pytest.fail("a cluster was started"))
    for command in (("run", micrograph, "-o", tmp_path / "out"), ("inspect", micrograph)):
        code, output = call(*command, "--pixel-size", size)
        assert code == 1
        assert output.startswith("Error: a pixel size must be positive and finite, got ")
        assert len(output.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_input_folder_is_no_results_folder(micrograph: Path) -> None:
    code, output = call("run", micrograph.parent, "-o", micrograph.parent)
    assert code == 1
    assert output.startswith(f"Error: all 1 files of {micrograph.parent} lie in the results folder")
    assert "--out" in output


def test_debug_shows_where_an_error_was_raised(micrograph: Path, tmp_path: Path) -> None:
    arguments = ("run", micrograph, "-o", tmp_path / "out", "--metadata", tmp_path / "none.csv")
    assert "Traceback" not in call(*arguments)[1]
    code, output = call(*arguments, "--debug")
    assert code == 1
    assert "Traceback" in output
    assert output.splitlines()[-1].startswith("Error: cannot read the metadata file")


def test_a_run_ends_with_the_median_and_says_how_far_it_is(micrograph: Path, tmp_path: Path) -> None:
    for name in ("b", "c"):
        image = tifffile.imread(micrograph)
        image[50:, 40:50] = {"b": 900, "c": 800}[name]
        tifffile.imwrite(
            micrograph.with_name(f"{name}.tif"), image, imagej=True, resolution=(20, 20), metadata={"unit": "nm"}
        )
    code, output = call("run", micrograph.parent, "-o", tmp_path / "out", "--method", "otsu", "--cluster", "threads")
    assert code == 0, output
    assert "1 of 3 micrographs · " in output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    median = summary["all"]["equivalent_diameter_nm"]["median"]
    assert f"sizes:       median diameter {median:.3g} nm, uncertainty not known: " in output


def test_inspect_names_each_problem_once(micrograph: Path) -> None:
    for i in range(3):
        (micrograph.parent / f"cut{i}.tif").write_bytes(micrograph.read_bytes()[:200])
    code, output = call("inspect", micrograph.parent)
    assert code == 0, output
    assert "problem 1, 3 images: " in output
    assert "problem 2" not in output
    assert [line.split()[-1] for line in output.splitlines() if line.startswith("cut")] == ["1"] * 3
    assert "signal" not in output.splitlines()[0], "a column that says nothing is left out"


def test_completion_knows_commands_and_choices() -> None:
    from click.shell_completion import ShellComplete

    complete = ShellComplete(main, {}, "hrtem-dask", "_HRTEM_DASK_COMPLETE")
    assert {"run", "inspect", "report"} <= {item.value for item in complete.get_completions([], "")}
    methods = [item.value for item in complete.get_completions(["run", "--method"], "o")]
    assert methods == ["otsu"]


def test_a_run_says_that_the_report_is_older(micrograph: Path, tmp_path: Path) -> None:
    arguments = ("run", micrograph.parent, "-o", tmp_path / "out", "--method", "otsu", "--cluster", "threads")
    assert call(*arguments)[1].splitlines()[-1].endswith("figures and statistics, one page")
    (tmp_path / "out" / "report.html").write_text("of an earlier run")
    assert call(*arguments)[1].splitlines()[-1].endswith("its report.html is older than this run")
