"""No message of an error is empty."""

import pytest

from hrtem_dask.errors import error_text, typed_error_text


def caused() -> Exception:
    try:
        try:
            raise OSError("the disk is full")
        except OSError as error:
            raise TimeoutError from error
    except TimeoutError as error:
        return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("too small"), "too small"),
        (TimeoutError(), "TimeoutError: something did not answer in time; nothing more is known"),
        (AssertionError(), "AssertionError: nothing more is known"),
        (OSError("  "), "OSError: nothing more is known"),
        (caused(), "TimeoutError: the disk is full"),
    ],
)
def test_a_message_is_never_empty(error: Exception, text: str) -> None:
    assert error_text(error) == text
    typed = typed_error_text(error)
    assert typed.startswith(f"{type(error).__name__}: ")
    assert typed.count(type(error).__name__) == 1
