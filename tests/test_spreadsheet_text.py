"""Texts of others in spreadsheets: no formula is left, and nothing else is changed."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.spreadsheet_text import for_a_workbook, plain_text, without_formulas
from hrtem_dask.storage.exchange import table_files
from hrtem_dask.storage.location import Location

BEGINS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


@pytest.mark.parametrize("begin", BEGINS)
def test_what_begins_a_formula_gets_an_apostrophe(begin: str) -> None:
    for text in (f"{begin}1+A1", f"{begin}cmd|' /C calc'!A0", f"a;{begin}1+A1", f"a\n{begin}1+A1"):
        assert plain_text(text) != text
        assert plain_text(text).replace("'", "") == text.replace("'", "")


def test_blanks_before_a_formula_hide_nothing() -> None:
    assert plain_text(" =1+1") == "' =1+1"


@pytest.mark.parametrize("text", ["", "-1", "+2.5e-3", "-.5", "Au = gold", "a-b", "day 1; dose 2", "name@host", "1;2"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert plain_text(text) == text


@given(st.lists(st.text(alphabet="=+-@\t\r\n;, a1'\"", max_size=12), min_size=1, max_size=5))
def test_no_cell_begins_a_formula_whatever_separates_them(texts: list[str]) -> None:
    table = pd.DataFrame({"note": texts, "number": range(len(texts))})
    text = without_formulas(table).to_csv(index=False)
    back = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)["note"].tolist()
    for cell in (part for one in back for part in one.replace("\r", "\n").replace("\n", ";").split(";")):
        number = plain_text(cell) == cell
        assert number or not cell.lstrip().startswith(("=", "+", "-", "@")), cell
    assert table["note"].tolist() == texts, "the table itself is not changed"


def test_names_of_columns_and_categories_too() -> None:
    table = pd.DataFrame({"=1": pd.Categorical(["@a", "b"]), "x": [-1, 2], "also": ["", "-a"]})
    safe = without_formulas(table)
    assert list(safe.columns) == ["'=1", "x", "also"]
    assert safe.to_numpy().tolist() == [["'@a", -1, ""], ["b", 2, "'-a"]]


def test_a_workbook_holds_the_very_text_and_escapes_for_control_characters(tmp_path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed: pip install openpyxl")
    table = pd.DataFrame({"note": ["=1+1", "bell\x07", "-1", None], "=x": [1, 2, 3, 4]})
    assert for_a_workbook(table)["note"].tolist()[:2] == ["=1+1", "bell\\x07"]
    table_files.write_workbook(Location.of(tmp_path), {"particles": table})
    sheet = openpyxl.load_workbook(tmp_path / "tables.xlsx")["particles"]
    assert [(c.value, c.data_type, c.quotePrefix) for c in (sheet["A2"], sheet["A3"], sheet["B1"])] == [
        ("=1+1", "s", True),
        ("bell\\x07", "s", False),
        ("=x", "s", True),
    ]
