"""The tables of Groschner et al. (2021) computed from the published files, on a cluster."""
