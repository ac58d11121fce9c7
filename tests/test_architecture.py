"""The package keeps its plan: which folder may import which, read from the source, and where tests stand."""

import ast
import graphlib
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hrtem_dask"
TESTS = Path(__file__).parent
FOUNDATION = {
    "addresses", "chosen_settings", "cluster_settings", "disk_arrays", "errors", "backend",
    "machine_code", "micrograph", "reasons", "settings", "tables", "crystals", "hann_window", "intervals", "medians",
    "provenance", "spreadsheet_text", "text_encoding", "toml_records",
}  # fmt: skip
STAGES = {
    "loading", "filtering", "segmentation", "particles", "fourier", "defects", "population",
    "simulation", "evaluation", "detection",
}  # fmt: skip
ABOVE = {
    "analysis": set(),
    "storage": set(),
    "training": {"analysis", "storage"},
    "reproduction": {"training"},
    "batch": {"analysis", "storage", "training", "reproduction"},
    "report": {"storage"},
    "viewer": {"storage"},
    "cli": {"storage", "training", "reproduction", "batch", "report"},
}
"""Room above the stages → the other rooms above the stages that it imports."""
ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(FOUNDATION, FOUNDATION),
    **{stage: FOUNDATION | {stage} for stage in STAGES},
    **{room: FOUNDATION | STAGES | others | {room} for room, others in ABOVE.items()},
}
SHARED = {
    "hrtem_dask.detection", "hrtem_dask.detection.instance_masks", "hrtem_dask.detection.instances",
    "hrtem_dask.detection.rotated_boxes", "hrtem_dask.detection.rotated_iou",
}  # fmt: skip
"""What every stage may import, because it says what instances are, as `hrtem_dask.tables` says what particles are.

These modules import nothing but each other."""
WINGS = {
    "batch/run": {"batch/cluster", "batch/dashboard"},
    "batch/correction": {"batch/cluster", "batch/run"},
    "batch/evaluation": {"batch/cluster", "batch/run"},
    "batch/reproduction": {"batch/cluster"},
    "batch/training": {"batch/cluster"},
    "loading/similarity": {"loading/quality"},
    "particles/outlines": {"particles/shape"},
    "population/budgets": {"population/inference"},
    "population/relations": {"population/inference"},
    "population/sizes": {"population/inference"},
    "segmentation/quality": {"segmentation/networks"},
    "segmentation/scales": {"segmentation/networks", "segmentation/quality"},
    "simulation/scenes": {"simulation/contrast"},
    "training/detection": {"training/network"},
    "storage/annotations": {"storage/exchange"},
    "training/fine_tuning": {"training/labelled", "training/network"},
    "training/network": {"training/labelled"},
}
"""Wing (folder inside a room) → the wings of the same room that it imports; a wing not named here imports none."""
SELF_CONTAINED = {
    "batch/cluster", "batch/dashboard", "loading/quality", "population/inference", "training/labelled",
    "training/forest",
}  # fmt: skip
"""Wings that import nothing else of their room, not even the modules that stand directly in it."""
NOT_FROM_ROOM = {"storage": "storage/exchange"}
"""Room → the wing that builds on the modules standing directly in the room, which therefore do not import it."""
LIBRARIES = {
    "dask": {"batch"},
    "distributed": {"batch"},
    "dask_cuda": {"batch"},
    "dask_jobqueue": {"batch"},
    "zarr": {"loading", "storage"},
    "xarray": {"micrograph", "tables", "loading", "storage", "batch"},
    "torch": {"detection", "segmentation", "training"},
    "torchvision": {"detection"},
    "sklearn": {"defects", "training", "population"},
    "cupy": {"backend"},
    "cupyx": {"backend"},
    "cucim": {"backend"},
}
MAX_MODULES_PER_FOLDER = 16
NAMED_FOR_A_TOPIC = {
    "batch/run/test_crystal_fields": "fields that one crystal fills, from the file to the tables of a run",
    "batch/run/test_damage": "results folders with damage of every kind, by every module that reads them",
    "batch/run/test_detectors": "runs with a detector, from the model file to tables and report",
    "batch/run/test_disk_and_network": "full disks and links that go down, by every module that writes or connects",
    "batch/run/test_hostile_text": "texts that would run as HTML or as formulas, from files to pages and tables",
    "batch/run/test_imports": "what a worker imports with its task, through all modules",
    "batch/run/test_object_store": "an S3 server that makes errors, by every module that reads or writes files",
    "batch/run/test_out_of_memory": "memory that runs out, on a GPU or on a worker, from the error to the row",
    "batch/run/test_survival": "a run that is interrupted, by every module that takes part",
    "batch/run/test_trouble_cases": "faults that users reported, from the file to the tables of a run",
    "detection/test_bundled": "the detectors that come with the package",
    "loading/test_bad_input": "damaged files of every format",
    "loading/test_fuzz": "damaged variants of small files of every format",
    "loading/test_limits": "small files that ask for much",
    "loading/test_names_and_shapes": "odd names, extensions and shapes, from the file to the tables of a run",
    "loading/formats/test_real_files": "files of real microscopes, in every format",
    "particles/test_given_labels": "labels corrected by hand, through every module of the stage",
    "population/relations/test_coverage_of_relations": "coverage of the intervals of every relation",
    "segmentation/test_bundled": "the network that comes with the package",
    "simulation/contrast/test_edges": "image against labels at the outline, through shapes, painting and lens",
}
"""Test modules that test several modules together → the topic."""
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """First folder or file below the package: the room that a module stands in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    """Return the name that a module is imported by."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def wing(name: str) -> str | None:
    """Return room and folder of a module that stands in a folder inside a room, None for all others."""
    parts = name.split(".")[1:]
    return "/".join(parts[:2]) if len(parts) >= 2 and (PACKAGE / parts[0] / parts[1]).is_dir() else None


def _only_for_types(tree: ast.AST) -> set[int]:
    """Return the nodes inside ``if TYPE_CHECKING:``, which never run."""
    blocks = (n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))
    return {id(node) for block in blocks for statement in block.body for node in ast.walk(statement)}


@cache
def imports(path: Path, *, for_types: bool = True) -> tuple[str, ...]:
    """Return the names that a module imports anywhere, inside functions too."""
    names: list[str] = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set() if for_types else _only_for_types(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            names += [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif (
            # importlib.import_module("cupy") is an import too
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", getattr(node.func, "id", "")) in {"import_module", "__import__"}
            and node.args
        ):
            texts = (n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant))
            names += [text.rstrip(".") for text in texts if isinstance(text, str) and text]
    return tuple(names)


@cache
def dependencies() -> dict[str, set[str]]:
    """Return for each module the modules of the package that it imports when it runs."""
    paths = {dotted(path): path for path in MODULES}
    graph = {}
    for name, path in paths.items():
        found = {n for n in imports(path, for_types=False) if n in paths}
        # `from a.b import c` names a.b and, where c is a module, a.b.c: then a.b is only the folder on the way
        inner = {n for n in found if any(other.startswith(f"{n}.") for other in found) and paths[n].stem == "__init__"}
        names_of_folder = {n for n in inner if _takes_a_name_of(path, n, paths)}
        graph[name] = found - (inner - names_of_folder) - {name}
    return graph


def _takes_a_name_of(path: Path, folder: str, paths: dict[str, Path]) -> bool:
    """Say whether a module imports from a folder's ``__init__`` something that is not a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == folder:
            if any(f"{folder}.{alias.name}" not in paths for alias in node.names):
                return True
        elif isinstance(node, ast.Import) and any(alias.name == folder for alias in node.names):
            return True
    return False


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    here = room(path)
    for name in imports(path):
        top, *rest = name.split(".")
        if (
            top == "hrtem_dask"
            and rest
            and here in ALLOWED
            and (PACKAGE / rest[0]).with_suffix(".py").exists() | (PACKAGE / rest[0]).is_dir()
            and not (here in STAGES and _shared(name))
        ):
            assert rest[0] in ALLOWED[here], f"{here} may not import hrtem_dask.{rest[0]}"
        if top in LIBRARIES:
            assert here in LIBRARIES[top], f"{top} is imported in {sorted(LIBRARIES[top])}, not in {here}"


def _shared(name: str) -> bool:
    """Say whether a name is a shared module or something in one."""
    return name in SHARED or name.rpartition(".")[0] in SHARED - {"hrtem_dask.detection"}


def test_shared_modules_import_nothing_else_of_the_package() -> None:
    for path in MODULES:
        if dotted(path) in SHARED:
            own = [name for name in imports(path) if name.startswith("hrtem_dask")]
            assert all(_shared(name) for name in own), f"{dotted(path)} imports {own}"


def test_no_permission_that_nobody_uses() -> None:
    used = {(room(path), name.split(".")[1]) for path in MODULES for name in imports(path) if name.count(".")}
    unused = [f"{here} → {there}" for here, others in ABOVE.items() for there in others if (here, there) not in used]
    tops = {(room(path), name.split(".")[0]) for path in MODULES for name in imports(path)}
    unused += [f"{here} → {lib}" for lib, rooms in LIBRARIES.items() for here in rooms if (here, lib) not in tops]
    wings = {(wing(name), wing(other)) for name, others in dependencies().items() for other in others}
    unused += [f"{here} → {there}" for here, others in WINGS.items() for there in others if (here, there) not in wings]
    assert not unused


def test_every_room_is_on_the_plan_and_the_plan_has_no_other() -> None:
    assert {room(path) for path in MODULES} - {"__init__", "__main__"} == set(ALLOWED)
    folders = {f"{p.parent.parent.name}/{p.parent.name}" for p in MODULES if len(p.relative_to(PACKAGE).parts) == 3}
    assert (set(WINGS) | SELF_CONTAINED | set(NOT_FROM_ROOM.values())) <= folders


def test_report_does_not_import_batch() -> None:
    assert not [
        name for path in MODULES if room(path) == "report" for name in imports(path) if "hrtem_dask.batch" in name
    ]


def test_no_import_goes_round_in_a_circle_even_inside_functions() -> None:
    try:
        graphlib.TopologicalSorter(dependencies()).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"modules import each other: {' ← '.join(error.args[1])}")


def test_wings_of_a_room_import_in_one_direction() -> None:
    wrong = []
    for name, others in dependencies().items():
        here = wing(name)
        own_room = name.split(".")[1] if "." in name else ""
        for other in others:
            there = wing(other)
            if other.split(".")[1:2] != [own_room] or here == there:
                continue
            if here is not None and there is not None and there not in WINGS.get(here, set()):
                wrong.append(f"{name} → {other}")
            if here in SELF_CONTAINED or (here is None and there is not None and there == NOT_FROM_ROOM.get(own_room)):
                wrong.append(f"{name} → {other}")
    assert not wrong
    graphlib.TopologicalSorter(WINGS).prepare()


def test_a_folder_stays_small_enough_to_survey() -> None:
    counts: dict[Path, int] = {}
    for path in MODULES:
        counts[path.parent] = counts.get(path.parent, 0) + (path.name != "__init__.py")
    crowded = {str(folder): n for folder, n in counts.items() if n > MAX_MODULES_PER_FOLDER}
    assert not crowded


def test_tests_mirror_the_package() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    missing = {r for r in rooms if not (TESTS / r).is_dir()}
    assert not missing, f"no tests folder for {missing}"
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("*.py")}
    foreign = [str(folder) for folder in folders if not (PACKAGE / folder).is_dir()]
    assert not foreign, f"tests for folders that the package does not have: {foreign}"


def test_every_test_module_names_what_it_tests() -> None:
    modules = {path.relative_to(TESTS).with_suffix("") for path in TESTS.glob("*/**/test_*.py")}
    unnamed = {m.as_posix() for m in modules if not _names_a_module(m)}
    assert unnamed == set(NAMED_FOR_A_TOPIC)


def _names_a_module(test: Path) -> bool:
    """Say whether ``test_<module>`` or ``test_<module>_<aspect>`` has a module or folder of that name beside it."""
    folder = PACKAGE / test.parent
    known = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    words = test.name.removeprefix("test_").split("_")
    return folder.name == "_".join(words) or any("_".join(words[:n]) in known for n in range(1, len(words) + 1))


def test_no_drawer_for_everything() -> None:
    assert not [p for p in MODULES if p.stem in {"utils", "util", "helpers", "misc", "common"}]
