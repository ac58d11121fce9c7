"""Population: statistics of the particles of each sample, from a table of particles."""

from hrtem_dask.population.options import PopulationOptions
from hrtem_dask.population.summary import summarize

__all__ = ["PopulationOptions", "summarize"]
