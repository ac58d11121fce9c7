"""The cases of ../shared/cases through a run, with the outcome that its README calls right."""

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from distributed import Client

import hrtem_dask as hd
from hrtem_dask.chosen_settings import choose_settings
from hrtem_dask.cli import main
from hrtem_dask.settings import Settings

pytestmark = pytest.mark.slow
KEEP = {"loading": {"duplicates": "keep"}}


@pytest.fixture(scope="module")
def cases() -> ModuleType:
    """The program that writes the cases."""
    repository = Path(__file__).parents[3]
    default = repository.parent / "shared" / "cases" / "make_cases.py"
    program = Path(os.environ.get("HRTEM_DASK_CASES", default))
    if not program.is_file():
        pytest.skip(f"no trouble cases: {program} is absent (set HRTEM_DASK_CASES)")
    spec = importlib.util.spec_from_file_location("make_cases", program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def outcome(cases: ModuleType, tmp_path: Path, settings: Settings, client: Client) -> Callable[..., pd.DataFrame]:
    """Make a case, run it, and return its micrographs by the name of the file, with the mean size of what counts."""

    def run(case: str, *, changes: dict[str, object] | None = None, metadata: str | None = None) -> pd.DataFrame:
        folder = tmp_path / case
        if not folder.exists():
            folder.mkdir()
            cases.CASES[case](folder)
        chosen = settings.updated({"particles": {"min_area_nm2": 0.5}, **(changes or {})})
        table = None if metadata is None else folder / metadata
        hd.run(folder, tmp_path / "r", settings=chosen, metadata=table, cluster=client)
        results = hd.open_results(tmp_path / "r")
        counted = results.particles[results.particles["counted"].fillna(False).astype(bool)]
        sizes = counted.groupby("micrograph_id")["equivalent_diameter_nm"].agg(["size", "mean"])
        found = results.micrographs.join(sizes, on="micrograph_id")
        found.index = pd.Index([Path(source).name for source in found["source"]])
        return found.assign(reason=found["reason"].astype(object).fillna(""))

    return run


def test_ome_sets(outcome: Callable[..., pd.DataFrame]) -> None:
    found = outcome("ome_set")
    assert list(found["status"]) == ["done"] * 3
    assert list(found["pixel_size_y_nm"]) == pytest.approx([0.05, 0.1, 0.2])
    assert found["size"].sum() == 48


def test_the_last_file_of_an_ome_set(outcome: Callable[..., pd.DataFrame]) -> None:
    assert list(outcome("ome_set_one_left")["pixel_size_y_nm"]) == pytest.approx([0.2])


def test_unsigned_bytes(outcome: Callable[..., pd.DataFrame]) -> None:
    found = outcome("mrc_unsigned_bytes", changes=KEEP)
    assert list(found["size"]) == [16] * 3
    assert list(found["mean"]) == pytest.approx([4.0] * 3, rel=0.01)


def test_jeol_in_stem(outcome: Callable[..., pd.DataFrame]) -> None:
    found = outcome("jeol_stem")
    assert found.loc["tem.tif", "pixel_size_y_nm"] == pytest.approx(0.683, abs=0.001)
    assert found.loc["stem.tif", "status"] == "set_aside"
    assert pd.isna(found.loc["stem.tif", "pixel_size_y_nm"])


def test_a_border_of_nan(outcome: Callable[..., pd.DataFrame]) -> None:
    found = outcome("nan_border", changes=KEEP)
    assert found.loc["aligned.tif", "size"] == 9
    assert found.loc["aligned.tif", "mean"] == pytest.approx(4.0, rel=0.01)


def test_one_overview_among_details(outcome: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    assert outcome("mixed_magnifications")["size"].sum() == 538
    sizes = json.loads((tmp_path / "r" / "summary.json").read_text())["all"]["equivalent_diameter_nm"]
    assert sizes["mean"] == pytest.approx(14.9, abs=0.1)
    assert sizes["number_weighted"]["mean_nm"]["low"] is None
    assert "magnification" in sizes["interval_reason"]


@pytest.mark.parametrize("case", ["mrc_negative_cell", "imagej_print_resolution"])
def test_what_is_no_pixel_size(outcome: Callable[..., pd.DataFrame], case: str) -> None:
    found = outcome(case)
    assert set(found["status"]) == {"set_aside"}
    assert found["pixel_size_y_nm"].isna().all()


def test_copies_are_counted_once(outcome: Callable[..., pd.DataFrame]) -> None:
    found = outcome("copies")
    assert list(found["status"].sort_index()) == ["set_aside", "done", "set_aside"]
    assert found["size"].sum() == 16


def test_a_gray_picture_with_three_channels(outcome: Callable[..., pd.DataFrame]) -> None:
    found = outcome("colour_array", changes={"loading": {"pixel_size_nm": 0.05}})
    assert list(found["size"]) == [16]


def test_own_exports(outcome: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    first = outcome("own_exports")
    folder, runner = tmp_path / "own_exports", CliRunner()
    for arguments in (
        ["--format", "tiff", "--format", "labels", "--out", "to_correct"],
        ["--format", "zarr", "--out", "z"],
    ):
        *given, name = arguments
        done = runner.invoke(main, ["export", str(tmp_path / "r"), *given, str(folder / name)])
        assert done.exit_code == 0, done.output
    shutil.rmtree(tmp_path / "r")
    again = outcome("own_exports")
    assert first["size"].sum() == again["size"].sum() == 48
    assert (again["status"] == "done").sum() == 3


def test_names_of_samples(outcome: Callable[..., pd.DataFrame]) -> None:
    assert list(outcome("sample_names", metadata="samples.csv")["sample"]) == ["NA", "None", "A", "A"]


@pytest.mark.parametrize(("table", "sizes"), [("numbers.csv", [0.021, 0.021]), ("words.csv", [0.05, 0.05])])
def test_rows_with_a_comma_at_the_end(outcome: Callable[..., pd.DataFrame], table: str, sizes: list[float]) -> None:
    found = outcome("ragged_csv", metadata=table)
    assert list(found["pixel_size_y_nm"]) == pytest.approx(sizes)
    assert list(found["sample"]) == (["A", "A"] if table == "numbers.csv" else ["A", "B"])


@pytest.mark.parametrize("table", ["semicolon", "decimal_comma", "latin1", "utf16", "empty_rows"])
def test_tables(outcome: Callable[..., pd.DataFrame], table: str) -> None:
    found = outcome("tables_and_settings", metadata=f"{table}.csv")
    assert list(found["pixel_size_y_nm"]) == pytest.approx([0.021, 0.042])
    assert list(found["sample"]) == ["Gr\u00f6\u00dfe", "B"]


def test_a_pixel_size_without_unit_and_settings_with_a_mark(
    outcome: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    with pytest.raises(hd.errors.SettingsError, match="pixel_size_nm"):
        outcome("tables_and_settings", metadata="size_without_unit.csv")
    assert choose_settings(tmp_path / "tables_and_settings" / "settings_bom.toml").particles.min_area_nm2 == 3.0


def test_a_line_profile_does_not_end_the_batch(outcome: Callable[..., pd.DataFrame]) -> None:
    found = outcome("narrow_image")
    assert list(found["status"]) == ["done", "done", "set_aside"]
    assert "line profile" in found.loc["line_profile.tif", "reason"]


def test_movies(outcome: Callable[..., pd.DataFrame]) -> None:
    assert list(outcome("ome_stack", changes=KEEP)["status"]) == ["done"] * 10


@pytest.mark.parametrize(("case", "n_done"), [("dm_tag_with_brackets", 2), ("dm_with_colour", 3)])
def test_dm_files(outcome: Callable[..., pd.DataFrame], case: str, n_done: int) -> None:
    done = outcome(case, changes=KEEP).query("status == 'done'")
    assert list(done["pixel_size_y_nm"]) == pytest.approx([0.05] * n_done)
    assert list(done["size"]) == [16] * n_done


def test_a_palette(outcome: Callable[..., pd.DataFrame]) -> None:
    found = outcome("palette_with_overlay_colours")
    assert list(found["size"]) == [16]
    assert list(found["pixel_size_y_nm"]) == pytest.approx([0.05])


def test_two_unicode_forms(outcome: Callable[..., pd.DataFrame]) -> None:
    assert list(outcome("name_forms")["status"]) == ["done"] * 3


@pytest.mark.parametrize("keep_bytes", [0, 200])
def test_a_damaged_ledger(outcome: Callable[..., pd.DataFrame], tmp_path: Path, keep_bytes: int) -> None:
    first = outcome("damaged_ledger")
    part = next((tmp_path / "r" / "parts").glob("*.particles.parquet"))
    content = part.read_bytes()[:keep_bytes]
    part.unlink()
    if content:
        part.write_bytes(content)
    again = outcome("damaged_ledger")
    assert list(again["status"]) == ["done"] * 3
    assert list(first["mean"]) == list(again["mean"])


def test_inspect_says_what_a_run_does(cases: ModuleType, tmp_path: Path, client: Client) -> None:
    cases.CASES["magnification"](tmp_path)
    table = hd.inspect_files(tmp_path)
    small = Settings().updated({"execution": {"device": "cpu"}})
    hd.run(tmp_path, tmp_path / "r", settings=small, cluster=client)
    ran = hd.open_results(tmp_path / "r").micrographs
    assert list(table["status"] == "ok") == list(ran["status"].isin(["done", "empty"]))
    assert np.array_equal(table["reason"].notna(), ran["reason"].notna())


@pytest.mark.parametrize("address", ["foo://x", "zip://*.tif::a.zip"])
def test_addresses_of_unknown_kinds(address: str) -> None:
    done = CliRunner().invoke(main, ["inspect", address])
    assert done.exit_code != 0
    assert len(done.output.strip().splitlines()) == 1
    assert "Traceback" not in done.output
