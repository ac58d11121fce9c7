"""A classifier on disk: a safetensors file with JSON in its header, never a pickle."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from hrtem_dask.defects.classifier import DefectClassifier
from hrtem_dask.defects.forest import LEAF, Forest
from hrtem_dask.defects.probability_calibration import METHODS, Calibration
from hrtem_dask.errors import ModelError
from hrtem_dask.provenance import bytes_hash
from hrtem_dask.settings import DefectSettings

__all__ = ["load_classifier", "make_classifier", "save_classifier"]

FORMAT = "hrtem_dask.defects/1"
_CONFIG = "classifier"
MAX_DEPTH = 10_000
"""Deepest tree: each step takes time for every prediction."""


def save_classifier(classifier: DefectClassifier, path: str | Path) -> None:
    """Write a classifier to a safetensors file.

    Parameters
    ----------
    classifier : DefectClassifier
        Classifier to write. The probabilities of its leaves are rounded to float32, which changes none by more than
        1e-7.
    path : str or path-like
        File to write, by convention ending in ``.safetensors``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from hrtem_dask.defects import load_classifier, save_classifier
    >>> from hrtem_dask.settings import DefectSettings
    >>> classifier = load_classifier(DefectSettings().model_file)  # the bundled one
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_classifier(classifier, Path(folder) / "copy.safetensors")
    ...     load_classifier(Path(folder) / "copy.safetensors").classes == classifier.classes
    True
    """
    config = {
        "features": classifier.features,
        "classes": classifier.classes,
        "calibration": classifier.calibration.method,
        "unsure_threshold": classifier.unsure_threshold,
        "ranges": {name: list(map(float, ends)) for name, ends in classifier.ranges.items()},
    }
    header = {**classifier.metadata, "format": FORMAT, _CONFIG: json.dumps(config)}
    tensors = {
        **_packed(classifier.forest),
        "calibration_matrix": np.ascontiguousarray(classifier.calibration.matrix, np.float64),
        "calibration_offset": np.ascontiguousarray(classifier.calibration.offset, np.float64),
    }
    save_file(tensors, Path(path), metadata=header)


def load_classifier(path: str | Path) -> DefectClassifier:
    """Read a classifier from its file.

    Parameters
    ----------
    path : str or path-like
        File written by `save_classifier`.

    Returns
    -------
    DefectClassifier
        The classifier, with its arrays on the host.

    Raises
    ------
    ModelError
        If the file is missing, of another format, or damaged.

    Examples
    --------
    >>> from hrtem_dask.defects import load_classifier
    >>> from hrtem_dask.settings import DefectSettings
    >>> load_classifier(DefectSettings().model_file).classes  # the bundled one
    ('agglomeration', 'no_particle', 'no_stacking_fault', 'misoriented', 'stacking_fault')
    """
    try:
        with safe_open(Path(path), framework="numpy") as file:
            header = file.metadata() or {}
            names = file.keys() if header.get("format") == FORMAT else ()  # the weights of others may be large
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: cannot be read as safetensors: {error}; pickled forests are not read because they can run code"
        ) from error
    if header.get("format") != FORMAT:
        raise ModelError(
            f"{path}: is not a classifier of regions of this package: format {header.get('format')!r}, need {FORMAT!r}"
        )
    try:
        config = json.loads(header[_CONFIG])
        if config["calibration"] not in METHODS:
            raise ValueError(f"calibration {config['calibration']!r} is unknown")
        classifier = DefectClassifier(
            features=tuple(config["features"]),
            classes=tuple(config["classes"]),
            forest=_unpacked(tensors, len(config["features"])),
            calibration=Calibration(
                config["calibration"], tensors["calibration_matrix"], tensors["calibration_offset"]
            ),
            unsure_threshold=float(config["unsure_threshold"]),
            ranges={name: (float(low), float(high)) for name, (low, high) in config["ranges"].items()},
            metadata={name: text for name, text in header.items() if name not in {"format", _CONFIG}},
        )
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: is damaged: {error}; train the classifier again, or take an undamaged copy"
        ) from error
    return classifier


def make_classifier(settings: DefectSettings) -> DefectClassifier | None:
    """Return the classifier that the settings select; it is loaded once per process.

    Parameters
    ----------
    settings : DefectSettings
        File of the classifier, and the threshold of ``unsure``.

    Returns
    -------
    DefectClassifier or None
        The same object for the same settings and content of the file; None where the settings turn classification
        off.

    Raises
    ------
    ModelError
        If the file cannot be read.

    Examples
    --------
    >>> from hrtem_dask.defects import make_classifier
    >>> from hrtem_dask.settings import DefectSettings
    >>> make_classifier(DefectSettings(classify=False)) is None
    True
    """
    if settings.model_file is None:
        return None
    try:
        path = Path(settings.model_file)
        status = path.stat()
        content = _content_hash(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise ModelError(f"{settings.model_file}: cannot be read: {error}") from error
    return _loaded(settings.model_file, content, settings.unsure_below)


@functools.lru_cache(maxsize=8)
def _content_hash(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - the key of the cache
    """Return the hash of a file's content; each micrograph asks for it."""
    return bytes_hash(path.read_bytes())


@functools.lru_cache(maxsize=4)
def _loaded(path: str, content: str, unsure_below: float | None) -> DefectClassifier:
    classifier = load_classifier(path)
    threshold = classifier.unsure_threshold if unsure_below is None else unsure_below
    return dataclasses.replace(classifier, unsure_threshold=threshold, model_hash=content)


def _packed(forest: Forest) -> dict[str, np.ndarray]:
    """Return the nodes in few bytes: no thresholds of leaves, no rows of inner nodes, integers as small as possible."""
    inner = forest.feature != LEAF
    values, row = np.unique(forest.values.astype(np.float32), axis=0, return_inverse=True)
    return {
        "start": forest.start,
        "feature": _smallest(forest.feature[inner]),
        "is_inner": np.packbits(inner),
        "n_nodes": np.array([inner.size], np.int64),
        "threshold": forest.threshold[inner],
        "right_step": _smallest(forest.right_step[inner]),
        "missing_goes_left": np.packbits(forest.missing_goes_left[inner]),
        "leaf_row": _smallest(row.ravel()[forest.leaf_row[~inner]]),
        "values": values,
    }


def _unpacked(tensors: Mapping[str, np.ndarray], n_features: int) -> Forest:
    """Return the forest from its packed nodes; raise ValueError where they are not trees."""
    n_nodes, n_bits = int(tensors["n_nodes"][0]), 8 * tensors["is_inner"].size
    if not 0 < n_nodes <= n_bits:
        raise ValueError(f"it states {n_nodes} nodes, and holds at most {n_bits}")
    inner = np.unpackbits(tensors["is_inner"], count=n_nodes).astype(bool)

    def spread(values: np.ndarray, where: np.ndarray, dtype: type, other: int = 0) -> np.ndarray:
        whole: np.ndarray = np.full(n_nodes, other, dtype=dtype)
        whole[where] = values
        return whole

    values = tensors["values"].astype(np.float64)
    missing = np.unpackbits(tensors["missing_goes_left"], count=int(inner.sum())).astype(bool)
    feature = spread(tensors["feature"], inner, np.int16, LEAF)
    right_step = spread(tensors["right_step"], inner, np.int32)
    leaf_row = spread(tensors["leaf_row"], ~inner, np.int32)
    rows_exist = leaf_row.min(initial=0) >= 0 and leaf_row.max(initial=0) < len(values)
    features_exist = feature[inner].min(initial=0) >= 0 and feature.max() < n_features
    if not (np.isfinite(values).all() and rows_exist and features_exist):
        raise ValueError("its nodes refer to missing leaves or features, or its probabilities are not finite")
    return Forest(
        n_features=n_features,
        depth=_depth(tensors["start"], inner, right_step),
        start=tensors["start"],
        feature=feature,
        threshold=spread(tensors["threshold"], inner, np.float32),
        right_step=right_step,
        missing_goes_left=spread(missing, inner, bool),
        leaf_row=leaf_row,
        values=values,
    )


def _depth(start: np.ndarray, inner: np.ndarray, right_step: np.ndarray) -> int:
    """Return the depth of the trees; raise ValueError where a node is not reached exactly once."""
    reached = np.zeros(inner.size, bool)
    at, depth = start.astype(np.int64), -1
    while at.size:
        if at.max() >= inner.size or at.min() < 0:
            raise ValueError("its nodes refer to missing nodes")
        if depth == MAX_DEPTH:
            raise ValueError(f"its trees are deeper than {MAX_DEPTH}")
        if reached[at].any() or np.unique(at).size < at.size:
            raise ValueError("its nodes are not trees")
        reached[at] = True
        parents = at[inner[at]]
        at, depth = np.concatenate([parents + 1, parents + right_step[parents]]), depth + 1
    if not reached.all():
        raise ValueError("its nodes are not trees")
    return depth


def _smallest(values: np.ndarray) -> np.ndarray:
    """Return non-negative integers in the smallest unsigned dtype that holds them."""
    largest = int(values.max(initial=0))
    return values.astype(next(kind for kind in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(kind).max))
