"""MRC files: sections, the meaning of their bytes, and the pixel sizes of their headers."""
