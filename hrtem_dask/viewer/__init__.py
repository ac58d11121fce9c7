"""Results in napari, by the entry point ``napari.manifest``; napari itself is not required."""
