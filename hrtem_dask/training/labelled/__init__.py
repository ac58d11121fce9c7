"""Labeled micrographs and crops of any source, and their split into training, validation and test."""
