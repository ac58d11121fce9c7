"""Image quality: numbers that describe blur, drift, saturation and empty fields, and flags made from them."""

from hrtem_dask.loading.quality.metrics import quality_flags, quality_metrics

__all__ = ["quality_flags", "quality_metrics"]
