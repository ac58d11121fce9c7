"""Write ``tests/cupy_names.json``: names and parameters of CuPy and cuCIM, for their stand-in in the tests.

    python tools/list_cupy.py tests/cupy_names.json

Run it in an environment with ``cupy-cuda13x`` and ``cucim-cu13``; no GPU is needed.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

MODULES = ("cupy", "cupyx.scipy.ndimage", "cupyx.scipy.fft", "cucim.skimage.filters", "cucim.skimage.morphology")


def parameters(value: Any) -> list[str] | None:
    """Return the names of the parameters of a function; None where Python does not know them."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return None
    return list(signature.parameters)


def names(owner: Any) -> dict[str, list[str] | None]:
    """Return the public names of a module or class."""
    public = sorted(name for name in dir(owner) if not name.startswith("_"))
    return {name: parameters(getattr(owner, name)) for name in public}


def main() -> None:
    """Write the listing."""
    listing = {name: names(importlib.import_module(name)) for name in MODULES}
    listing["cupy.ndarray"] = names(importlib.import_module("cupy").ndarray)
    Path(sys.argv[1]).write_text(
        json.dumps(listing, sort_keys=True, separators=(",", ":")).replace("},", "},\n") + "\n"
    )


if __name__ == "__main__":
    main()
