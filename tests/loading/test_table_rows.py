"""Tables as spreadsheet programs save them: one table in every form gives the same rows."""

import sys
from pathlib import Path

import openpyxl
import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.loading.table_rows import read_rows

TABLE = [["path", "sample", "size"], ["a.tif", "Größe", "0.5"], ["b.tif", "B", ""]]


def text(separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(row) + end for row in TABLE)


def cells(path: Path) -> list[list[str]]:
    rows, _ = read_rows(str(path), "path")
    return [list(row.cells) for row in rows]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_form_gives_the_same_cells(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text(separator, end).encode(encoding))
    assert cells(path) == TABLE


@pytest.mark.parametrize(
    "content",
    [
        "path,sample,size,\na.tif,Größe,0.5,\nb.tif,B,,\n",
        "path,sample,size\na.tif,Größe,0.5,\nb.tif,B,,,\n",
        "\n\npath,sample,size\n,,\n  a.tif ,\tGröße\u00a0, 0.5\n\n,,\nb.tif,B\n,,,,\n",
        '"path","sample","size"\n"a.tif","Größe","0.5"\n"b.tif","B",""\n',
        "sep=;\npath;sample;size\na.tif;Größe;0.5\nb.tif;B;\n",
        "Path,sample,size\na.tif,Größe,0.5\nb.tif,B,",
    ],
    ids=["separator at every end", "ragged", "empty rows and blanks", "quoted", "separator named", "case"],
)
def test_what_spreadsheets_add_changes_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    assert [[cell.replace("Path", "path") for cell in row] for row in cells(tmp_path / "t.csv")] == TABLE


def test_rows_have_the_numbers_that_a_spreadsheet_shows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('\npath,note\n,\na,"two\nlines"\n\nb,x\n')
    rows, _ = read_rows(str(tmp_path / "t.csv"), "path")
    assert [row.number for row in rows] == [2, 4, 6]


def test_a_workbook_is_read_like_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    notes = book.active
    notes.append(["taken", "on Monday"])
    sheet = book.create_sheet("table")
    for row in (["path", "sample", "size"], [None, None, None], ["a.tif", "Größe ", 0.5], ["b.tif", "B", None]):
        sheet.append(row)
    book.save(tmp_path / "any name.csv")
    rows, remarks = read_rows(str(tmp_path / "any name.csv"), "path")
    assert [list(row.cells) for row in rows] == TABLE
    assert [row.number for row in rows] == [1, 3, 4]
    assert remarks == (f"of the sheets of {str(tmp_path / 'any name.csv')!r} only 'table' is used",)


def test_a_guessed_encoding_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text().encode("latin-1"))
    assert "Windows-1252" in read_rows(str(path), "path")[1][0]
    path.write_bytes(text().encode("utf-16"))
    assert read_rows(str(path), "path")[1] == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"path,size\na.tif,0,021\n", r"row 2, has more fields than the header has columns \(2\)"),
        (b'path,size\na.tif,"0.5\nb.tif,1\n', "quotation mark"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel workbook"),
        (b"PK\x03\x04 cut off", "as an Excel workbook"),
        (b"path,\x81\x8d\n", "save it as CSV in UTF-8"),
        (b"\x00\x01\x02\x00\x00\x07" * 9, "no text"),
        (b" \n,,\n", "it is empty"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        read_rows(str(tmp_path / "t.csv"), "path")


def test_a_workbook_without_its_library_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openpyxl.Workbook().save(tmp_path / "t.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(SettingsError, match=r"pip install openpyxl.*save the table as CSV"):
        read_rows(str(tmp_path / "t.xlsx"), "path")
