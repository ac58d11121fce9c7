"""OpenVINO is imported without what reports to its maker."""

import subprocess
import sys

import pytest

CODE = """
import sys, threading
{before}
from hrtem_dask import backend
from hrtem_dask.segmentation import engines, openvino_graph
print(backend.openvino().Core is not None, "openvino_telemetry" in sys.modules, threading.active_count())
from openvino.tools.ovc import convert_model
"""


@pytest.mark.parametrize(("before", "reports"), [("", False), ("import openvino", True)])
def test_no_use_is_reported_unless_the_user_imports_openvino_itself(before: str, reports: bool) -> None:
    code = CODE.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    loaded, telemetry, threads = done.stdout.split()
    assert loaded == "True"
    assert telemetry == str(reports)
    assert reports or threads == "1"
