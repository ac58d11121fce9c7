"""The XML file that EPU and other Thermo Fisher programs write beside each image."""

from __future__ import annotations

from xml.etree import ElementTree

from hrtem_dask.loading.pixel_sizes import Calibration, calibrate
from hrtem_dask.loading.side_files.stated import Stated, number

__all__ = ["epu"]

_ROOT = "MicroscopeImage"


def epu(content: bytes) -> Stated | None:
    """Read the XML file of an image.

    Parameters
    ----------
    content : bytes
        The file; its root is ``MicroscopeImage``, and ``SpatialScale/pixelSize`` has the pixel size in m.

    Returns
    -------
    Stated or None
        None for another file.
    """
    if _ROOT.encode() not in content[:4096]:
        return None
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError):  # cut off, or an encoding that is not known
        return None
    for element in root.iter():  # elements have namespaces of their own
        element.tag = str(element.tag).rsplit("}", 1)[-1]
    if root.tag != _ROOT:
        return None
    volts = number(root.findtext(".//gun/AccelerationVoltage"))
    return Stated(
        calibration=_calibration(root),
        shapes=_shapes(root),
        voltage_kv=None if volts is None else volts / 1000,
        magnification=number(root.findtext(".//TemMagnification/NominalMagnification")),
        instrument=root.findtext(".//instrument/InstrumentModel") or None,
        acquired_at=(root.findtext(".//acquisitionDateTime") or "")[:19] or None,
    )


def _calibration(root: ElementTree.Element) -> Calibration:
    """Return the pixel size; a camera in diffraction mode has none."""
    camera = root.find(".//acquisition/camera")
    if camera is not None and (root.findtext(".//optics/ProjectorMode") or "").casefold().startswith("diffraction"):
        return Calibration(reciprocal=True)
    sizes = [root.findtext(f".//SpatialScale/pixelSize/{axis}/numericValue") for axis in "yx"]
    units = [
        root.findtext(f".//SpatialScale/pixelSize/{axis}/unit/_x003C_Symbol_x003E_k__BackingField") for axis in "yx"
    ]
    return calibrate((sizes[0], sizes[1]), (units[0] or "m", units[1] or "m"), "file: Thermo Fisher SpatialScale")


def _shapes(root: ElementTree.Element) -> tuple[tuple[int, int], ...]:
    """Return the shapes that an image may have: the area that was read, with and without binning."""
    height, width = (number(root.findtext(f".//camera/ReadoutArea/{side}")) for side in ("height", "width"))
    if height is None or width is None:
        return ()
    binning = number(root.findtext(".//camera/Binning/x")) or 1.0
    return ((int(height), int(width)), (int(height / binning), int(width / binning)))
