"""The table of samples: who matches what, and what is wrong with it."""

from pathlib import Path

import numpy as np
import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.loading import find_sources, list_micrographs, read_metadata, to_row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.npy", "a/2.npy", "b/1.npy", "b/3.npy"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "in" / name, np.ones((2, 2)))
    return tmp_path


def metadata(folder: Path, text: str) -> Path:
    (folder / "samples.csv").write_text(text, encoding="utf-8-sig")
    return folder / "samples.csv"


def test_exact_path_before_name_before_pattern(folder: Path) -> None:
    table = read_metadata(
        metadata(folder, "path, sample, age_h, pixel_size_nm\na/*,young,1,\n1.npy,both,2,0.05\nb/1.npy,old,3,\n")
    )
    sources = find_sources(folder / "in")
    rows = {s.relative: to_row(list_micrographs(s, metadata=table, pixel_size_nm=0.1)[0]) for s in sources}
    assert {k: (r["sample"], r.get("age_h")) for k, r in rows.items()} == {
        "a/1.npy": ("both", 2), "a/2.npy": ("young", 1), "b/1.npy": ("old", 3), "b/3.npy": ("b", None),
    }  # fmt: skip
    assert (rows["a/1.npy"]["pixel_size_y_nm"], rows["a/1.npy"]["pixel_size_source"]) == (0.05, "metadata")
    assert (rows["a/2.npy"]["pixel_size_y_nm"], rows["a/2.npy"]["pixel_size_source"]) == (0.1, "user")
    assert table.unmatched_rows(sources) == []
    assert table.unmatched_sources(sources) == ["b/3.npy"]


def test_unmatched_rows_are_named(folder: Path) -> None:
    table = read_metadata(metadata(folder, "path,sample\na/1.npy,x\ntypo.npy,y\nc/*,z\n"))
    assert table.unmatched_rows(find_sources(folder / "in")) == [
        "metadata row 3: 'typo.npy' matches no file", "metadata row 4: 'c/*' matches no file",
    ]  # fmt: skip


def test_patterns_that_disagree_are_an_error_and_those_that_agree_are_none(folder: Path) -> None:
    source = find_sources(folder / "in")[0]
    with pytest.raises(SettingsError, match=r"'a/\*' \(row 2\), '\*1.npy' \(row 3\)"):
        read_metadata(metadata(folder, "path,sample\na/*,x\n*1.npy,y\n")).row(source)
    assert read_metadata(metadata(folder, "path,sample\na/*,x\n*1.npy,x\n")).row(source) == {"sample": "x"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,sample\na,b\n", "needs a column 'path', it has file, sample"),
        ("path,sample\na,b\nc,d\na,e\n", "names 'a' more than once: rows 2, 4"),
        ("path,status\na,b\n", "column 'status'"),
        ("path,sample\n,b\n", "no path in row 2"),
        ("path,pixel_size_nm\na,0\n", "row 2: pixel_size_nm must be positive"),
        ("path,pixel_size_nm\na,0.1\nb,wide\n", "pixel_size_nm must be positive, got 'wide'"),
        ("", "cannot read"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_metadata(metadata(folder, text))


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the metadata file"):
        read_metadata(tmp_path / "absent.csv")


def test_a_table_of_paths_only(folder: Path) -> None:
    table = read_metadata(metadata(folder, "path\na/1.npy\n"))
    assert table.row(find_sources(folder / "in")[0]) == {}


@pytest.mark.parametrize("column", ["mean_intensity", "region_class", "counted", "area_nm2", "attempts", "reason"])
def test_no_column_of_any_table_of_the_results_is_taken(folder: Path, column: str) -> None:
    with pytest.raises(SettingsError, match=f"has a column '{column}', which the results have"):
        read_metadata(metadata(folder, f"path,{column}\na/1.npy,1\n"))


def test_names_are_names_and_blanks_do_not_count(folder: Path) -> None:
    table = read_metadata(metadata(folder, "path,sample\na/1.npy,NA\na/2.npy,None\nb/1.npy,A\nb/3.npy,A \n"))
    found = [table.row(source)["sample"] for source in find_sources(folder / "in")]
    assert found == ["NA", "None", "A", "A"]


def test_decimal_commas_behind_semicolons(folder: Path) -> None:
    table = read_metadata(metadata(folder, "path;sample;pixel_size_nm;age_h\na/1.npy;1;0,021;1,234\n"))
    assert table.row(find_sources(folder / "in")[0]) == {"sample": "1", "pixel_size_nm": 0.021, "age_h": 1.234}


@pytest.mark.parametrize(
    "column", ["pixel_size", "PixelSize", "pixel size (um)", "pixel_size_A", "px_size", "pixelsize_pm", "A/px"]
)
def test_a_pixel_size_without_its_unit_is_asked_about(folder: Path, column: str) -> None:
    with pytest.raises(SettingsError, match="is it the pixel size"):
        read_metadata(metadata(folder, f"path,{column}\na/1.npy,0.05\n"))


@pytest.mark.parametrize("column", ["pixel_size_nm", "Pixel_Size_nm", "pixel size (nm)", "pixel_size [nm]", "nm/px"])
def test_a_pixel_size_with_its_unit_is_understood(folder: Path, column: str) -> None:
    table = read_metadata(metadata(folder, f"path,{column}\na/1.npy,0.05\n"))
    assert table.row(find_sources(folder / "in")[0]) == {"pixel_size_nm": 0.05}


def test_a_covariate_that_looks_like_a_number_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = read_metadata(metadata(folder, "path,anneal_c\na/*,300\nb/*,RT\n"))
    assert table.row(find_sources(folder / "in")[0]) == {"anneal_c": "300"}
    assert "column 'anneal_c' looks like numbers but is text, because of 'RT' in row 3" in caplog.text


def test_two_columns_of_one_name_and_columns_without_name_are_said(folder: Path) -> None:
    with pytest.raises(SettingsError, match="two columns 'sample'"):
        read_metadata(metadata(folder, "path,sample,Sample\na/1.npy,x,y\n"))
    with pytest.raises(SettingsError, match="cells in column 2, which has no name"):
        read_metadata(metadata(folder, "path,,sample\na/1.npy,x,y\n"))


def test_a_path_matches_in_both_unicode_forms_and_as_a_whole(folder: Path) -> None:
    np.save(folder / "in" / "ne\u0301.npy", np.ones((2, 2)))
    (source,) = (s for s in find_sources(folder / "in") if s.name.startswith("ne"))
    assert read_metadata(metadata(folder, "path,sample\nn\u00e9.npy,x\n")).row(source) == {"sample": "x"}
    assert read_metadata(metadata(folder, f"path,sample\n{source.path},y\n")).row(source) == {"sample": "y"}
