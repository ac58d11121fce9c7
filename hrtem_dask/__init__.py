"""Batch analytics of HRTEM micrographs, distributed by Dask."""
