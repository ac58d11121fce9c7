"""Conditions of acquisition from the metadata of rosettasciio."""

from __future__ import annotations

import math
from typing import Any
from xml.etree import ElementTree

__all__ = ["acquisition", "description", "is_diffraction_mode"]


def acquisition(entry: dict[str, Any]) -> dict[str, Any]:
    """Return voltage, magnification, instrument and time of one signal.

    Parameters
    ----------
    entry : dict
        Dictionary of a signal from rosettasciio.

    Returns
    -------
    dict
        Keys of `Signal`: ``voltage_kv``, ``magnification``, ``instrument``, ``acquired_at``; None where not stated.
    """
    known = _flat(entry.get("metadata", {}))
    originals = [entry.get("original_metadata", {}), _emi_tree(entry.get("emi", ""))]
    for path, (target, convert) in (entry.get("mapping") or {}).items():
        for original in originals:
            value = _lookup(original, path)
            if value is None or target in known:
                continue
            try:
                known[target] = value if convert is None else convert(value)
            except Exception:  # noqa: BLE001 - a converter of rosettasciio may fail on an unusual value
                continue
    microscope = {
        k.split(".")[-1]: v
        for k, v in known.items()
        if k.startswith(("Acquisition_instrument.TEM.", "Acquisition_instrument.SEM.")) and k.count(".") == 2
    }
    return {
        "voltage_kv": _number(microscope.get("beam_energy")),
        "magnification": _number(microscope.get("magnification"))
        or _number(_lookup(originals[0], "Optics.NominalMagnification")),
        "instrument": str(microscope.get("microscope") or "").strip() or None,
        "acquired_at": _time(known),
    }


def description(entry: dict[str, Any]) -> str:
    """Return detector and mode of one signal, as its file states them.

    Parameters
    ----------
    entry : dict
        Dictionary of a signal from rosettasciio.

    Returns
    -------
    str
        Words of the file, separated by ``"; "``; empty where it states neither. Detectors that are only fitted to the
        microscope are not among them.
    """
    original = entry.get("original_metadata", {})
    found = [_lookup(original, path) for path in ("BinaryResult.Detector", "DetectorMetadata.DetectorName")]
    found += [_lookup(entry.get("metadata", {}), "Acquisition_instrument.TEM.acquisition_mode")]
    tags = _image_tags(original)
    found += [_lookup(tags, "Microscope Info.Illumination Mode"), _lookup(tags, "Microscope Info.Operation Mode")]
    found += [_lookup(tags, "DigiScan") and "STEM", _lookup(tags, "Acquisition.Device.Name")]
    found += [_lookup(_emi_tree(entry.get("emi", "")), "ObjectInfo.ExperimentalDescription.Mode")]
    words = [str(text).strip() for text in found if isinstance(text, str) and text.strip()]
    return "; ".join(dict.fromkeys("STEM" if word.upper() == "SCANNING" else word for word in words))


def is_diffraction_mode(entry: dict[str, Any]) -> bool:
    """Return whether a file states that a camera took a diffraction pattern.

    Parameters
    ----------
    entry : dict
        Dictionary of a signal from rosettasciio.

    Returns
    -------
    bool
        False in STEM, where the projector lenses are in diffraction mode while an image is scanned.
    """
    tags = _image_tags(entry.get("original_metadata", {}))
    modes = [str(_lookup(tags, f"Microscope Info.{name} Mode") or "").upper() for name in ("Imaging", "Operation")]
    emi = str(_lookup(_emi_tree(entry.get("emi", "")), "ObjectInfo.ExperimentalDescription.Mode") or "").upper()
    if "STEM" in description(entry).upper().split() or "SCANNING" in modes or "STEM" in emi:
        return False
    return any("DIFFRACTION" in mode for mode in [*modes, emi])


def _image_tags(original: dict[str, Any]) -> Any:
    """Return the tags of the image in DigitalMicrograph's metadata."""
    groups = original.get("ImageList", {})
    return (
        next((g["ImageTags"] for g in groups.values() if isinstance(g, dict) and "ImageTags" in g), {})
        if isinstance(groups, dict)
        else {}
    )


def _time(known: dict[str, Any]) -> str | None:
    """Return date, time and zone as ISO 8601."""
    date, time = known.get("General.date"), known.get("General.time")
    if not date:
        return None
    zone = str(known.get("General.time_zone") or "") if time else ""
    zone = "Z" if zone == "UTC" else zone if zone[:1] in ("+", "-") else ""
    return f"{date}T{time}{zone}" if time else str(date)


def _number(value: Any) -> float | None:
    """Return a positive number, None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted path → value of a nested dict."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _lookup(tree: Any, path: str) -> Any:
    """Return the value at a dotted path, None where it is absent."""
    for key in path.split("."):
        if not isinstance(tree, dict) or key not in tree:
            return None
        tree = tree[key]
    return tree


def _emi_tree(xml: str) -> dict[str, Any]:
    """Return an ``.emi``'s description of an image as rosettasciio's mapping expects it: ``Label_unit`` → value."""
    if not xml:
        return {}
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return {}
    described: dict[str, Any] = {}
    for data in root.iter("Data"):
        label, unit = data.findtext("Label", ""), data.findtext("Unit", "")
        described[f"{label.replace(' ', '_')}_{unit}" if unit else label] = data.findtext("Value", "")
    return {"ObjectInfo": {"ExperimentalDescription": described}}
