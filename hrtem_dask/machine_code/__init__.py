"""Loops as machine code, which processes of one machine make together at the first run after an installation."""

from hrtem_dask.machine_code.loops import Loop, compiled, loops_of
from hrtem_dask.machine_code.sharing import load_or_share

__all__ = ["Loop", "compiled", "load_or_share", "loops_of"]
