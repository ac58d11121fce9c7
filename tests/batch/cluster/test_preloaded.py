"""What is loaded before workers are forked."""

import subprocess
import sys

CODE = """
import numpy as np
from hrtem_dask.analysis import analyse
from hrtem_dask.analysis.segmenters import make_segmenter
from hrtem_dask.batch.cluster.preloaded import LOOPS
from hrtem_dask.defects import make_classifier
from hrtem_dask.machine_code import loops_of
from hrtem_dask.particles.flooding import basins
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import simulate_scene

settings = Settings().updated({"execution": {"device": "cpu"}})
tools = {"segmenter": make_segmenter(settings), "classifier": make_classifier(settings.defects)}
for seed in range(2):
    scene = simulate_scene(seed=seed, shape=(512, 512), n_particles=12, diameter_nm=(3.0, 4.0))
    analyse(scene.image, pixel_size_nm=scene.pixel_size_nm, settings=settings, **tools)
basins(np.zeros((3, 3), np.float32), np.eye(3, dtype=np.int32), np.ones((3, 3), dtype=bool))
used = {loop.code.__name__: loop.code.signatures for loop in loops_of(LOOPS)}
for loop in loops_of(LOOPS):
    loop.load()
for loop in loops_of(LOOPS):
    print(loop.code.__name__, len(used[loop.code.__name__]), len(loop.code.signatures))
"""


def test_the_types_of_loops_are_those_of_a_run() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) > 20
    assert [name for name, used, _ in lines if used != "1"] == []
    assert [name for name, _, known in lines if known != "1"] == []
