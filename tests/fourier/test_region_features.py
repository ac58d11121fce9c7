"""Machine code of the loops over a region."""

import importlib
import pkgutil
from typing import Any

from hrtem_dask.fourier import compiled
from hrtem_dask.fourier.region_features import load_machine_code


def test_one_region_loads_every_loop() -> None:
    load_machine_code()
    for found in pkgutil.iter_modules(compiled.__path__):
        module: Any = importlib.import_module(f"{compiled.__name__}.{found.name}")
        assert [name for name in module.__all__ if getattr(getattr(module, name), "signatures", True) == []] == []
