"""Filtering: corrections of the whole image before segmentation.

Every function takes an image of any real dtype, never modifies it, and returns native, C-contiguous float32.
"""

from hrtem_dask.filtering.background import flatten_background
from hrtem_dask.filtering.burnt_in_marks import find_marks, replace_marks
from hrtem_dask.filtering.flat_field import flat_field
from hrtem_dask.filtering.image_field import field_sides, find_outside, replace_outside
from hrtem_dask.filtering.intensity import as_float32, normalize, replace_nonfinite
from hrtem_dask.filtering.prepare import prepare
from hrtem_dask.filtering.spikes import median_3x3, replace_spikes

__all__ = [
    "as_float32",
    "field_sides",
    "find_marks",
    "find_outside",
    "flat_field",
    "flatten_background",
    "median_3x3",
    "normalize",
    "prepare",
    "replace_marks",
    "replace_nonfinite",
    "replace_outside",
    "replace_spikes",
]
