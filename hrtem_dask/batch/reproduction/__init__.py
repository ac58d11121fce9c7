"""Compute the tables of Groschner et al. (2021) from the published files, on a cluster."""
