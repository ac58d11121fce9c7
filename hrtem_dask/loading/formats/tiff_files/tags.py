"""Pixel sizes from the tags of TIFF files; every manufacturer of microscopes has its own tags.

rosettasciio drops ImageJ's unit and ignores the resolution unit, so these tags are read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import tifffile

from hrtem_dask.loading.agreement import combine
from hrtem_dask.loading.pixel_sizes import Calibration, calibrate, length_in_nm

__all__ = ["TiffImage", "calibration", "fei_labels", "is_scanning", "jeol_xml", "tag_value"]

LARGEST_PRINT_FREE_NM = 1000.0
"""Larger pixels per inch or cm (nm) are a print or screen resolution (72, 96, 300 dpi), not a calibration."""
_DIFFRACTION = Calibration(reciprocal=True)
_RESOLUTION_UNITS = {2: "inch", 3: "cm"}
_PRINT_RESOLUTIONS = {72.0, 96.0, 150.0, 300.0, 600.0, 1200.0}
"""Dots per inch that picture programs write; as pixels per nm or µm no scale bar gives them to the last digit."""


@dataclass(frozen=True)
class TiffImage:
    """One image of an open TIFF file."""

    tif: tifffile.TiffFile
    """The open file."""
    page: Any
    """The image's first page."""
    series: int
    """Number of the image in the file."""
    ome_pixels: Mapping[str, str] | None = None
    """Attributes of its own element ``Pixels`` of the OME-XML; None where there is none, or it is not known which."""


def calibration(image: TiffImage) -> Calibration:
    """Return the pixel size of one image of a TIFF file.

    Parameters
    ----------
    image : TiffImage
        The image.

    Returns
    -------
    Calibration
        Pixel size from the first of these that states it: Thermo Fisher/FEI, Olympus SIS, TVIPS, JEOL, Zeiss,
        DigitalMicrograph, OME, ImageJ, the plain resolution tags. The sizes that the others state are in its `others`.
    """
    readers: tuple[Callable[[TiffImage], Calibration | None], ...] = (
        _fei, _fei_resolution, _sis, _tvips, _jeol, _zeiss, _digital_micrograph, _ome, _imagej, _resolution,
    )  # fmt: skip
    found: list[Calibration] = []
    for reader in readers:
        try:
            one = reader(image)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError, ElementTree.ParseError, ZeroDivisionError):
            continue  # a damaged tag is ignored; the next one may be readable
        found += [] if one is None else [one]
    return combine(found)


def tag_value(image: TiffImage, code: int | str) -> Any:
    """Return the value of a tag.

    Parameters
    ----------
    image : TiffImage
        One image of a TIFF file.
    code : int or str
        Number or name of the tag.

    Returns
    -------
    object
        Its value; None where it is absent.
    """
    tag = image.page.tags.get(code)
    return None if tag is None else tag.value


def _fei(image: TiffImage) -> Calibration | None:
    """Read Thermo Fisher/FEI scanning images: tag 34680 or 34682, pixel size in m."""
    meta = image.tif.fei_metadata if image.tif.is_fei else None
    if not meta:
        return None
    scan, beam, size_px = meta.get("Scan", {}), meta.get("IRBeam", {}), meta.get("Image", {})
    if "PixelWidth" in scan:
        return calibrate((scan["PixelHeight"], scan["PixelWidth"]), ("m", "m"), "file: TIFF FEI Scan.PixelWidth")
    size = float(beam["VFW"]) / float(size_px["ResolutionY"]), float(beam["HFW"]) / float(size_px["ResolutionX"])
    return calibrate(size, ("m", "m"), "file: TIFF FEI IRBeam.HFW")


def _fei_resolution(image: TiffImage) -> Calibration | None:
    """Read tags 65450–65452 of FEI's TIA and TEM user interface, a resolution on the specimen."""
    if tag_value(image, 65452) is None:
        return None
    if "iffraction" in fei_labels(image).get("Mode", ""):
        return _DIFFRACTION
    return _per_unit(
        tag_value(image, 65451), tag_value(image, 65450), tag_value(image, 65452), "file: TIFF FEI tags 65450-65452"
    )


def fei_labels(image: TiffImage) -> dict[str, str]:
    """Return the labels that FEI's TEM software writes as XML; other FEI software writes INI text.

    Parameters
    ----------
    image : TiffImage
        One image of a TIFF file.

    Returns
    -------
    dict
        Label → value; empty where there is none.
    """
    tag = image.page.tags.get(34682) or image.page.tags.get(34680)
    if tag is None:
        return {}
    image.tif.filehandle.seek(tag.valueoffset)
    text = image.tif.filehandle.read(tag.count).strip(b"\0 \r\n")
    if not text.startswith(b"<"):
        return {}
    return {d.findtext("Label", ""): d.findtext("Value", "").strip() for d in ElementTree.fromstring(text).iter("Data")}


def _sis(image: TiffImage) -> Calibration | None:
    """Read Olympus Soft Imaging Solutions: tag 33560, pixel size in m."""
    meta = tag_value(image, 33560)
    if not isinstance(meta, dict):
        return None
    return calibrate((meta["pixelsizey"], meta["pixelsizex"]), ("m", "m"), "file: TIFF Olympus SIS")


def _tvips(image: TiffImage) -> Calibration | None:
    """Read TVIPS: tag 37706, pixel size in nm."""
    meta = tag_value(image, 37706)
    if not isinstance(meta, dict):
        return None
    return calibrate((meta["PixelSizeY"], meta["PixelSizeX"]), ("nm", "nm"), "file: TIFF TVIPS PixelSizeX")


def _jeol(image: TiffImage) -> Calibration | None:
    """Read JEOL SightX: resolution on the camera, divided by the magnification."""
    xml = jeol_xml(image)
    if xml is None:
        return None
    if xml.findtext(".//ImageFormingSystem/ModeString", "") == "DIFF" and not is_scanning(xml):
        return _DIFFRACTION
    if is_scanning(xml):
        return Calibration(
            note="a JEOL STEM image: its magnification is that of the lenses, which do not make the image"
        )
    magnification = float(xml.findtext(".//ImageFormingSystem/SelectorValue", "nan"))
    found = [Calibration()]
    drawn = xml.find(".//DrawImageInformation/PixelsPerMeter")
    if drawn is not None:
        size = tuple(1 / float(drawn.findtext(axis, "nan")) / magnification for axis in ("Vertical", "Horizontal"))
        found.append(calibrate((size[0], size[1]), ("m", "m"), "file: TIFF JEOL PixelsPerMeter / magnification"))
    per_unit = [1 / _inverse(tag_value(image, code)) for code in (283, 282)]
    if set(per_unit) <= _PRINT_RESOLUTIONS and int(tag_value(image, 296)) == 2:
        note = f"a resolution of {per_unit[0]:g} dots per inch is that of a picture program, not of the camera"
        return combine([*found, Calibration(note=note)])
    unit = _RESOLUTION_UNITS[int(tag_value(image, 296))]
    scales = 1 / per_unit[0] / magnification, 1 / per_unit[1] / magnification
    return combine([calibrate(scales, (unit, unit), "file: TIFF JEOL resolution / magnification"), *found])


def is_scanning(xml: Any) -> bool:
    """Return whether a JEOL microscope was scanning its beam.

    Parameters
    ----------
    xml : xml.etree.ElementTree.Element
        From `jeol_xml`.

    Returns
    -------
    bool
        True for STEM (ASID: attached scanning image display), False for TEM and where it is not stated.
    """
    mode = xml.findtext(".//Eos/EosMode", "").lower()
    return any(word in mode for word in ("asid", "stem", "scan", "sem")) and mode != "eostem"


def jeol_xml(image: TiffImage) -> Any:
    """Return the XML description of a JEOL file.

    Parameters
    ----------
    image : TiffImage
        One image of a TIFF file.

    Returns
    -------
    xml.etree.ElementTree.Element or None
        Its root; None for other files.
    """
    if not str(tag_value(image, 271) or "").startswith("JEOL"):
        return None
    text = image.page.description.strip(" \r\n\t\x01\x00")
    return ElementTree.fromstring(text) if text.startswith("<") else None


def _zeiss(image: TiffImage) -> Calibration | None:
    """Read Zeiss: tag 34118, (name, value, unit)."""
    meta = image.tif.sem_metadata if image.tif.is_sem else None
    if not meta:
        return None
    _, value, unit = meta.get("ap_image_pixel_size") or meta["ap_pixel_size"]
    return calibrate((value, value), (unit, unit), "file: TIFF Zeiss ap_image_pixel_size")


def _digital_micrograph(image: TiffImage) -> Calibration | None:
    """Read DigitalMicrograph's export: units in tags 65003 and 65004, scales in 65009 and 65010."""
    units = tag_value(image, 65004), tag_value(image, 65003)
    if None in units:
        return None
    return calibrate(
        (tag_value(image, 65010), tag_value(image, 65009)), units, "file: TIFF DigitalMicrograph tags 65003-65010"
    )


def _ome(image: TiffImage) -> Calibration | None:
    """Read OME-XML: PhysicalSizeX of the image; its default unit is µm."""
    pixels = image.ome_pixels
    if pixels is None:
        return None
    units = tuple(pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "YX")
    sizes = pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeX")
    return calibrate(sizes, (units[0], units[1]), "file: TIFF OME-XML PhysicalSizeX")


def _imagej(image: TiffImage) -> Calibration | None:
    """Read ImageJ: pixels per unit in the resolution tags, the unit in the description."""
    meta = image.tif.imagej_metadata if image.tif.is_imagej else None
    if not meta:
        return None
    unit = _imagej_unit(meta.get("unit", ""))
    nm = length_in_nm(unit)
    if nm in (2.54e7, 1e7):
        return None  # inch and cm are read by _resolution
    rewritten = _is_print_resolution(image)
    if nm is not None and rewritten:
        return Calibration(note=f"ImageJ's unit is {unit}, but {rewritten}")
    size = _inverse(tag_value(image, 283)), _inverse(tag_value(image, 282))
    # it names the unit of y only where that is another one
    return calibrate(size, (_imagej_unit(meta.get("yunit") or unit), unit), "file: TIFF ImageJ")


def _imagej_unit(text: object) -> str:
    """Return a unit as ImageJ means it: it writes characters beyond ASCII as backslash, u and four digits."""
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), str(text))


def _is_print_resolution(image: TiffImage) -> str:
    """Return how the resolution beside ImageJ's unit shows that another program wrote it; empty where it does not."""
    unit = _RESOLUTION_UNITS.get(int(tag_value(image, 296) or 1))
    if unit is not None:  # ImageJ writes a unit here only for inch and cm
        return f"another program has written a resolution per {unit}"
    per_unit = {1 / _inverse(tag_value(image, code)) for code in (283, 282)}
    if per_unit <= _PRINT_RESOLUTIONS:
        return f"its resolution of exactly {per_unit.pop():g} is that of a screen or printer in dots per inch"
    return ""


def _resolution(image: TiffImage) -> Calibration | None:
    """Read the plain resolution tags."""
    found = _per_unit(tag_value(image, 283), tag_value(image, 282), tag_value(image, 296), "file: TIFF XResolution")
    return found and _unless_print(found)


def _per_unit(y: Any, x: Any, unit: Any, source: str) -> Calibration | None:
    """Turn two rationals, pixels per inch or cm, into a pixel size."""
    name = _RESOLUTION_UNITS.get(int(unit or 0))
    return None if name is None else calibrate((_inverse(y), _inverse(x)), (name, name), source)


def _inverse(rational: Any) -> float:
    """Return the inverse of a rational tag; NaN where its numerator is 0."""
    numerator, denominator = rational
    return denominator / numerator if numerator else float("nan")


def _unless_print(found: Calibration) -> Calibration | None:
    """Drop a resolution that is meant for printer or screen."""
    size = found.pixel_size_nm
    return None if size is None or max(size) > LARGEST_PRINT_FREE_NM else found
