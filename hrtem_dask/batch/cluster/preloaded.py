"""Imports what workers need, in the process that they are forked from (see `forkserver`)."""

from __future__ import annotations

import gc
import importlib
import logging
import signal
import sys

from hrtem_dask.machine_code import load_or_share, loops_of

__all__ = ["LOOPS", "MODULES", "preload"]

MODULES = (
    "distributed.nanny",
    "distributed.http.worker",
    "hrtem_dask.batch.listing",
    "hrtem_dask.batch.run.task",
    "hrtem_dask.batch.run.part_merger",
    "hrtem_dask.loading.formats.tiff_files.images",
    "hrtem_dask.segmentation.unet_segmenter",
    "hrtem_dask.segmentation.openvino_graph",
)
"""None of them may start a thread: it would be missing after the fork."""
LOOPS = (
    "hrtem_dask.particles.connected_runs",
    "hrtem_dask.particles.flooding",
    "hrtem_dask.defects.descent",
    "hrtem_dask.fourier.compiled.rings",
    "hrtem_dask.fourier.compiled.plane_profiles",
    "hrtem_dask.fourier.compiled.demodulation",
    "hrtem_dask.fourier.compiled.peaks",
    "hrtem_dask.fourier.compiled.maps",
    "hrtem_dask.fourier.compiled.surroundings",
    "hrtem_dask.fourier.compiled.nodes",
)
"""Modules with machine code: at first what all runs need, then what takes long to make."""


def preload() -> None:
    """Import the modules and load machine code; what cannot be loaded is told by the worker that needs it."""
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception:
            logging.getLogger(__name__).debug("%s is not loaded beforehand", name, exc_info=True)
    try:
        for name in LOOPS:
            importlib.import_module(name)
        load_or_share(loops_of(LOOPS))
    except Exception:
        logging.getLogger(__name__).debug("machine code is not loaded beforehand", exc_info=True)


if "multiprocessing.forkserver" in " ".join(sys.orig_argv):  # in that process alone, which can only be told to import
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which ends this process
    preload()
    gc.freeze()  # else the first collection of each worker would copy the pages of all these objects
