"""Numbers as the page prints them: each one looked up in summary.json, by a JSON pointer that stands beside it."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

__all__ = ["Numbers", "as_text", "look_up", "pointer"]


def pointer(*names: str | int) -> str:
    """Return the JSON pointer of a place.

    Parameters
    ----------
    *names : str or int
        Keys and list indices on the way.

    Returns
    -------
    str
        As RFC 6901 writes it.
    """
    return "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


def look_up(content: Any, path: str) -> Any:
    """Return what a JSON pointer points to.

    Parameters
    ----------
    content : object
        Dicts and lists.
    path : str
        The pointer.

    Returns
    -------
    object
        What is there.

    Raises
    ------
    KeyError, IndexError
        If nothing is there.
    """
    for name in path.split("/")[1:]:
        key = name.replace("~1", "/").replace("~0", "~")
        content = content[int(key)] if isinstance(content, list) else content[key]
    return content


def as_text(value: Any, form: str = "number") -> str:
    """Write a value as the page prints it.

    Parameters
    ----------
    value : object
        A number, a string, a bool or None.
    form : {"number", "percent", "p", "whole", "exact"}
        Three significant digits and more for whole numbers; a share as per cent; a p-value; digits in groups of three;
        as it is.

    Returns
    -------
    str
        "–" for None.
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) or form == "exact":
        return str(value)
    if form == "p":
        return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
    if form == "percent":
        share = 100 * value
        text = f"{share:.2g} %" if 0 < abs(share) < 1 else f"{share:.1f} %".replace(".0 %", " %")
        return text.replace("-", "−")
    if isinstance(value, int) or form == "whole":
        return f"{value:,.0f}".replace(",", "\u202f").replace("-", "−")
    return _three_digits(float(value)).replace("-", "−")


def _three_digits(value: float) -> str:
    """Write three significant digits, without an exponent where one can read it so."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.2e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{float(f'{value:.3g}'):.{max(0, 2 - _magnitude(value))}f}"


def _magnitude(value: float) -> int:
    """Return the power of ten of the first digit, once rounded to three."""
    return int(f"{abs(value):.2e}".split("e")[1])


class Numbers:
    """What a template writes numbers with.

    Parameters
    ----------
    summary : dict
        What summary.json holds.
    """

    def __init__(self, summary: dict[str, Any]) -> None:
        self.summary = summary

    def show(self, path: str, form: str = "number") -> Markup:
        """Write one value.

        Parameters
        ----------
        path : str
            Its JSON pointer.
        form : str
            See `as_text`.

        Returns
        -------
        markupsafe.Markup
            An element ``data`` with the exact value and the pointer.
        """
        value = look_up(self.summary, path)
        exact = "" if value is None else value
        return Markup('<data value="{}" data-key="{}" data-form="{}">{}</data>').format(
            exact, path, form, as_text(value, form)
        )

    def interval(self, path: str, form: str = "number") -> Markup:
        """Write an estimate with its interval.

        Parameters
        ----------
        path : str
            JSON pointer of a dict with ``value`` or ``estimate``, ``low`` and ``high``.
        form : str
            See `as_text`.

        Returns
        -------
        markupsafe.Markup
            The value, and the interval in brackets where there is one.
        """
        found = look_up(self.summary, path)
        if found is None:
            return Markup(escape("–"))
        name = "value" if "value" in found else "estimate"
        text = self.show(f"{path}/{name}", form)
        if found.get("low") is not None and found.get("high") is not None:
            low, high = self.show(f"{path}/low", form), self.show(f"{path}/high", form)
            text += Markup(' <span class="ci">[{}, {}]</span>').format(low, high)
        return text
