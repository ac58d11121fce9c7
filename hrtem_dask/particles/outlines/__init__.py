"""Outlines of particles and traces of faults: as polygons, and drawn on the image."""
