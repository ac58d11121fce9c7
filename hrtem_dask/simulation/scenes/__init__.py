"""Scenes for detection, with the truth of each instance: nanorods over one another, and vesicles with holes."""

from hrtem_dask.simulation.scenes.ranges import RodRanges, SceneRanges, VesicleRanges
from hrtem_dask.simulation.scenes.rod_scenes import ROD_CLASSES, simulate_rod_scene
from hrtem_dask.simulation.scenes.scene import DetectionScene
from hrtem_dask.simulation.scenes.truth import SCENE_INSTANCES, SCENE_MICROGRAPHS
from hrtem_dask.simulation.scenes.vesicle_scenes import simulate_vesicle_scene
from hrtem_dask.simulation.scenes.vesicles import VESICLE_CLASSES

__all__ = [
    "ROD_CLASSES",
    "SCENE_INSTANCES",
    "SCENE_MICROGRAPHS",
    "VESICLE_CLASSES",
    "DetectionScene",
    "RodRanges",
    "SceneRanges",
    "VesicleRanges",
    "simulate_rod_scene",
    "simulate_vesicle_scene",
]
