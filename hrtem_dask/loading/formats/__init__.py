"""Readers of file formats, one module per format or library."""
