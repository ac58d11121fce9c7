"""A change of what rows depend on is a change of the code version; a change of anything else is not."""

import ast
import re
import shutil
from pathlib import Path

import pytest

import hrtem_dask
from hrtem_dask.provenance import (
    ROW_CODE,
    SIMULATION_CODE,
    WHOLE_PACKAGE,
    bytes_hash,
    code_hash,
    code_version,
    record_hash,
)

PACKAGE = Path(hrtem_dask.__file__).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(PACKAGE, tmp_path / "hrtem_dask", ignore=shutil.ignore_patterns("__pycache__", "models"))


def replace(module: Path, old: str, new: str) -> None:
    text = module.read_text(encoding="utf-8")
    assert old in text
    module.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_version_names_the_release_and_the_code() -> None:
    assert code_version().endswith(f"+{code_hash(PACKAGE, ROW_CODE)}")
    assert len({code_version(parts) for parts in (ROW_CODE, SIMULATION_CODE, WHOLE_PACKAGE)}) == 3


def test_words_do_not_count(copy: Path) -> None:
    before = code_hash(copy, ROW_CODE)
    module = copy / "analysis" / "stages.py"
    text = module.read_text(encoding="utf-8")
    edited = re.sub(r'^( *)"""(?=\w)', r'\1"""Other words. ', text, flags=re.MULTILINE).replace(
        "\n\n\n", "\n\n\n# a comment\n\n"
    )
    assert edited != text
    module.write_text(edited, encoding="utf-8")
    (copy / "addresses.py").write_text(ast.unparse(ast.parse((copy / "addresses.py").read_text(encoding="utf-8"))))
    assert code_hash(copy, ROW_CODE) == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("filtering/spikes.py", "return ", "return 2 * "),
        ("analysis/region_features.py", "0.1", "0.2"),
        ("settings/particles.py", "min_area_px: int = 100", "min_area_px: int = 101"),
        ("tables/regions.py", '"misoriented"', '"misaligned"'),
        ("batch/run/record_analysis.py", '"failed"', '"broken"'),
    ],
)
def test_code_that_makes_rows_counts(copy: Path, module: str, old: str, new: str) -> None:
    before = code_hash(copy, ROW_CODE)
    replace(copy / module, old, new)
    assert code_hash(copy, ROW_CODE) != before


@pytest.mark.parametrize("module", ["report/page.py", "cli/report.py", "batch/run/run.py", "population/summary.py"])
def test_code_that_makes_no_rows_does_not_count(copy: Path, module: str) -> None:
    before = code_hash(copy, ROW_CODE), code_hash(copy, SIMULATION_CODE), code_hash(copy, WHOLE_PACKAGE)
    replace(copy / module, "return ", "return 2 * ")
    after = code_hash(copy, ROW_CODE), code_hash(copy, SIMULATION_CODE), code_hash(copy, WHOLE_PACKAGE)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False]


def test_modules_that_are_added_or_moved_count(copy: Path) -> None:
    before = code_hash(copy, ROW_CODE)
    (copy / "loading" / "new.py").touch()
    added = code_hash(copy, ROW_CODE)
    (copy / "loading" / "new.py").rename(copy / "loading" / "newer.py")
    assert len({before, added, code_hash(copy, ROW_CODE)}) == 3


def test_a_part_that_does_not_exist_is_refused(copy: Path) -> None:
    (copy / "addresses.py").unlink()
    with pytest.raises(FileNotFoundError, match=r"addresses\.py is named in provenance\.py"):
        code_hash(copy, ROW_CODE)


# what the code imports beyond the list decides no value of a row: how corrected labels are stored, where tasks run
NOT_IN_ROWS = {"storage", "cluster_settings"}


@pytest.mark.parametrize("parts", [ROW_CODE, SIMULATION_CODE])
def test_what_the_listed_modules_import_is_listed(parts: tuple[str, ...]) -> None:
    listed = {part.removesuffix(".py").split("/")[0] for part in parts} | NOT_IN_ROWS
    modules = [PACKAGE / part for part in parts if part != "__init__.py"]
    files = [f for m in modules for f in ([m] if m.is_file() else m.rglob("*.py"))]
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module == "hrtem_dask":
                names = [f"hrtem_dask.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hrtem_dask."):
                names = [str(node.module)]
            for name in names:
                assert name.split(".")[1] in listed, f"{file} imports {name}, which provenance.py does not list"


def test_hashes_of_records_and_bytes() -> None:
    assert record_hash({"a": [1, None], "b": 2.0}) == bytes_hash(b'{"a": [1, null], "b": 2.0}')
    assert record_hash([1]) != record_hash([2])
    # BLAKE2b of 8 bytes, as `b2sum --length 64` gives it
    assert bytes_hash(b"") == "e4a6a0577479b2b4"


def test_threads_that_disturb_the_parser_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython before 3.13 raises SystemError where several threads parse at the same time."""
    expected, parse, calls = code_hash(PACKAGE, ("addresses.py",)), ast.parse, []

    def disturbed(source: bytes) -> ast.AST:
        calls.append(source)
        if len(calls) < 4:
            raise SystemError("AST constructor recursion depth mismatch (before=48, after=46)")
        return parse(source)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert code_hash(PACKAGE, ("addresses.py",)) == expected
    assert len(calls) == 4
