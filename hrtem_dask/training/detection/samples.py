"""Training images for detectors: simulated on the fly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.simulation.scenes import (
    ROD_CLASSES,
    VESICLE_CLASSES,
    RodRanges,
    VesicleRanges,
    simulate_rod_scene,
    simulate_vesicle_scene,
)

__all__ = ["SCENE_CLASSES", "Sample", "SampleSource", "SimulatedSamples"]

SceneKind = Literal["rods", "vesicles"]
SCENE_CLASSES: dict[SceneKind, tuple[str, ...]] = {"rods": tuple(ROD_CLASSES), "vesicles": tuple(VESICLE_CLASSES)}
"""Kind of scene → its classes."""


@dataclass(frozen=True)
class Sample:
    """One image to train or validate on."""

    image: np.ndarray
    """Shape (y, x), float32, mean 0 and standard deviation 1."""
    instances: Instances
    """What is true of it."""


class SampleSource(Protocol):
    """Anything that gives a training image for a number."""

    def __call__(self, index: int) -> Sample:
        """Return the image with a number; the same number always gives the same."""
        ...


class SimulatedSamples:
    """Simulated scenes as training images.

    Parameters
    ----------
    kind : {"rods", "vesicles"}
        Which scenes.
    size_px : int
        Their side (px).
    seed : int
        Seed of the series.
    ranges : RodRanges or VesicleRanges, optional
        What is varied, instead of the defaults; its size is replaced.
    """

    def __init__(
        self, kind: SceneKind, size_px: int, seed: int, ranges: RodRanges | VesicleRanges | None = None
    ) -> None:
        default: RodRanges | VesicleRanges = RodRanges() if kind == "rods" else VesicleRanges()
        values = default if ranges is None else ranges
        self.ranges = replace(values, size_px=size_px)
        self.seed = seed

    def __call__(self, index: int) -> Sample:
        """Simulate one scene.

        Parameters
        ----------
        index : int
            Number in the series.

        Returns
        -------
        Sample
            Image and truth.
        """
        if isinstance(self.ranges, RodRanges):
            scene = simulate_rod_scene(self.ranges, seed=self.seed, index=index)
        else:
            scene = simulate_vesicle_scene(self.ranges, seed=self.seed, index=index)
        return Sample(standardize(scene.image), scene.instances)
