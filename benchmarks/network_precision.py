"""A U-Net in float32, bfloat16 and int8: processor time on one thread, and what changes in its masks.

    pip install nncf   # for int8; no dependency of the package
    python benchmarks/network_precision.py --weights hrtem_dask/models/unet.safetensors

The network sees simulated micrographs of 1024² px at their own scale. Four calibrate int8, four others are measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIZE_PX = 1024
CALIBRATION = 4


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="a .safetensors file, or the paper's .h5")
    parser.add_argument("--micrographs", type=int, default=4, help="number of micrographs to measure")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read when NumPy is imported: this program starts again
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})
    with tempfile.TemporaryDirectory(prefix="hrtem-dask-benchmark-") as scratch:
        images = _images(Path(scratch), CALIBRATION + options.micrographs, options.weights)
    print("| precision | processor time per micrograph, ms | pixels that change | covered area |")
    print("|---|---|---|---|")
    reference: list[Any] = []
    for name, model in _models(options.weights, images[:CALIBRATION]).items():
        times, masks = [], []
        for _ in range(options.rounds):
            masks = []
            for image in images[CALIBRATION:]:
                began = time.process_time()
                logits = model(image[None, None])[0]
                times.append(1000 * (time.process_time() - began))
                masks.append(logits[0, 0] > 0)  # the folded network has one output for two classes
        reference = reference or masks
        flips = statistics.mean(float((a != b).mean()) for a, b in zip(masks, reference, strict=True))
        area = statistics.mean(float(a.sum() / b.sum()) - 1 for a, b in zip(masks, reference, strict=True))
        print(f"| {name} | {statistics.median(times):.0f} | {flips:.3%} | {area:+.2%} |")


def _images(folder: Path, n: int, weights: Path) -> list[Any]:
    """Simulate micrographs, and scale them as the network expects."""
    import numpy as np
    import tifffile
    from micrographs import write_micrographs

    from hrtem_dask import analysis
    from hrtem_dask.segmentation.network_input import scale_input
    from hrtem_dask.segmentation.weights import load_weights
    from hrtem_dask.settings import Settings

    config, settings = load_weights(weights).config, Settings().updated({"execution": {"device": "cpu"}})
    files = write_micrographs(folder, n=n, size_px=SIZE_PX)
    prepared = (np.asarray(analysis.prepare(tifffile.imread(path), settings)[0]) for path in files)
    return [np.asarray(scale_input(image, config.input_scaling), np.float32) for image in prepared]


def _models(weights: Path, calibration: list[Any]) -> dict[str, Any]:
    """Compile the network in each precision."""
    from hrtem_dask import backend
    from hrtem_dask.segmentation.openvino_graph import openvino_graph
    from hrtem_dask.segmentation.weights import load_weights

    network = load_weights(weights).folded()
    properties = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    core = backend.openvino().Core()

    def compiled(graph: Any, hint: str) -> Any:
        return core.compile_model(graph, "CPU", {**properties, "INFERENCE_PRECISION_HINT": hint})

    shape = (1, 1, SIZE_PX, SIZE_PX)
    found = {"float32": compiled(openvino_graph(network, shape), "f32")}
    found["bfloat16"] = compiled(openvino_graph(network, shape), "bf16")
    try:
        import nncf
    except ImportError:
        print("int8 is left out: nncf is not installed")
        return found
    images = nncf.Dataset([image[None, None] for image in calibration])
    quantized = nncf.quantize(openvino_graph(network, shape), images, preset=nncf.QuantizationPreset.MIXED)
    return {**found, "int8": compiled(quantized, "f32")}


if __name__ == "__main__":
    main()
