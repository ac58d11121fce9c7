"""Population: a particle table → statistics of the population."""

from hrtem_dask.population.summary import summarize

__all__ = ["summarize"]
