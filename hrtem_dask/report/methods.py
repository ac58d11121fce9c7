"""A paragraph for the methods section of a paper or its supplement, from what the run recorded."""

from __future__ import annotations

from hrtem_dask.report.json_types import JsonDict

__all__ = ["methods_paragraph"]

_METHODS = {
    "unet": "a U-Net (model {model})",
    "otsu": "Otsu's threshold",
    "fourier": "Otsu's threshold of the Fourier-filtered image",
    "rotated_rcnn": "a detector with rotated boxes (Faster R-CNN with masks, model {model})",
    "mask_rcnn": "Mask R-CNN (model {model})",
}
_VERSIONS = ("Python", "dask", "numpy", "scipy", "scikit-image", "scikit-learn", "torch", "openvino")


def methods_paragraph(summary: JsonDict) -> str:
    """Describe how the numbers of the report were obtained.

    Parameters
    ----------
    summary : dict
        Content of summary.json: ``all``, ``definitions``, ``measured``, ``verdicts`` and ``provenance``.

    Returns
    -------
    str
        Plain text with versions and the citation. What was not recorded is left out.
    """
    provenance, measured, size = (
        summary["provenance"],
        summary["measured"],
        summary["all"].get("equivalent_diameter_nm"),
    )
    version = provenance["versions"].get("hrtem-dask", "")
    code = f" (code version {provenance['code_version']})" if provenance["code_version"] else ""
    settings = provenance["settings"]
    method = settings.get("segmentation", {}).get("method") or "unet"
    model = ", ".join(provenance["model_hashes"])
    segmented = _METHODS[method].format(model=model or "not recorded")
    status = measured["status"]
    sentences = [
        f"Micrographs were analyzed with hrtem_dask {version}{code}.",
        f"Of {_counted(measured['n_micrographs'], 'image')}, {status['done'] + status['empty']} were analyzed, "
        f"{status['set_aside']} set aside and {status['failed']} could not be read.",
        _pixel_sizes(measured),
        f"Particles were separated from the support by {segmented}"
        + (" and touching ones split by a watershed." if settings.get("particles", {}).get("split_touching") else "."),
        f"{_counted(measured['particles']['n_counted'], 'particle')} of "
        f"{_counted(summary['all']['n_micrographs_with_particles'], 'micrograph')} "
        f"{'was' if measured['particles']['n_counted'] == 1 else 'were'} counted; particles that reach the border of "
        "the image were not.",
    ]
    if not summary["all"]["edge_weights"]["reason"]:
        sentences.append("The others are weighted by the inverse of their chance to lie inside (Miles and Lantuéjoul).")
    if summary["verdicts"]["n_doubtful"]:
        kept = "left out" if summary["verdicts"]["doubtful_micrographs"] == "left out" else "kept in the statistics"
        sentences.append(
            f"{_counted(summary['verdicts']['n_doubtful'], 'micrograph')} whose masks were doubtful "
            f"{'was' if summary['verdicts']['n_doubtful'] == 1 else 'were'} {kept}."
        )
    if measured["n_corrected"]:
        sentences.append(f"Labels of {_counted(measured['n_corrected'], 'micrograph')} were corrected by hand.")
    if size is not None:
        sentences.append(
            "The size is the diameter of the circle of the same area. Intervals at "
            f"{100 * summary['definitions']['confidence']:g} % confidence treat the micrograph as the unit of "
            "sampling; expanded uncertainties combine sampling, pixel size, outlines and splits."
        )
    versions = provenance["versions"]
    used = [name for name in _VERSIONS if name in versions and (name != "torch" or "torch" in provenance["engines"])]
    named = [f"{name} {versions[name]}" for name in used]
    sentences.append(f"Software: {', '.join(named)}.")
    sentences.append(
        f"Please cite: The hrtem_dask developers, hrtem_dask {version}; C. K. Groschner, C. Choi and M. C. Scott, "
        "Machine Learning Pipeline for Segmentation and Defect Identification from High-Resolution Transmission "
        "Electron Microscopy Data, Microscopy and Microanalysis (2021)."
    )
    return " ".join(filter(None, sentences))


def _pixel_sizes(measured: JsonDict) -> str:
    """Describe the pixel sizes and where they come from."""
    found = measured["pixel_size_nm"]["y"]
    if not found["n"]:
        return "No pixel size was known, and lengths are in pixels."
    ends = dict.fromkeys(f"{found[key]:.4g}" for key in ("min", "max"))
    sources = [str(row["value"]) for row in measured["pixel_size_sources"] if row["value"] not in (None, "none")]
    return f"The pixel size was {' to '.join(ends)} nm (source: {', '.join(sources) or 'not recorded'})."


def _counted(n: int, thing: str) -> str:
    """Return a number of things."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
