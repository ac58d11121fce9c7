"""Particles: from a mask to regions and particles, and their size, shape and outlines."""

from hrtem_dask.particles.crops import box_crops, crop_particle, particle_crops
from hrtem_dask.particles.find import Particles, find_particles, measure_labels
from hrtem_dask.particles.instances import MeasuredInstances, instance_layers, instance_runs, measure_instances
from hrtem_dask.particles.morphology import clean_mask
from hrtem_dask.particles.outlines.fault_traces import fault_trace
from hrtem_dask.particles.outlines.overlay import draw_overlay, stretched
from hrtem_dask.particles.outlines.polygons import outline_polygons
from hrtem_dask.particles.regions import label_regions
from hrtem_dask.particles.shape.descriptors import measure_particles, measured_columns
from hrtem_dask.particles.split import split_touching

__all__ = [
    "MeasuredInstances",
    "Particles",
    "box_crops",
    "clean_mask",
    "crop_particle",
    "draw_overlay",
    "fault_trace",
    "find_particles",
    "instance_layers",
    "instance_runs",
    "label_regions",
    "measure_instances",
    "measure_labels",
    "measure_particles",
    "measured_columns",
    "outline_polygons",
    "particle_crops",
    "split_touching",
    "stretched",
]
