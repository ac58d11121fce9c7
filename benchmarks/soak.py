"""Attack a run until nothing is lost: kill its workers and its program, and compare the tables with an undisturbed run.

    python benchmarks/soak.py --micrographs 2000 --kill-every 60                 # about an hour on 2 cores
    python benchmarks/soak.py --micrographs 120 --kill-every 15 --method otsu    # minutes

Micrographs are analytic scenes of 512² px; 2 % of the files are broken (cut off, empty, text, no pixels). Real ones
join where HRTEM_DASK_DATA, or ../shared/data beside the checkout, has some. A worker, drawn at random, gets SIGKILL
about every minute, and the whole program twice. The same command is then started again. Every image must have one row,
and every table but execution.parquet must be that of the undisturbed run, byte by byte. The exit status is 1 otherwise.

A further undisturbed run over a part of the files (--few, and all real ones) shows whether memory grows with their
number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import tifffile

from hrtem_dask.simulation import simulate_scene

PIXEL_SIZE_NM = 0.03
DATA = Path(os.environ.get("HRTEM_DASK_DATA", Path(__file__).parents[2] / "shared" / "data"))
REAL_SUFFIXES = {".tif", ".tiff", ".dm3", ".dm4", ".ser", ".emd", ".mrc"}
LARGEST_REAL = 3_000_000
"""Largest real file (bytes) that joins: a few large ones would take most of the time."""
BROKEN_EVERY = 50
"""Each 50th file is broken, which is 2 %."""
LOOK_S = 1.0


@dataclass
class Attack:
    """What was done to a run, and what it took."""

    workers_killed: int = 0
    programs_killed: int = 0
    starts: int = 0
    seconds: float = 0.0
    program_mib: float = 0.0
    """Largest memory of the program (MiB)."""
    worker_mib: float = 0.0
    """Largest memory of a worker (MiB)."""


def main() -> None:
    """Parse the command line, run twice, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micrographs", type=int, default=2000, help="number of files, 2 %% of them broken")
    parser.add_argument("--size", type=int, default=512, help="height and width in px")
    parser.add_argument("--kill-every", type=float, default=60.0, help="mean time between killed workers (s)")
    parser.add_argument("--kill-program", type=int, default=2, help="how often the whole program is killed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--method", default="unet", help="as of hrtem-dask run")
    parser.add_argument("--settings", type=Path, help="as of hrtem-dask run")
    parser.add_argument("--few", type=int, default=200, help="simulated files of the short run")
    parser.add_argument("--real", type=int, default=20, help="most real micrographs that join")
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--folder", type=Path, help="keep everything here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hrtem-dask-soak-") as scratch:
        folder = options.folder or Path(scratch)
        n_broken = write_inputs(folder / "in", options.micrographs, options.size, options.seed)
        n_real = add_real(folder / "in", options.real)
        few = take_few(folder, options.few)
        short = run(few, folder / "few", options, attacked=False)
        calm = run(folder / "in", folder / "calm", options, attacked=False)
        attacked = run(folder / "in", folder / "attacked", options, attacked=True)
        result = compare(folder, options.micrographs + n_real, n_broken) | {
            "real_files": n_real,
            "files_and_folders_of_the_results": sum(1 for _ in (folder / "attacked").rglob("*")),
            "seconds_undisturbed": round(calm.seconds),
            "seconds_attacked": round(attacked.seconds),
            "workers_killed": attacked.workers_killed,
            "programs_killed": attacked.programs_killed,
            "files_of_the_short_run": options.few + n_real,
            "program_mib_short_and_whole": [round(short.program_mib), round(calm.program_mib)],
            "worker_mib_short_and_whole": [round(short.worker_mib), round(calm.worker_mib)],
        }
    print(json.dumps(result, indent=2))
    sys.exit(0 if result["lost"] == 0 and not result["tables_that_differ"] else 1)


def write_inputs(folder: Path, n: int, size: int, seed: int) -> int:
    """Write the micrographs; return how many files are broken."""
    folder.mkdir(parents=True, exist_ok=True)
    n_broken = 0
    for i in range(n):
        path = folder / f"m{i:05d}.tif"
        is_broken = i % BROKEN_EVERY == BROKEN_EVERY // 2
        n_broken += is_broken
        if path.exists():
            continue
        n_particles = i % 7  # every seventh field is empty
        scene = simulate_scene(seed=(seed, i), shape=(size, size), pixel_size_nm=PIXEL_SIZE_NM, n_particles=n_particles)
        image = np.clip(scene.image, 0, 65535).astype(np.uint16)
        step = 1 / PIXEL_SIZE_NM
        tifffile.imwrite(path, image, imagej=True, resolution=(step, step), metadata={"unit": "nm"})
        if is_broken:
            content = path.read_bytes()
            kinds = (content[: len(content) // 2], b"", b"no image\n" * 9, content[:8])
            path.write_bytes(kinds[i // BROKEN_EVERY % len(kinds)])
    return n_broken


def add_real(folder: Path, n: int) -> int:
    """Link real micrographs, the smallest first; return how many there are."""
    found = [p for p in DATA.rglob("*") if p.suffix.lower() in REAL_SUFFIXES] if DATA.is_dir() else []
    sizes = {path: path.stat().st_size for path in found}
    chosen = sorted((p for p in found if 100_000 < sizes[p] < LARGEST_REAL), key=lambda p: (sizes[p], str(p)))[:n]
    for i, path in enumerate(chosen):
        link = folder / f"real{i:03d}{path.suffix}"
        if not link.exists():
            link.symlink_to(path)
    return len(chosen)


def take_few(folder: Path, n: int) -> Path:
    """Link the first simulated files, and all real ones, in a folder of their own; return it."""
    few = folder / "in-few"
    few.mkdir(exist_ok=True)
    for path in [*sorted((folder / "in").glob("m*.tif"))[:n], *(folder / "in").glob("real*")]:
        if not (few / path.name).exists():
            (few / path.name).symlink_to(path)
    return few


def run(inputs: Path, out: Path, options: argparse.Namespace, *, attacked: bool) -> Attack:
    """Run the command until it ends by itself; kill what belongs to it meanwhile."""
    shutil.rmtree(out, ignore_errors=True)
    chance = random.Random(options.seed)
    attack, began = Attack(), time.monotonic()
    program_at = [(k + 1) / (options.kill_program + 1) for k in range(options.kill_program)] if attacked else []
    command = [
        sys.executable,
        "-m",
        "hrtem_dask",
        "run",
        str(inputs),
        "-o",
        str(out),
        "--method",
        options.method,
        *(["--settings", str(options.settings)] if options.settings else []),
    ]
    while True:
        attack.starts += 1
        log = out.with_name(f"{out.name}-{attack.starts}.log").open("w")
        process = subprocess.Popen(
            [*command, "--workers", str(options.workers), "--device", "cpu"],
            process_group=0, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        next_kill = time.monotonic() + chance.expovariate(1 / options.kill_every)
        while process.poll() is None:
            time.sleep(LOOK_S)
            done = n_committed(out)
            look_at_memory(process.pid, attack)
            if program_at and done >= program_at[0] * options.micrographs:
                os.killpg(process.pid, signal.SIGKILL)
                program_at.pop(0)
                attack.programs_killed += 1
            elif attacked and time.monotonic() > next_kill:
                attack.workers_killed += kill_a_worker(process.pid, chance)
                next_kill = time.monotonic() + chance.expovariate(1 / options.kill_every)
        log.close()
        if process.returncode != -signal.SIGKILL:
            break
    attack.seconds = time.monotonic() - began
    if process.returncode != 0:
        sys.exit(f"the run ended with {process.returncode}: {Path(log.name).read_text()[-3000:]}")
    return attack


def n_committed(out: Path) -> int:
    """Return how many micrographs the latest start has announced as finished."""
    try:
        lines = (out / "log.jsonl").read_text(errors="replace").splitlines()
    except OSError:
        return 0
    return sum('"micrograph_id"' in line for line in lines)


def kill_a_worker(program: int, chance: random.Random) -> int:
    """Kill one worker; return 1, or 0 where there is none at the moment."""
    try:
        children = psutil.Process(program).children(recursive=True)
        workers = [p for p in children if p.ppid() != program and "forkserver" in " ".join(p.cmdline())]
        if not workers:
            return 0
        chance.choice(workers).kill()
    except psutil.Error:
        return 0
    return 1


def look_at_memory(program: int, attack: Attack) -> None:
    """Keep the largest memory of the program, and of a worker."""
    try:
        process = psutil.Process(program)
        attack.program_mib = max(attack.program_mib, largest_mib(process))
        for child in process.children(recursive=True):
            attack.worker_mib = max(attack.worker_mib, largest_mib(child))
    except psutil.Error:
        return


def largest_mib(process: psutil.Process) -> float:
    """Return the largest memory of a process so far (Linux), or its memory now (MiB)."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 2**10
    except (OSError, IndexError):
        return float(process.memory_info().rss / 2**20)


def compare(folder: Path, n: int, n_broken: int) -> dict[str, object]:
    """Compare the tables of both runs, and account for every file."""
    tables = sorted(p.name for p in (folder / "calm").glob("*.parquet") if p.name != "execution.parquet")
    digests = {
        name: {t: hashlib.sha256((folder / name / t).read_bytes()).hexdigest() for t in tables}
        for name in ("calm", "attacked")
    }
    rows = pd.read_parquet(folder / "attacked" / "micrographs.parquet")
    execution = pd.read_parquet(folder / "attacked" / "execution.parquet")
    return {
        "files": n,
        "broken_files": n_broken,
        "rows": len(rows),
        "lost": n - rows["source"].nunique(),
        "by_status": {str(k): int(v) for k, v in rows["status"].value_counts().items()},
        "begun_more_than_once": int((execution["attempts"] > 1).sum()),
        "tables_compared": tables,
        "tables_that_differ": [t for t in tables if digests["calm"][t] != digests["attacked"][t]],
    }


if __name__ == "__main__":
    main()
