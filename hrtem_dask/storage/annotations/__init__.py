"""Annotations of instances in the formats of other programs: boxes, rotated boxes, polygons, masks."""

from hrtem_dask.storage.annotations.annotated_image import AnnotatedImage, AnnotationError
from hrtem_dask.storage.annotations.formats import FORMATS, read_annotations, write_annotations
from hrtem_dask.storage.annotations.instance_labels import instances_of_labels, label_layers
from hrtem_dask.storage.annotations.simulated_instances import simulated_instances

__all__ = [
    "FORMATS",
    "AnnotatedImage",
    "AnnotationError",
    "instances_of_labels",
    "label_layers",
    "read_annotations",
    "simulated_instances",
    "write_annotations",
]
