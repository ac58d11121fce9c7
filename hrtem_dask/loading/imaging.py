"""How an image was taken, from the words of its file: the detector, STEM, and what is no image of the specimen."""

from __future__ import annotations

import re

__all__ = ["stated_imaging", "stated_reciprocal"]

_DARK = re.compile(r"(?<![a-z])(?:ha|ma|la)?adf(?![a-z])|(?<![a-z])df-?[0-9s](?![a-z0-9])|dark[ _-]?field", re.I)
_BRIGHT = re.compile(r"(?<![a-z])a?bf(?![a-z])|bright[ _-]?field", re.I)
_STEM = re.compile(r"(?<![a-z])(?:cs-?)?stem(?![a-z])", re.I)
_ANNULAR = re.compile(r"(?<![a-z])(?:ha|ma|la)?adf(?![a-z])", re.I)
_RECIPROCAL = re.compile(
    r"(?<![a-z])(?:fft|saedp?|sadp|cbed|nbed|nbd|paced|ronchigrams?|diffractograms?|power[ _-]spectr(?:um|a)"
    r"|(?:electron[ _-])?diffraction[ _-]patterns?)(?![a-z])|^\W*(?:electron[ _-])?diffraction[\W\d]*$",
    re.I,
)
_BACK_TRANSFORMED = re.compile(r"inverse|inv[ _.-]|filter|ifft|before|after|mask", re.I)


def stated_imaging(title: str, description: str = "", file_name: str = "") -> str:
    """Return how a file says that its image was taken.

    Parameters
    ----------
    title : str
        Name of the signal. It is the most certain, since a file may describe several detectors.
    description : str
        Further text about the acquisition.
    file_name : str
        Name of the file; only the name of an annular dark-field detector in it counts.

    Returns
    -------
    str
        ``"dark field (…)"`` or ``"bright field (…)"`` with the words of the file, ``"STEM"`` where it names no
        detector, or empty where it states nothing. A text that names both is passed over.

    Examples
    --------
    >>> stated_imaging("HAADF"), stated_imaging("Image 3", "STEM nP SA Zoom Image"), stated_imaging("Ceta")
    ('dark field (HAADF)', 'STEM', '')
    """
    for text in (title, description):
        dark, bright = _DARK.search(text), _BRIGHT.search(text)
        if dark and not bright:
            return f"dark field ({dark[0]})"
        if bright and not dark:
            return f"bright field ({bright[0]})"
    named = _ANNULAR.search(file_name)
    if named and not _BRIGHT.search(file_name):
        return f"dark field ({named[0]} in the name of the file)"
    return "STEM" if any(_STEM.search(text) for text in (title, description)) else ""


def stated_reciprocal(title: str) -> str:
    """Return the words of a title that name a diffraction pattern, Ronchigram or Fourier transform.

    Parameters
    ----------
    title : str
        Name of the signal.

    Returns
    -------
    str
        The words; empty where there are none, or where the image is transformed back.

    Examples
    --------
    >>> stated_reciprocal("Live FFT of area 2"), stated_reciprocal("IFFT of area 2"), stated_reciprocal("HAADF")
    ('FFT', '', '')
    """
    found = _RECIPROCAL.search(title)
    return "" if found is None or _BACK_TRANSFORMED.search(title) else found[0].strip()
