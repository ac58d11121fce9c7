"""The segmenters that an evaluation compares, each as the settings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings

__all__ = ["METHODS", "Method", "choose_methods"]

METHODS = ("unet", "otsu", "fourier", "fourier_pixels")
"""Names of the methods; ``fourier_pixels`` has one annulus in cycles per pixel for all micrographs, as in the paper."""


@dataclass(frozen=True)
class Method:
    """One segmenter that is scored."""

    name: str
    """``unet`` (or the file name of the model, if there are several), ``otsu``, ``fourier`` or ``fourier_pixels``."""
    settings: Settings
    """Settings of its run."""
    note: str = ""
    """Details for the reader, such as its model or its annulus."""


def choose_methods(
    names: Sequence[str] | None, models: Sequence[str | Path], settings: Settings, pixel_size_nm: float | None
) -> list[Method]:
    """Return the requested methods, or all that can be run.

    Parameters
    ----------
    names : sequence of str, optional
        Names of `METHODS`; by default all, except methods that need a pixel size where none is known.
    models : sequence of str or path-like
        Files with weights of U-Nets; by default the model of `settings`.
    settings : Settings
        Settings that the runs have in common.
    pixel_size_nm : float or None
        Median pixel size of the micrographs (nm); None where it is not known.

    Returns
    -------
    list of Method
        Methods in the order of `names`, one per model for ``unet``.

    Raises
    ------
    SettingsError
        If a method is unknown or cannot be run, or none is named.

    Examples
    --------
    >>> from hrtem_dask.batch.evaluation.methods import choose_methods
    >>> from hrtem_dask.settings import Settings
    >>> [method.name for method in choose_methods(None, [], Settings(), pixel_size_nm=0.04)]
    ['unet', 'otsu', 'fourier', 'fourier_pixels']
    """
    unknown = sorted(set(names or ()) - set(METHODS))
    if unknown:
        raise SettingsError(f"unknown method {unknown[0]!r}: known are {', '.join(METHODS)}")
    if names is not None and not names:
        raise SettingsError(f"no method is named: give some of {', '.join(METHODS)}, or leave --methods out")
    paths: list[str | None] = [str(m) for m in models] or [settings.segmentation.model]
    if names is not None and models and "unet" not in names:
        raise SettingsError(f"--model is given, but the methods are {', '.join(names)}: add unet")
    plain = settings.updated({"segmentation": {"model": None, "method": "otsu"}})
    chosen: list[Method] = []
    for name in names if names is not None else METHODS:
        if name == "unet":
            for path in paths:
                unet = plain.updated({"segmentation": {"method": "unet", "model": path}})
                stem = Path(path).stem if path and len(paths) > 1 else name
                chosen.append(Method(stem, unet, path or "the bundled model"))
        elif name == "otsu":
            chosen.append(Method(name, plain))
        elif names is None and pixel_size_nm is None:
            continue
        elif name == "fourier":
            annulus = {"method": "fourier", "annulus_per_px": None}
            chosen.append(Method(name, plain.updated({"segmentation": annulus}), _per_nm(settings)))
        else:
            chosen.append(_fourier_pixels(plain, pixel_size_nm))
    repeated = {m.name for m in chosen if [n.name for n in chosen].count(m.name) > 1}
    if repeated:
        name = min(repeated)
        raise SettingsError(f"two models or methods are called {name!r}: give them different names")
    return chosen


def _fourier_pixels(plain: Settings, pixel_size_nm: float | None) -> Method:
    """Return the Fourier filter of the paper: one annulus for all micrographs, chosen by the median pixel size."""
    given = plain.segmentation
    if given.annulus_per_px is None and pixel_size_nm is None:
        raise SettingsError(
            "fourier_pixels needs one annulus in cycles per pixel, chosen by the pixel size, and no pixel size is "
            "known: set segmentation.annulus_per_px, or give --pixel-size"
        )
    annulus, sigma = given.annulus_per_px, given.fourier_sigma_px
    if annulus is None and pixel_size_nm is not None:
        annulus = (round(given.annulus_per_nm[0] * pixel_size_nm, 4), round(given.annulus_per_nm[1] * pixel_size_nm, 4))
        sigma = round(given.fourier_sigma_nm / pixel_size_nm, 2)
    changed = {"method": "fourier", "annulus_per_px": annulus, "fourier_sigma_px": sigma}
    note = f"one annulus for all, {annulus[0]:g} to {annulus[1]:g} cycles per pixel" if annulus else ""
    return Method("fourier_pixels", plain.updated({"segmentation": changed}), note)


def _per_nm(settings: Settings) -> str:
    """Return the annulus in words."""
    low, high = settings.segmentation.annulus_per_nm
    return f"annulus {low:g} to {high:g} 1/nm"
