"""Text files: byte order marks, UTF-16 and the encodings of older programs; JSON that people can read."""

from __future__ import annotations

import codecs
import json

__all__ = ["decode_text", "json_text"]

_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(content: bytes, *, guess: bool = False) -> tuple[str, str]:
    r"""Decode the content of a text file.

    Parameters
    ----------
    content : bytes
        Bytes of the file.
    guess : bool
        Whether bytes that are neither UTF-8 nor UTF-16 are taken for Windows-1252, which has Latin-1 in it.

    Returns
    -------
    text : str
        The text without byte order mark, with ``\n`` at the ends of its lines.
    encoding : str
        The encoding; ``cp1252`` where it was guessed.

    Raises
    ------
    ValueError
        If the bytes are no text in any of these encodings.

    Examples
    --------
    >>> decode_text(b"\xef\xbb\xbfpath\r\n")
    ('path\n', 'utf-8-sig')
    >>> decode_text("path".encode("utf-16"))
    ('path', 'utf-16')
    >>> decode_text("Größe".encode("latin-1"), guess=True)
    ('Größe', 'cp1252')
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None) or _without_mark(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        if not guess or encoding != "utf-8":
            raise
        encoding = "cp1252"
        text = content.decode(encoding)
    if "\0" in text:
        raise ValueError("it is no text: it has bytes of value 0")
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _without_mark(content: bytes) -> str:
    """Return the encoding of bytes without a byte order mark: every second byte of UTF-16 text is mostly 0."""
    even, odd = content[:2000:2], content[1:2000:2]
    if odd and odd.count(0) > 0.4 * len(odd) and even.count(0) == 0:
        return "utf-16-le"
    if even and even.count(0) > 0.4 * len(even) and odd.count(0) == 0:
        return "utf-16-be"
    return "utf-8"


def json_text(content: object, *, margin: str = "\n") -> str:
    """Return JSON with one key, or one record of a list, per line.

    Parameters
    ----------
    content : object
        What JSON can hold; keys are texts, and are sorted.
    margin : str
        Beginning of a new line.

    Returns
    -------
    str
        JSON. With an indentation, Python's encoder takes ten times as long.

    Examples
    --------
    >>> print(json_text({"numbers": [1, 2], "about": {"name": "é"}}))
    {
     "about": {
      "name": "é"
     },
     "numbers": [1, 2]
    }
    """
    inner = margin + " "
    if isinstance(content, dict) and content:
        lines = (f"{_encode(str(key))}: {json_text(content[key], margin=inner)}" for key in sorted(content))
        return "{" + inner + f",{inner}".join(lines) + margin + "}"
    if isinstance(content, list | tuple) and any(isinstance(one, dict) for one in content):
        return "[" + inner + f",{inner}".join(json_text(one, margin=inner) for one in content) + margin + "]"
    return _encode(content)
