"""Text in the encodings that editors and spreadsheet programs write."""

import json

import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.text_encoding import decode_text, json_text

TEXT = "[particles]\n# Größe\nmin_area_nm2 = 3.0\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_settings_are_read_in_every_encoding_of_an_editor(tmp_path: object, encoding: str, end: str) -> None:
    path = f"{tmp_path}/settings.toml"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(TEXT.replace("\n", end).encode(encoding))
    assert Settings.from_file(path).particles.min_area_nm2 == 3.0


def test_older_encodings_are_guessed_only_where_asked_for() -> None:
    content = TEXT.encode("latin-1")
    assert decode_text(content, guess=True) == (TEXT, "cp1252")
    with pytest.raises(UnicodeDecodeError):
        decode_text(content)
    assert decode_text(b"") == ("", "utf-8")


def test_settings_that_are_no_text_are_said(tmp_path: object) -> None:
    path = f"{tmp_path}/settings.toml"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(bytes(range(256)))
    with pytest.raises(SettingsError, match=r"cannot read the settings from .*settings.toml"):
        Settings.from_file(path)


def test_json_has_a_line_per_key_and_record_and_means_the_same() -> None:
    content = {"b": [], "a": {"list": [1.5, None, True], "records": [{"é": "\n"}, {}], "nested": [[1], [2]]}, "c": {}}
    text = json_text(content)
    assert json.loads(text) == content
    assert text.splitlines()[1:4] == [' "a": {', '  "list": [1.5, null, true],', '  "nested": [[1], [2]],']
    assert text.splitlines()[4:8] == ['  "records": [', "   {", '    "é": "\\n"', "   },"]
