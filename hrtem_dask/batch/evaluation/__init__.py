"""Segmenters and classifiers scored against truth, on a cluster."""
