"""Numbers as people write them: a number that may be another one is asked about, never guessed."""

import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.loading.table_values import column_values, has_decimal_commas


def read(*cells: str, commas: bool = False) -> tuple[list[object], str | None]:
    return column_values(cells, range(2, 2 + len(cells)), name="temp_c", decimal_commas=commas)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("1", "2"), [1, 2]),
        (("1", ""), [1.0, None]),
        (("1e3", "-.5"), [1000.0, -0.5]),
        (("True", "FALSE", ""), [True, False, None]),
        (("dry", "NA"), ["dry", "NA"]),
        (("", ""), [None, None]),
        (("2024-01-05", "2024-02-05"), ["2024-01-05", "2024-02-05"]),
    ],
)
def test_values_and_no_remark(cells: tuple[str, ...], values: list[object]) -> None:
    found, remark = read(*cells)
    assert found == values
    assert [type(v) for v in found] == [type(v) for v in values]
    assert remark is None


@pytest.mark.parametrize(
    ("cells", "why"),
    [(("300", "RT"), "'RT' in row 3"), (("300 C", "350 C"), "'300 C' in row 2"), (("007", "8"), "'007' in row 2"),
     (("1 000", "900"), "'1 000' in row 2"), (("5nm", "6nm", "unknown"), "'5nm' in row 2"), (("inf", "1"), "'inf'")],
)  # fmt: skip
def test_text_that_looks_like_numbers_is_said(cells: tuple[str, ...], why: str) -> None:
    found, remark = read(*cells)
    assert found == list(cells)
    assert remark is not None
    assert why in remark


def test_words_for_missing_numbers_are_missing_and_said() -> None:
    found, remark = read("300", "NA", "n/a", "")
    assert found == [300.0, None, None, None]
    assert remark == "column 'temp_c': 'NA', 'n/a' is read as a missing number"


def test_decimal_commas_are_those_of_the_whole_table() -> None:
    assert has_decimal_commas(["0,021", "1,234"])
    assert has_decimal_commas(["12,5"])
    assert not has_decimal_commas(["1,234", "7"])
    assert not has_decimal_commas(["12,5", "0.021"])
    assert read("0,5", "2", "1,234", commas=True) == ([0.5, 2.0, 1.234], None)


def test_a_comma_that_may_be_either_is_asked_about() -> None:
    with pytest.raises(SettingsError, match=r"row 3: '1,234' may be 1.234 or 1234"):
        read("5", "1,234")
    assert read("water, 1,234")[0] == ["water, 1,234"]
