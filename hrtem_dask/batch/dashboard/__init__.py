"""The page *Population* of Dask's dashboard."""
