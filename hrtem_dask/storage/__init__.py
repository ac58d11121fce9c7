"""How micrographs and results lie on disk: Zarr, Parquet and the ledger. Knows no Dask."""
