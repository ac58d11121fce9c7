"""Image quality: numbers that describe blur, drift, saturation and empty fields, and flags made from them."""

from hrtem_dask.loading.quality.metrics import image_hash, quality_flags, quality_metrics

__all__ = ["image_hash", "quality_flags", "quality_metrics"]
