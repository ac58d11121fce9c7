"""Segmentation: image → particle probability and mask, by U-Net, Otsu's threshold or Fourier filtering."""

from hrtem_dask.segmentation.interface import ScalableSegmenter, Segmentation, Segmenter
from hrtem_dask.segmentation.segmenters import make_segmenter, segmenter_loads

__all__ = ["ScalableSegmenter", "Segmentation", "Segmenter", "make_segmenter", "segmenter_loads"]
