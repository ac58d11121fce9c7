"""A table of labeled regions from a simulated store: the training data of the forest.

Each micrograph passes through the same stages as in a run, twice: with the mask of the segmenter (``segmented``) and
with the true mask (``truth``). Regions get their class from the true particles in them. The class no_particle consists
of false positives of the segmenter, which are few, and of patches of bare support with the outlines of particles
(``patch``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask import analysis, backend, fourier
from hrtem_dask.evaluation import true_region_classes
from hrtem_dask.particles.find import Particles
from hrtem_dask.segmentation import Segmentation, make_segmenter
from hrtem_dask.settings import Settings
from hrtem_dask.simulation.labelling import is_ordinary_imaging
from hrtem_dask.storage.simulated import SimulatedStore
from hrtem_dask.tables import BOX_COLUMNS

__all__ = ["SOURCES", "is_ordinary", "region_rows"]

SOURCES = ("segmented", "truth", "patch")
"""Sources of the outline of a region."""
_ATTEMPTS = 20


def region_rows(store: SimulatedStore, micrograph_id: str, settings: Settings) -> pd.DataFrame:
    """Measure the regions of one simulated micrograph and label them with their true class.

    Parameters
    ----------
    store : SimulatedStore
        The simulated store.
    micrograph_id : str
        Name of the micrograph.
    settings : Settings
        Settings of a run: segmenter and rules for particles.

    Returns
    -------
    pandas.DataFrame
        A row per region: ``micrograph_id``, ``region_id``, ``source``, ``material``, the columns of
        `evaluation.true_region_classes`, those of `tables.REGION_FEATURES`, and the five
        features of Groschner et al. (2021). Regions without a class (pieces of particles, orientations between on zone
        and misoriented) have a null ``region_class``.
    """
    micrograph = store.micrographs[store.micrographs["micrograph_id"] == micrograph_id].iloc[0]
    size = float(micrograph["pixel_size_nm"])
    truth = store.labels(micrograph_id)
    image = store.image(micrograph_id)
    prepared, _ = analysis.prepare(image, settings)
    particles = store.particles[store.particles["micrograph_id"] == micrograph_id]
    ordinary = is_ordinary(micrograph)
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    masks = {"segmented": analysis.segment(prepared, segmenter, pixel_size_nm=(size, size)), "truth": _as_mask(truth)}
    host, parts = backend.to_numpy(prepared), []
    for source, segmented in masks.items():
        found = analysis.label(image, segmented, settings, pixel_size_nm=(size, size))
        parts.append(_rows(host, found, truth, particles, ordinary, size).assign(source=source))
    background = (truth == 0) & ~backend.to_numpy(masks["segmented"].mask)
    rng = np.random.default_rng([int(micrograph["seed"]), int(micrograph["index"])])
    if (patch := _patch(rng, truth, background)) is not None:
        found = analysis.label(image, _as_mask(patch), settings, pixel_size_nm=(size, size))
        parts.append(_rows(host, found, truth, particles, ordinary, size).assign(source="patch"))
    rows = pd.concat([part for part in parts if len(part)] or parts[:1])
    material = micrograph["material"]
    return rows.assign(micrograph_id=micrograph_id, material=None if pd.isna(material) else str(material)).reset_index(
        drop=True
    )


def is_ordinary(micrograph: pd.Series) -> bool:
    """Return whether a simulated micrograph was taken with ordinary imaging; only then can its regions be clear.

    Parameters
    ----------
    micrograph : pandas.Series
        Row of `simulation.TRUTH_MICROGRAPHS`.

    Returns
    -------
    bool
        Result of `simulation.labelling.is_ordinary_imaging`, the rule of the simulator's table of regions.

    Examples
    --------
    >>> import pandas as pd
    >>> is_ordinary(pd.Series({"defocus_nm": 40.0, "drift_nm": 0.02}))
    True
    >>> is_ordinary(pd.Series({"defocus_nm": 5.0, "drift_nm": 0.02}))
    False
    """
    return is_ordinary_imaging(defocus_nm=float(micrograph["defocus_nm"]), drift_nm=float(micrograph["drift_nm"]))


def _rows(
    image: np.ndarray, found: Particles, truth: np.ndarray, particles: pd.DataFrame, ordinary: bool, size: float
) -> pd.DataFrame:
    """Return the features and classes of the regions."""
    if not len(found.regions):
        return pd.DataFrame()
    features = analysis.region_features(image, found, pixel_size_nm=(size, size))
    boxes = found.regions.set_index("region_id").loc[features.index, list(BOX_COLUMNS)].to_numpy(np.int64)
    # the five features of Groschner et al. (2021), on crops of 8 bits as in their data
    published = [fourier.groschner2021_features(np.round(255 * image[a:c, b:d])) for a, b, c, d in boxes]
    features = features.join(pd.DataFrame(published, index=features.index))
    known = true_region_classes(analysis.region_labels(found), truth, particles, ordinary=ordinary)
    area = found.regions.set_index("region_id")["area_nm2"].astype(float)
    return known.join(features, how="inner").assign(area_nm2=area).reset_index()


def _as_mask(labels: np.ndarray) -> Segmentation:
    """Return a segmentation with the true mask."""
    mask = labels > 0
    return Segmentation(probability=mask.astype(np.float32), mask=mask, device="cpu", engine="truth")


def _patch(rng: np.random.Generator, truth: np.ndarray, background: np.ndarray) -> np.ndarray | None:
    """Move the outline of a true particle, or a disk, to bare support; return None if no free position is found."""
    shape = _outline(rng, truth)
    height, width = shape.shape
    for _ in range(_ATTEMPTS):
        if height >= truth.shape[0] - 2 or width >= truth.shape[1] - 2:
            return None
        y = int(rng.integers(1, truth.shape[0] - height - 1))
        x = int(rng.integers(1, truth.shape[1] - width - 1))
        window = np.s_[y : y + height, x : x + width]
        if background[window][shape].all():
            patch = np.zeros(truth.shape, np.int32)
            patch[window] = shape
            return patch
    return None


def _outline(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """Return the mask of a random particle within its bounding box; a disk if the micrograph is empty."""
    labels = np.unique(truth[truth > 0])
    if not labels.size:
        radius = int(rng.integers(15, 50))
        y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
        return np.asarray(y**2 + x**2 <= radius**2)
    inside = truth == rng.choice(labels)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return np.asarray(inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
