"""Measure the main job, files to particle table, against the four baselines, side by side in one run.

    python benchmarks/main_job.py --micrographs 64 --size 1024 --rounds 3

Each contender runs in a separate process, one after the other, in several rounds, so that other load of the machine
affects all of them equally; ratios are taken within a round. The time is measured when the workers have started and
warmed up. In the first round, the time from the start of the process to the first table is measured too ("with start":
imports, workers, cluster, compiling the network).

`hrtem_dask` is a run with all defaults, which measures much more than the others. `recipe` is a run with the recipe of
the paper, `pipelines/groschner2021.toml`, without the lattice and with the same forest as the baselines (--forest; else
nothing is classified): the same job, still with quality, bridging, filling, labels, hashes and ledger.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

PACKAGE = "hrtem_dask"
RECIPE = "recipe"
NAMES = ("paper", "script", "tuned", "limit", PACKAGE, RECIPE)
PAPER_RECIPE = Path(__file__).parents[1] / "pipelines" / "groschner2021.toml"
STAGES = ("read", "filter", "segment", "particles", "fourier", "forest", "write")
MIN_AREA_PX = 100


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micrographs", type=int, default=64)
    parser.add_argument("--size", type=int, default=1024, help="height and width in px, a multiple of 16")
    parser.add_argument("--weights", type=Path, help="the paper's .h5, or .safetensors; default: see find_weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--radius", type=int, default=5, help="of opening and closing (px), for all contenders")
    parser.add_argument(
        "--forest", action="store_true", help="let the four baselines and the recipe classify by the five features"
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument(
        "--paper-micrographs", type=int, default=8, help="number of micrographs for `paper`, which is slow"
    )
    parser.add_argument("--folder", type=Path, help="keep the micrographs here for the next run")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--files", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _measure_here(options)
        return
    if options.size % 16:
        parser.error(f"--size must be a multiple of 16, got {options.size}")
    with tempfile.TemporaryDirectory(prefix="hrtem-dask-benchmark-") as scratch:
        _compare(options, Path(scratch))


def _compare(options: argparse.Namespace, scratch: Path) -> None:
    """Measure all contenders, round after round, and print the tables."""
    options.weights = options.weights or find_weights(scratch)
    options.folder = options.folder or scratch / "micrographs"
    print(f"weights: {options.weights.name}; {options.micrographs} × {options.size}², {options.workers} workers")
    _write_micrographs(options)
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in options.only}
    for number in range(options.rounds):
        # the order alternates, so that no contender is always measured after the same other one
        for name in options.only if number % 2 == 0 else reversed(options.only):
            measured[name].append(_measure(name, "first" if number == 0 else "again", options, scratch))
    print(_circumstances(options, measured))
    print(_summary(options, measured))
    print(_stages(options, measured))
    if PACKAGE in options.only and "limit" in options.only:
        print(_agreement(measured[PACKAGE][0]["plain"], measured["limit"][0]))


def find_weights(scratch: Path) -> Path:
    """Find the weights of the paper in the folder of real data, or make random weights of its architecture.

    Parameters
    ----------
    scratch : Path
        Folder for random weights.

    Returns
    -------
    Path
        ``pynanofind/weights/unet32_AuCdSeDots_09_final.h5`` below ``HRTEM_DASK_DATA`` (by default ../shared/data).
    """
    data = Path(os.environ.get("HRTEM_DASK_DATA", Path(__file__).parents[2] / "shared" / "data"))
    real = data / "pynanofind" / "weights" / "unet32_AuCdSeDots_09_final.h5"
    if real.exists():
        return real.resolve()
    print(f"{real} does not exist: using random weights, with other particles and another time to measure them")
    code = (
        "import sys, torch; from hrtem_dask.segmentation.unet import UNet\n"
        "from hrtem_dask.segmentation.networks.config import groschner2021_config\n"
        "from hrtem_dask.segmentation.weights import save_model\n"
        "torch.manual_seed(0); save_model(UNet(groschner2021_config()).eval(), sys.argv[1])"
    )
    path = scratch / "random.safetensors"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    return path


def _write_micrographs(options: argparse.Namespace) -> None:
    """Simulate in another process to keep this one small: the peak memory of a child starts at that of its parent."""
    code = (
        "import sys; from pathlib import Path; from micrographs import write_micrographs\n"
        "write_micrographs(Path(sys.argv[1]), n=int(sys.argv[2]), size_px=int(sys.argv[3]))"
    )
    arguments = [str(options.folder), str(options.micrographs), str(options.size)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=Path(__file__).parent)


def _measure(name: str, mode: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run one contender in a separate process; add its peak memory and the load by other processes."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        command = [sys.executable, __file__, "--child", name, mode, folder, "--files", str(options.folder)]
        command += ["--weights", str(options.weights), *(["--forest"] if options.forest else [])]
        for option in ("micrographs", "size", "workers", "radius", "paper_micrographs"):
            command += [f"--{option.replace('_', '-')}", str(getattr(options, option))]
        busy, began = _busy_seconds(), time.time()
        child = subprocess.Popen(command, env=_environment(options.folder))
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{name} failed")
        result: dict[str, Any] = json.loads((Path(folder) / "result.json").read_text())
        # workers that are forked are no children of the process, which is all that the system counts
        own = usage.ru_utime + usage.ru_stime + result.get("forked_core_seconds", 0.0)
        result["others_cores"] = max(0.0, _busy_seconds() - busy - own) / (time.time() - began)
        result["peak_mib"] = max(usage.ru_maxrss / 1024, result.get("forked_peak_mib", 0.0))  # of the largest process
        result["with_start"] = result["first_ended"] - began
    return result


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a contender, with a folder for byte code, which would be compiled at each start."""
    environment = {**os.environ, "OPENVINO_TELEMETRY": "0"}
    if environment.pop("PYTHONDONTWRITEBYTECODE", None):
        environment["PYTHONPYCACHEPREFIX"] = str(folder.resolve() / "bytecode")
    return environment


def _busy_seconds() -> float:
    """Return the total working time of all cores (s)."""
    try:
        user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    except OSError:
        return 0.0
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _measure_here(options: argparse.Namespace) -> None:
    """Run one contender in this process and write what was measured."""
    name, mode, folder = options.child[0], options.child[1], Path(options.child[2])
    n = options.paper_micrographs if name == "paper" else options.micrographs
    files = sorted(options.files.glob(f"au_{options.size}_*.tif"))[: min(n, options.micrographs)]
    # all files in the first round, which is timed with the start; later just enough to warm up every worker
    warm_up = files if mode == "first" else files[: 2 * options.workers]
    if name in (PACKAGE, RECIPE):
        settings = _default_settings(options) if name == PACKAGE else _recipe_settings(options, folder)
        result = _run_package(files, warm_up, folder, options, settings, plain=mode == "first" and name == PACKAGE)
    else:
        result = _run_baseline(name, files, warm_up, folder, options)
    (folder / "result.json").write_text(json.dumps({"n": len(files), **result}))


def _run_baseline(
    name: str, files: Sequence[Path], warm_up: Sequence[Path], folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Run one of the baselines."""
    from baselines import baseline

    with baseline(
        name, options.weights, radius_px=options.radius, forest=options.forest, workers=options.workers
    ) as analyse:
        analyse(warm_up, folder / "warm_up.csv")
        first_ended = time.time()
        stopwatch = _Stopwatch()
        table, laps = analyse(files, folder / "particles.csv")
        spent = stopwatch.spent()
    stages = {stage: sum(lap.get(stage, 0.0) for lap in laps) / len(laps) for stage in STAGES}
    counts = _counts(table["area_px" if "area_px" in table else "area"])
    return {**spent, "first_ended": first_ended, "stages": stages, **counts}


def _run_package(
    files: Sequence[Path],
    warm_up: Sequence[Path],
    folder: Path,
    options: argparse.Namespace,
    settings: Any,
    *,
    plain: bool,
) -> dict[str, Any]:
    """Run hrtem_dask; `plain` also without splitting, bridging and filling, which the baselines do not do."""
    from hrtem_dask.batch.cluster.cluster import connect
    from hrtem_dask.batch.run.run import run
    from hrtem_dask.cluster_settings import Cluster
    from hrtem_dask.storage.results import open_results

    with connect(Cluster(workers=options.workers, device="cpu")) as client:
        run(warm_up, folder / "warm_up", settings=settings, cluster=client)
        first_ended = time.time()
        stopwatch = _Stopwatch()
        summary = run(files, folder / "results", settings=settings, cluster=client)
        spent = stopwatch.spent()
        if plain:
            rules = {"split_touching": False, "bridge_gap_nm": 0.0, "fill_holes": False}
            run(files, folder / "plain", settings=settings.updated({"particles": rules}), cluster=client)
        forked = _forked_workers()
    if summary.analysed != len(files):
        raise SystemExit(f"{len(files)} micrographs, but {summary.counts}")
    results = open_results(folder / "results")
    execution = results.table("execution")
    stages = {stage: float(execution[f"seconds_{stage}"].mean()) for stage in STAGES if f"seconds_{stage}" in execution}
    result = {**spent, **forked, "first_ended": first_ended, "stages": stages, **_counts(results.particles["area_px"])}
    if plain:
        result["plain"] = _counts(open_results(folder / "plain").particles["area_px"])
    return result


def _forked_workers() -> dict[str, float]:
    """Return processor time and largest memory of the workers that are forked, and no children of this process."""
    me = psutil.Process()
    workers = [process for process in me.children(recursive=True) if process.ppid() != me.pid]
    peaks = [Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0] for process in workers]
    times = [process.cpu_times() for process in workers]
    return {
        "forked_core_seconds": sum(t.user + t.system for t in times),
        "forked_peak_mib": max((int(peak) / 1024 for peak in peaks), default=0.0),
    }


def _default_settings(options: argparse.Namespace) -> Any:
    """Return the defaults, with the network and the radii of the baselines."""
    from hrtem_dask.settings import Settings

    return Settings().updated(_common(options))


def _recipe_settings(options: argparse.Namespace, folder: Path) -> Any:
    """Return the recipe of the paper, with the forest of the baselines."""
    from baselines import stand_in_forest

    from hrtem_dask.defects import Calibration, DefectClassifier, Forest, save_classifier
    from hrtem_dask.fourier import GROSCHNER2021_COLUMNS
    from hrtem_dask.settings import Settings

    settings = Settings.from_file(PAPER_RECIPE).updated({**_common(options), "fourier": {"lattice": False}})
    if not options.forest:
        return settings.updated({"defects": {"classify": False}})
    names = ("no_stacking_fault", "stacking_fault")
    forest, identity = Forest.from_sklearn(stand_in_forest()), Calibration.identity(len(names))
    path = folder / "forest.safetensors"
    save_classifier(DefectClassifier(GROSCHNER2021_COLUMNS, names, forest, identity), path)
    return settings.updated({"defects": {"model": str(path)}})


def _common(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Return what both runs have in common with the baselines."""
    return {
        "segmentation": {"method": "unet", "model": str(options.weights)},
        "particles": {"opening_radius_px": options.radius, "closing_radius_px": options.radius},
        "execution": {"device": "cpu", "overlays": "none"},
    }


class _Stopwatch:
    """Elapsed time and processor time of this process and its children; the latter hardly depends on other load."""

    def __init__(self) -> None:
        self._core_seconds, self._began = self._worked(), time.perf_counter()

    def spent(self) -> dict[str, float]:
        """Return both times since the start (s)."""
        seconds = time.perf_counter() - self._began
        return {"seconds": seconds, "core_seconds": self._worked() - self._core_seconds}

    @staticmethod
    def _worked() -> float:
        me = psutil.Process()
        times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
        return sum(t.user + t.system for t in times)


def _counts(area_px: Any) -> dict[str, float]:
    """Return the number of regions that are large enough to be measured, and the median of their diameters."""
    area_px = area_px[area_px >= MIN_AREA_PX].astype(float)
    diameter = (area_px * 1.2732395447351628) ** 0.5  # 4/π
    return {"n_particles": len(area_px), "diameter_px": float(diameter.median()) if len(area_px) else 0.0}


def _circumstances(options: argparse.Namespace, measured: dict[str, list[dict[str, Any]]]) -> str:
    """Return a description of the load by other processes."""
    others = [result["others_cores"] for results in measured.values() for result in results]
    return (
        f"{options.rounds} rounds; forest: {'yes; hrtem_dask has its own' if options.forest else 'no'}; others "
        f"kept {statistics.median(others):.2f} of {os.cpu_count()} cores busy (median; at most {max(others):.2f})\n"
    )


def _summary(options: argparse.Namespace, measured: dict[str, list[dict[str, Any]]]) -> str:
    """Return the table of speeds."""
    rates = {name: [r["n"] / r["seconds"] for r in results] for name, results in measured.items()}
    reference = "script" if "script" in rates else options.only[0]
    lines = [
        f"| who | micrographs/s | Mpx/s | ÷ {reference} (range) | core-ms per micrograph | with start, micrographs/s "
        "| peak of one process, MiB | particles ≥ 100 px per micrograph | median diameter, px |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, results in measured.items():
        rate = statistics.median(rates[name])
        ratios = [own / other for own, other in zip(rates[name], rates[reference], strict=True)]
        work = statistics.median(1000 * r["core_seconds"] / r["n"] for r in results)
        lines.append(
            f"| {name} | {rate:.2f} | {rate * options.size**2 / 1e6:.2f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f}–{max(ratios):.2f}) | {work:.0f} | {results[0]['n'] / results[0]['with_start']:.2f} "
            f"| {max(r['peak_mib'] for r in results):.0f} | {results[0]['n_particles'] / results[0]['n']:.2f} "
            f"| {results[0]['diameter_px']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _stages(options: argparse.Namespace, measured: dict[str, list[dict[str, Any]]]) -> str:
    """Return the table of milliseconds per micrograph and process."""
    lines = [
        f"| ms per micrograph and process | {' | '.join(STAGES)} | everything else |",
        "|---" * (len(STAGES) + 2) + "|",
    ]
    for name, results in measured.items():
        processes = 1 if name == "paper" else options.workers
        stages = {s: 1000 * statistics.median(r["stages"].get(s, 0.0) for r in results) for s in STAGES}
        whole = 1000 * statistics.median(r["seconds"] / r["n"] for r in results) * processes
        cells = [f"{value:.1f}" if value >= 0.05 else "–" for value in stages.values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {whole - sum(stages.values()):.1f} |")
    return "\n".join(lines) + "\n"


def _agreement(plain: dict[str, Any], limit: dict[str, Any]) -> str:
    """Compare the particles of hrtem_dask, without its additional rules, with those of `limit`."""
    return (
        f"Without splitting, bridging and filling of holes hrtem_dask finds {plain['n_particles']} particles of median "
        f"diameter {plain['diameter_px']:.3f} px, limit {limit['n_particles']} of {limit['diameter_px']:.3f} px."
    )


if __name__ == "__main__":
    main()
