"""The house stays as it is drawn: who may import whom, read from the source."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hrtem_dask"
FOUNDATION = {"errors", "backend", "micrograph", "settings", "tables", "crystals", "provenance", "toml_records"}
STAGES = {
    "loading", "filtering", "segmentation", "particles", "fourier", "defects", "population",
    "simulation", "evaluation",
}  # fmt: skip
ALLOWED = {
    **dict.fromkeys(FOUNDATION, FOUNDATION),
    **{stage: FOUNDATION | {stage} for stage in STAGES},
    "analysis": FOUNDATION | STAGES | {"analysis"},
    "models": FOUNDATION,
    "storage": FOUNDATION | STAGES | {"analysis", "storage"},
    "training": FOUNDATION | STAGES | {"analysis", "storage", "models", "training"},
    "reproduction": FOUNDATION | STAGES | {"analysis", "storage", "models", "training", "reproduction"},
    "batch": FOUNDATION | STAGES | {"analysis", "storage", "models", "training", "reproduction", "batch"},
    "report": FOUNDATION | STAGES | {"analysis", "storage", "report"},
}
LIBRARIES = {
    "dask": {"batch"},
    "distributed": {"batch"},
    "dask_cuda": {"batch"},
    "dask_jobqueue": {"batch"},
    "zarr": {"loading", "storage"},
    "xarray": {"micrograph", "loading", "storage", "batch"},
    "torch": {"segmentation", "training", "backend"},
    "sklearn": {"defects", "training", "evaluation", "population"},
    "cupy": {"backend"},
    "cupyx": {"backend"},
    "cucim": {"backend"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """First folder or file below the package: the room that a module stands in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
            and isinstance(node.args[0], ast.Constant)
        ):
            names.append(str(node.args[0].value))
    return names


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
        ):
            assert rest[0] in ALLOWED[here], f"{here} may not import hrtem_dask.{rest[0]}"
        if top in LIBRARIES:
            assert here in LIBRARIES[top], f"{top} is imported in {sorted(LIBRARIES[top])}, not in {here}"


def test_every_room_is_on_the_plan() -> None:
    assert {room(path) for path in MODULES} <= set(ALLOWED) | {"__init__", "__main__", "cli"}


def test_tests_mirror_the_package() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    missing = {r for r in rooms if not (PACKAGE.parent / "tests" / r).is_dir()}
    assert not missing, f"no tests folder for {missing}"


def test_no_drawer_for_everything() -> None:
    assert not [p for p in MODULES if p.stem in {"utils", "util", "helpers", "misc", "common"}]
