"""A description of a results folder for archives: ``ro-crate-metadata.json``.

It follows RO-Crate 1.1 (Sefton et al. 2021, doi:10.5281/zenodo.5146228) with the profile Process Run Crate 0.5: which
program made which tables from which files. Repositories and search engines read it; people can too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd

from hrtem_dask.storage.compaction import read_run_file
from hrtem_dask.storage.results import Results

__all__ = ["CRATE_FILE", "write_crate"]

CRATE_FILE = "ro-crate-metadata.json"
"""Name of the file, which the standard fixes."""
SOFTWARE = "#hrtem-dask"
ACTION = "#run"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENSE = "#license"
CONTENT = {
    "micrographs.parquet": "One row per micrograph, and one per file without any: status, pixel size, quality, verdict",
    "particles.parquet": "One row per particle: size, shape, lattice, fault state",
    "regions.parquet": "One row per region of particles: class and features",
    "windows.parquet": "One row per window of a field that one crystal fills",
    "fault_traces.parquet": "One row per fault of such a field",
    "instance_runs.parquet": "Masks of instances that a detector found, as stretches of pixels along the rows",
    "summary.json": "Statistics of the population",
    "run.toml": "Settings, versions and hashes of the models",
    "labels.zarr/": "Label images of the particles (OME-NGFF 0.5)",
    "labels/": "Label images of many micrographs each, as OME-NGFF 0.5 in ZIP files",
    "overlays/": "Pictures of micrographs with outlines",
}
"""What a results folder contains; folders end with a slash."""
PARQUET = "application/vnd.apache.parquet"
FORMATS = {".parquet": PARQUET, ".json": "application/json", ".toml": "application/toml"}


def write_crate(results: Results, *, began: str, ended: str) -> None:
    """Describe a finished run in its results folder.

    Parameters
    ----------
    results : Results
        The opened results.
    began, ended : str
        Start and end of the run: date and time (ISO 8601).

    Raises
    ------
    ResultsFolderError
        If the tables or ``run.toml`` are damaged.
    """
    folder, micrographs = results.folder, results.micrographs
    run = read_run_file(folder)
    parts = [_part(name, about) for name, about in CONTENT.items() if folder.exists(name.rstrip("/"))]
    inputs = _inputs(micrographs)
    models = _models(run.get("models", {}))
    graph = [
        _descriptor(),
        _root(micrographs, parts, ended),
        *_stated(),
        _action(parts, [*inputs, *models], str(run.get("command", "")), began=began, ended=ended),
        _software(str(run["code_version"])),
        *parts,
        *inputs,
        *models,
    ]
    content = {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}
    folder.write_json(CRATE_FILE, content)


def _descriptor() -> dict[str, Any]:
    """Return the entity that stands for the metadata file itself."""
    return {
        "@id": CRATE_FILE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }


def _root(micrographs: pd.DataFrame, parts: Sequence[Mapping[str, Any]], ended: str) -> dict[str, Any]:
    """Return the entity of the folder."""
    statuses = micrographs["status"].value_counts()
    counts = ", ".join(f"{n} {status}" for status, n in statuses.items() if n)
    samples = sorted(micrographs["sample"].dropna().astype(str).unique())
    named = f" Samples: {', '.join(samples)}." if 0 < len(samples) <= 20 else ""
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": "Nanoparticles in transmission electron micrographs: results of hrtem-dask",
        "description": f"Particles of {len(micrographs)} micrographs ({counts or 'none'}).{named}",
        "datePublished": ended,
        "conformsTo": {"@id": PROFILE},
        "license": {"@id": LICENSE},
        "hasPart": _references(parts),
        "mentions": {"@id": ACTION},
    }


def _stated() -> list[dict[str, Any]]:
    """Return what the standard asks every archive to name: the profile, and a license, which a run cannot know."""
    return [
        {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {
            "@id": LICENSE,
            "@type": "CreativeWork",
            "name": "no license stated",
            "description": "Who publishes this folder states its license here; the owner of the micrographs decides.",
        },
    ]


def _action(
    results: Sequence[Mapping[str, Any]], used: Sequence[Mapping[str, Any]], command: str, *, began: str, ended: str
) -> dict[str, Any]:
    """Return the entity of the run: what was used by which program, and what it made."""
    return {
        "@id": ACTION,
        "@type": "CreateAction",
        "name": "Analysis of micrographs",
        "description": command or "hrtem_dask.run, called in Python",
        "instrument": {"@id": SOFTWARE},
        "object": _references(used),
        "result": _references(results),
        "startTime": began,
        "endTime": ended,
    }


def _software(code_version: str) -> dict[str, Any]:
    """Return the entity of this package."""
    return {
        "@id": SOFTWARE,
        "@type": "SoftwareApplication",
        "name": "hrtem-dask",
        "softwareVersion": version("hrtem-dask"),
        "identifier": f"code version {code_version}",
        "license": "https://spdx.org/licenses/GPL-3.0-or-later",
    }


def _part(name: str, description: str) -> dict[str, Any]:
    """Return the entity of a file or folder of the results."""
    if name.endswith("/"):
        return {"@id": name, "@type": "Dataset", "description": description}
    encoding = FORMATS[Path(name).suffix]
    return {"@id": name, "@type": "File", "description": description, "encodingFormat": encoding}


def _inputs(micrographs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return an entity for each file that was read; members of archives count as their archive.

    They are works, not files of the crate, because the files stay where they are.
    """
    entities: dict[str, dict[str, Any]] = {}
    for source, digest in zip(micrographs["source"], micrographs["source_hash"], strict=True):
        address = _address(_file(str(source)))
        entity = entities.setdefault(
            address, {"@id": address, "@type": "CreativeWork", "name": unquote(address.rsplit("/", 1)[-1])}
        )
        if pd.notna(digest) and _file(str(source)) == str(source):
            entity["identifier"] = f"blake2b-128:{digest}"
    return list(entities.values())


def _models(hashes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an entity for each model, known by its hash."""
    return [
        {"@id": f"#model-{stage}", "@type": "CreativeWork", "name": f"model of {stage}", "identifier": str(digest)}
        for stage, digest in hashes.items()
    ]


def _file(source: str) -> str:
    """Return the file of a source: ``::`` stands before a member of an archive, or is a part of a name."""
    parts = source.split("::")
    names = ["::".join(parts[:n]) for n in range(len(parts), 1, -1)]
    return next((name for name in names if "://" not in name and Path(name).exists()), parts[0])


def _address(source: str) -> str:
    """Return the address of a file as a URL."""
    return source if "://" in source else Path(source).absolute().as_uri()


def _references(entities: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return references to entities."""
    return [{"@id": str(entity["@id"])} for entity in entities]
