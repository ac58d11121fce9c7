"""Conditions of acquisition from the tags of a TIFF file."""

from __future__ import annotations

import datetime
import re
from typing import Any
from xml.etree import ElementTree

from hrtem_dask.loading.formats.tiff_files.tags import TiffImage, fei_labels, jeol_xml, tag_value

__all__ = ["acquisition"]


def acquisition(image: TiffImage) -> dict[str, Any]:
    """Return voltage, magnification, instrument and time where a TIFF file states them.

    Parameters
    ----------
    image : TiffImage
        The image.

    Returns
    -------
    dict
        Keys of `Signal`: ``voltage_kv``, ``magnification``, ``instrument``, ``acquired_at``.
    """
    known: dict[str, Any] = {}
    for reader in (_fei_acquisition, _tvips_acquisition, _jeol_acquisition, _plain_acquisition, _sis_acquisition):
        try:
            known = {**{k: v for k, v in reader(image).items() if v not in (None, "", 0.0)}, **known}
        except (KeyError, ValueError, TypeError, IndexError, AttributeError, ElementTree.ParseError):
            continue
    return known


def _fei_acquisition(image: TiffImage) -> dict[str, Any]:
    """Read FEI's XML labels, or its INI sections."""
    labels = fei_labels(image)
    if labels:
        volts = labels.get("High tension")
        return {
            "voltage_kv": float(volts) if volts else None,
            "magnification": float(labels["Magnification"]) if "Magnification" in labels else None,
            "instrument": labels.get("Microscope", "").removeprefix("Microscope "),
        }
    meta = image.tif.fei_metadata or {}
    volts = meta.get("Beam", {}).get("HV")
    system = meta.get("System", {})
    return {"voltage_kv": float(volts) / 1000 if volts else None, "instrument": system.get("SystemType")}


def _tvips_acquisition(image: TiffImage) -> dict[str, Any]:
    """Read TVIPS tag 37706; its voltage is in V."""
    meta = tag_value(image, 37706)
    if not isinstance(meta, dict):
        return {}
    return {
        "voltage_kv": float(meta["TemHighTension"]) / 1000,
        "magnification": float(meta["TemMagnification"]),
        "instrument": str(meta.get("TemType", "")).strip("\0 "),
    }


def _jeol_acquisition(image: TiffImage) -> dict[str, Any]:
    """Read JEOL's XML; its voltage is in V."""
    xml = jeol_xml(image)
    if xml is None:
        return {}
    return {
        "voltage_kv": float(xml.findtext(".//ElectronGun/AccelerationVoltage", "nan")) / 1000,
        "magnification": float(xml.findtext(".//ImageFormingSystem/SelectorValue", "nan")),
        "instrument": xml.findtext("Instruments"),
        "acquired_at": xml.findtext("DateTime"),
    }


def _sis_acquisition(image: TiffImage) -> dict[str, Any]:
    """Read Olympus SIS tag 33560."""
    meta = tag_value(image, 33560)
    if not isinstance(meta, dict):
        return {}
    time = meta.get("datetime")
    return {
        "magnification": float(meta["magnification"]),
        "acquired_at": time.isoformat() if isinstance(time, datetime.datetime) else None,
    }


def _plain_acquisition(image: TiffImage) -> dict[str, Any]:
    """Read the tags of the TIFF standard."""
    instrument = " ".join(str(tag_value(image, code)) for code in (271, 272) if tag_value(image, code))
    match = re.match(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d:\d\d(?::\d\d)?)", str(tag_value(image, 306) or ""))
    return {"instrument": instrument, "acquired_at": f"{match[1]}-{match[2]}-{match[3]}T{match[4]}" if match else None}
