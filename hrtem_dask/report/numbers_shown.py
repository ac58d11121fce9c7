"""Formatting of the numbers on the page; each carries the JSON pointer of its value in summary.json."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

from hrtem_dask.report.json_types import JsonDict

__all__ = ["Numbers", "as_text", "look_up", "pointer"]


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def pointer(*names: str | int) -> str:
    """Build the JSON pointer (RFC 6901) of a value.

    Parameters
    ----------
    *names : str or int
        Keys and list indices on the way to the value.

    Returns
    -------
    str
        The pointer, with ``~`` and ``/`` in keys escaped.

    Examples
    --------
    >>> pointer("samples", "Au/CdSe", "fits", 0)
    '/samples/Au~1CdSe/fits/0'
    """
    return "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


def look_up(content: JsonDict, path: str) -> Any:
    """Return the value at a JSON pointer.

    Parameters
    ----------
    content : dict
        Nested dicts and lists.
    path : str
        JSON pointer, as `pointer` builds it.

    Returns
    -------
    object
        The value.

    Raises
    ------
    KeyError, IndexError
        If there is no value at the pointer.

    Examples
    --------
    >>> look_up({"samples": {"Au": {"n": [12, 30]}}}, "/samples/Au/n/1")
    30
    """
    found: Any = content
    for name in path.split("/")[1:]:
        key = name.replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def as_text(value: object, form: str = "number") -> str:
    """Format a value for the page.

    Parameters
    ----------
    value : object
        A number, a string, a bool or None.
    form : {"number", "area", "percent", "p", "p at most", "whole", "about", "short", "exact", "decimals N"}
        ``number``: three significant digits, or all digits of an int; ``area``: nm², or µm² from 10⁵ nm² on, with the
        unit; ``percent``: a share, in percent; ``p``: a p-value; ``p at most``: one that is as small as the number of
        simulations allows; ``whole``: rounded to an integer, digits in groups of three; ``about``: two significant
        digits; ``short``: without zeros at the end; ``exact``: unchanged; ``decimals N``: N digits after
        the point.

    Returns
    -------
    str
        Text; "–" for None.

    Examples
    --------
    >>> as_text(4.5678), as_text(0.1234, "percent"), as_text(0.0002, "p"), as_text(None)
    ('4.57', '12.3 %', '< 0.001', '–')
    >>> as_text(80.0, "short"), as_text(1_400_927, "about").replace("\u202f", " "), as_text(3.456, "about")
    ('80', '1 400 000', '3.5')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if form == "exact" or not isinstance(value, int | float):
        return str(value)
    if form == "short":
        return f"{value:g}".replace("-", "−")
    if form == "about":
        rounded = float(f"{value:.1e}")
        whole = isinstance(value, int) or rounded == 0 or abs(rounded) >= 10
        return as_text(rounded, "whole" if whole else f"decimals {1 - _magnitude(rounded)}")
    if form.startswith("decimals "):
        return f"{value:.{int(form.split()[1])}f}".replace("-", "−")
    if form == "p at most" and value >= 0.0005:
        return f"≤ {value:.3f}"
    if form.startswith("p "):
        form = "p"
    if form == "p":
        return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
    if form == "area":
        return f"{_three_digits(value / 1e6)} µm²" if abs(value) >= 1e5 else f"{_three_digits(value)} nm²"
    if form == "percent":
        share = 100 * value
        text = f"{share:.2g} %" if 0 < abs(share) < 1 else f"{share:.1f} %".replace(".0 %", " %")
        return text.replace("-", "−")
    if isinstance(value, int) or form == "whole":
        return f"{value:,.0f}".replace(",", "\u202f").replace("-", "−")
    return _three_digits(float(value)).replace("-", "−")


def _three_digits(value: float) -> str:
    """Format three significant digits; use an exponent only for very small and very large numbers."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        digits, power = f"{value:.2e}".split("e")
        return f"{digits}\u202f×\u202f10{str(int(power)).translate(_SUPERSCRIPT)}"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{float(f'{value:.3g}'):.{max(0, 2 - _magnitude(value))}f}"


def _magnitude(value: float) -> int:
    """Return the power of ten of the first digit, after rounding to three digits."""
    return int(f"{abs(value):.2e}".split("e")[1])


class Numbers:
    """Formatter of the numbers of one summary, for the template.

    Parameters
    ----------
    summary : dict
        Content of summary.json.
    """

    def __init__(self, summary: JsonDict) -> None:
        self.summary = summary

    def show(self, path: str, form: str = "number") -> Markup:
        """Format one value.

        Parameters
        ----------
        path : str
            JSON pointer of the value.
        form : str
            Format, see `as_text`.

        Returns
        -------
        markupsafe.Markup
            Element ``data`` with the formatted and the exact value, and the pointer.
        """
        value = look_up(self.summary, path)
        exact = "" if value is None else value
        if form == "p" and value is not None and self._is_smallest(path, value):
            form = "p at most"
        return Markup('<data value="{}" data-key="{}" data-form="{}">{}</data>').format(
            exact, path, form, as_text(value, form)
        )

    def _is_smallest(self, path: str, p: float) -> bool:
        """Return whether a p-value is the smallest one that its number of simulations can give."""
        beside = look_up(self.summary, path.rpartition("/")[0])
        smallest = beside.get("smallest_p") if isinstance(beside, dict) else None
        return smallest is not None and p <= smallest * (1 + 1e-9)

    def expanded(self, path: str, unit: str = "") -> Markup:
        """Format a value with its expanded uncertainty: two digits of it, and the value to the same digit.

        Parameters
        ----------
        path : str
            JSON pointer of an uncertainty budget.
        unit : str
            Unit that follows the numbers.

        Returns
        -------
        markupsafe.Markup
            Such as "5.17 ± 0.23"; the value alone where the uncertainty is not known, and with a remark where it is
            larger than the value.
        """
        found = look_up(self.summary, path)
        unit = f" {unit}" if unit else ""
        name, uncertainty = (
            ("value_nm", "expanded_uncertainty_nm") if "value_nm" in found else ("value", "expanded_uncertainty")
        )
        if found[uncertainty] is None or not found[uncertainty] > 0:
            return Markup("{}{}").format(self.show(f"{path}/{name}"), unit)
        if found[uncertainty] >= abs(found[name]):
            shown = self.show(f"{path}/{name}"), self.show(f"{path}/{uncertainty}", "about")
            larger = Markup('{0}{2} <small class="ci">(uncertainty larger: ± {1}{2})</small>')
            return larger.format(*shown, unit)
        decimals = max(0, 1 - int(f"{found[uncertainty]:.1e}".split("e")[1]))
        cells = [
            Markup('<data value="{}" data-key="{}" data-form="{}">{}</data>').format(
                found[key], f"{path}/{key}", f"decimals {decimals}", as_text(found[key], f"decimals {decimals}")
            )
            for key in (name, uncertainty)
        ]
        return Markup("{} ± {}{}").format(*cells, unit)

    def interval(self, path: str, form: str = "number") -> Markup:
        """Format an estimate with its interval.

        Parameters
        ----------
        path : str
            JSON pointer of a dict with ``value`` or ``estimate``, ``low`` and ``high``; or of None.
        form : str
            Format, see `as_text`.

        Returns
        -------
        markupsafe.Markup
            The value, followed by the interval in brackets if there is one.
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
