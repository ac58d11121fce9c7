"""Population: a particle table → statistics of the population."""

from hrtem_dask.population.options import PopulationOptions
from hrtem_dask.population.summary import summarize

__all__ = ["PopulationOptions", "summarize"]
