"""Conditions of acquisition from the tags of a TIFF file."""

from __future__ import annotations

import datetime
import re
from typing import Any
from xml.etree import ElementTree

from hrtem_dask.loading.formats.tiff_files.tags import TiffImage, fei_labels, is_scanning, jeol_xml, tag_value

__all__ = ["acquisition", "description"]


_MAX_TEXT = 2000
"""Characters of a description that are searched; some programs store all their settings in it."""


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


def description(image: TiffImage) -> str:
    """Return detector and mode of an image, as its file states them.

    Parameters
    ----------
    image : TiffImage
        The image.

    Returns
    -------
    str
        Words of the file, separated by ``"; "``; empty where it states neither.
    """
    try:
        xml = jeol_xml(image)
        if xml is not None:
            return "STEM" if is_scanning(xml) else str(xml.findtext(".//IlluminationSystem/ImageField", ""))
        labels = fei_labels(image)
        meta = (image.tif.fei_metadata or {}) if image.tif.is_fei and not labels else {}
        found = [labels.get("Mode"), labels.get("Detector"), meta.get("Detectors", {}).get("Name")]
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, ElementTree.ParseError):
        found = []
    text = str(tag_value(image, 270) or "").strip()
    found.append(text[:_MAX_TEXT] if not text.startswith(("<", "{")) else "")
    return "; ".join(str(word) for word in found if word)


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
        # in STEM the lenses that have this magnification do not make the image
        "magnification": None
        if is_scanning(xml)
        else float(xml.findtext(".//ImageFormingSystem/SelectorValue", "nan")),
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
