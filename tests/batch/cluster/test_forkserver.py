"""Workers that are forked from a process that has imported what they need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dask
import pytest

from hrtem_dask.batch.cluster import forkserver
from hrtem_dask.batch.cluster.preloaded import MODULES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


def run_script(code: str, *, folder: Path, **environment: str) -> str:
    (folder / "script.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


LOOK = f"""
import json, os, sys
MODULES = {MODULES!r}

def look():
    import psutil, sys
    return {{
        "loaded": sorted(set(MODULES) & set(sys.modules)),
        "parent": psutil.Process().parent().cmdline()[-1],
        "environment": {{n: os.environ.get(n) for n in ("LATER", "OMP_NUM_THREADS", "PYTHONHASHSEED")}},
        "folder": os.getcwd(),
    }}

if __name__ == "__main__":
    from hrtem_dask.batch.cluster.cluster import connect
    from hrtem_dask.batch.cluster.forkserver import start_forkserver
    from hrtem_dask.cluster_settings import Cluster
    start_forkserver()
    import hrtem_dask.batch.run.run  # libraries change the environment when they are imported
    os.environ["LATER"] = "seen"
    with connect(Cluster(scheduler="local", workers=1)) as client:
        print(json.dumps(list(client.run(look).values())[0]))
"""


def test_workers_are_forked_with_everything_loaded_and_todays_environment(tmp_path: Path) -> None:
    seen = json.loads(run_script(LOOK, folder=tmp_path))
    assert "forkserver" in seen["parent"]
    assert seen["loaded"] == sorted(MODULES)
    assert seen["environment"] == {
        "LATER": "seen",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "6640"),
    }
    assert seen["folder"] == str(tmp_path)


def test_files_in_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    # a user's own file may have any name, and the command line does not import from the current folder
    here = tmp_path / "here"
    (here / "hrtem_dask").mkdir(parents=True)
    (here / "hrtem_dask" / "__init__.py").write_text("raise ImportError('another package')")
    (here / "colorsys.py").write_text("raise ImportError('another module')")
    (tmp_path / "script.py").write_text(LOOK)
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=here, check=True)
    seen = json.loads(done.stdout)
    assert seen["loaded"] == sorted(MODULES)
    assert seen["folder"] == str(here)


@pytest.mark.parametrize(
    "variable",
    ["DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD", "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__OTHER"],
)
def test_what_the_user_configures_for_dask_is_kept(tmp_path: Path, variable: str) -> None:
    value = "spawn" if variable.endswith("OTHER") else "fork"
    code = LOOK.replace("print(json", "print(dask.config.get('distributed.worker.multiprocessing-method'), json")
    method, seen = run_script(
        code.replace("import json,", "import dask, json,"), folder=tmp_path, **{variable: value}
    ).split(" ", 1)
    assert method == value
    assert "forkserver" not in json.loads(seen)["parent"]


def test_a_variable_that_python_reads_at_its_start_is_in_force(tmp_path: Path) -> None:
    code = LOOK.replace('os.environ["LATER"] = "seen"', f'os.environ["PYTHONPATH"] = {str(tmp_path)!r}')
    assert "forkserver" not in json.loads(run_script(code, folder=tmp_path))["parent"]


def test_nothing_that_is_loaded_before_the_fork_starts_a_python_thread() -> None:
    code = "from hrtem_dask.batch.cluster.preloaded import preload; preload()\n"
    code += "import sys, threading; print('openvino' in sys.modules, threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "True 1"


def test_whoever_else_imports_the_list_of_modules_keeps_ctrl_c() -> None:
    look = "import signal, sys; print(signal.getsignal(signal.SIGINT), 'dask' in sys.modules)"
    plain, imported = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True).stdout
        for code in (look, f"import hrtem_dask.batch.cluster.preloaded; {look}")
    )
    assert plain == imported


def test_defaults_are_those_of_dask() -> None:
    import distributed  # noqa: F401 - its configuration is loaded with it

    of_dask = {n: str(v) for n, v in dask.config.get("distributed.nanny.pre-spawn-environ", {}).items()}
    assert {n: v for n, v in forkserver.BEFORE_START.items() if n != "PYTHONHASHSEED"} == of_dask


def test_loaded_modules_are_most_of_what_a_run_needs(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path

def loaded():
    import sys
    return sorted(sys.modules)

if __name__ == "__main__":
    import numpy as np
    import tifffile
    from hrtem_dask.batch.cluster.cluster import connect
    from hrtem_dask.batch.run.run import run
    from hrtem_dask.cluster_settings import Cluster
    from hrtem_dask.simulation import simulate_scene
    scene = simulate_scene(seed=(1, 1), shape=(256, 256), n_particles=2)
    tifffile.imwrite("a.tif", scene.image)
    with connect(Cluster(scheduler="local", workers=1)) as client:
        before = set(list(client.run(loaded).values())[0])
        run("a.tif", "out", cluster=client, progress=False)
        after = set(list(client.run(loaded).values())[0])
    print(len(after), len(after - before), sorted(after - before))
"""
    n_all, n_new, names = run_script(code, folder=tmp_path).split(" ", 2)
    assert int(n_new) < 0.03 * int(n_all), names
