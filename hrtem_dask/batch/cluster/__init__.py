"""The Dask cluster that tasks run on, and the bounded stream that sends tasks to it."""
