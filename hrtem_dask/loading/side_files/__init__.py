"""Files that a microscope writes beside an image, with its pixel size: Hitachi, JEOL, Tescan, Thermo Fisher."""

from hrtem_dask.loading.side_files.beside import described_beside
from hrtem_dask.loading.side_files.names import side_names

__all__ = ["described_beside", "side_names"]
