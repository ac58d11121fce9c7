"""Many micrographs: the only folder that knows Dask.

`run` is the batch: a bounded stream of tasks with a ledger. `open_micrographs` and what follows it is the lazy
notebook API. Both call the stages of `analysis`.
"""
