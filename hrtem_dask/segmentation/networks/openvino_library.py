"""OpenVINO, imported without its converter of models.

``import openvino`` imports that too, which takes a third of a second, starts a thread, and tells its maker over the
network that it was imported (openvino-telemetry asks nobody). Nothing here converts models.
"""

from __future__ import annotations

import sys

_CONVERTER = "openvino.tools.ovc"

if _CONVERTER in sys.modules:
    import openvino
else:
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]  # its import fails, which OpenVINO expects
    try:
        import openvino
    finally:
        del sys.modules[_CONVERTER]  # whoever needs the converter can still import it

__all__ = ["openvino"]
