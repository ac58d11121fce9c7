"""Outlines and fault traces, as polygons and drawn on the image."""
