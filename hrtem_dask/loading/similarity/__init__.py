"""Whether two images show the same pixels: copies, exports, other formats, fewer bits or a smaller size."""

from hrtem_dask.loading.similarity.comparison import are_turned_copies, compare_images, same_field_correlation
from hrtem_dask.loading.similarity.fingerprint import Fingerprint, fingerprint_agreement, make_fingerprint

__all__ = [
    "Fingerprint",
    "are_turned_copies",
    "compare_images",
    "fingerprint_agreement",
    "make_fingerprint",
    "same_field_correlation",
]
