"""TIFF files: images, and the tags of every maker of microscopes."""
