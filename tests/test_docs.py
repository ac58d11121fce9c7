"""Everything that the docs name exists: linked files and anchors, commands, options, settings, columns, modules."""

import ast
import dataclasses
import functools
import importlib
import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import click
import pytest

import hrtem_dask
from hrtem_dask import cli, tables
from hrtem_dask.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "hrtem_dask").rglob("*.md")]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def prose(text: str) -> str:
    """Return the page without its code."""
    text = FENCE.sub("", text)
    text = re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


@functools.cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = next(n for n in range(len(found) + 1) if (f"{name}-{n}" if n else name) not in found)
        found.add(f"{name}-{number}" if number else name)
    return found


@every_page
def test_internal_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links {target}: no such file"
        assert not anchor or anchor in anchors(linked), f"{page.name} links {target}: no such heading"


PICTURE_KB = 100


def test_every_picture_is_shown_small_and_drawn_by_a_script() -> None:
    pictures = {p for p in (ROOT / "docs").rglob("*") if p.suffix in {".jpg", ".png", ".svg", ".webp"}}
    assert len(pictures) > 10
    shown = {
        (page.parent / path).resolve()
        for page in PAGES
        for path in re.findall(r"!\[[^]]+\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    }
    assert pictures == shown
    scripts = [path.read_text(encoding="utf-8") for path in (ROOT / "tools").glob("draw_*.py")]
    for picture in pictures:
        folder = f'ROOT / "docs" / "{picture.parent.name}"'
        names = re.compile(rf'"{picture.stem}(\.{picture.suffix[1:]})?"')
        assert any(folder in text and names.search(text) for text in scripts), f"no script draws {picture}"
        assert picture.stat().st_size <= 1000 * PICTURE_KB, f"{picture} is larger than {PICTURE_KB} kB"
        if picture.suffix == ".svg":
            assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", picture.read_text(encoding="utf-8")).replace(
                "http://127.0.0.1", ""
            ), "nothing is fetched"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", index.read_text(encoding="utf-8"))}
    assert {p.name for p in index.parent.glob("*.md")} - {"index.md"} <= linked


def code(page: Path) -> list[str]:
    """Return the blocks of code of a page, fenced and indented, with continued lines joined."""
    text = page.read_text(encoding="utf-8")
    blocks = [body for _, body in FENCE.findall(text)]
    blocks += re.findall(r"(?:^ {4}.*\n)+", FENCE.sub("", text), re.MULTILINE)
    return [block.replace("\\\n", " ") for block in blocks]


def commands(text: str) -> list[list[str]]:
    """Return the words of every call of hrtem-dask in a text."""
    lines = re.sub(r"\s#.*", "", text).splitlines()
    parts = [part for line in lines for part in re.split(r"&&|;|\|(?=\s)", line)]
    return [shlex.split(found[1]) for part in parts if (found := re.search(r"(?:^|\s)hrtem-dask +(\S.*)", part))]


def problem_of_call(words: list[str]) -> str | None:
    """Return the problem of a call of hrtem-dask, or None if it is correct."""
    command: click.Command = cli.main
    words = list(words)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    known = {"--help", "-h", *(name for parameter in command.params for name in parameter.opts)}
    for word in words:
        if re.match(r"--?[a-zA-Z]", word) and word.split("=")[0] not in known:
            return f"no option {word!r}"
    return None


@every_page
def test_commands_and_options_exist(page: Path) -> None:
    inline = re.findall(r"`(hrtem-dask [^`\n]*)`", FENCE.sub("", page.read_text(encoding="utf-8")))
    for text in (*code(page), *inline):
        for words in commands(text):
            if words[0] != "…":
                assert (wrong := problem_of_call(words)) is None, f"{page.name}: hrtem-dask {' '.join(words)}: {wrong}"


@pytest.mark.parametrize(
    "call", ["nothing", "run x --outt y", "train nothing x", "export r --formats coco", "--nothing"]
)
def test_wrong_calls_are_found(call: str) -> None:
    [words] = commands(f"    $ hrtem-dask {call}  # why\n")
    assert problem_of_call(words) is not None


@every_page
def test_settings_in_toml_exist(page: Path) -> None:
    for kind, body in FENCE.findall(page.read_text(encoding="utf-8")):
        if kind == "toml":
            assert Settings().updated(tomllib.loads(body)) != Settings(), "an example that changes nothing"


@every_page
def test_settings_that_are_named_exist(page: Path) -> None:
    stages = {f.name: type(getattr(Settings(), f.name)) for f in dataclasses.fields(Settings)}
    text = page.read_text(encoding="utf-8")
    for stage, name in re.findall(rf"`({'|'.join(stages)})\.(?!parquet`|py`|toml`)([a-z_0-9]+)`", text):
        names = {f.name for f in dataclasses.fields(stages[stage])}
        modules = {p.stem for p in (ROOT / "hrtem_dask" / stage).glob("*.py")}
        assert name in names | modules, f"{page.name}: no setting {stage}.{name}"


@every_page
def test_python_in_blocks_compiles_and_its_names_exist(page: Path) -> None:
    for kind, body in FENCE.findall(page.read_text(encoding="utf-8")):
        if kind != "python":
            continue
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hd":
                assert node.attr in hrtem_dask.__all__, f"{page.name}: no hd.{node.attr}"
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hrtem_dask"):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, name.name) for name in node.names), f"{page.name}: {ast.unparse(node)}"


def project_files(text: str) -> list[str]:
    """Return the Python files, shell scripts and recipes that a text names with their folder."""
    return re.findall(r"(?<![\w./{$<-])((?:\w+/)+\w+\.(?:py|sh)|pipelines/[\w/]+\.toml)\b", text)


def dotted_names(text: str) -> list[str]:
    """Return the modules and functions of hrtem_dask that a text names in full: `hrtem_dask.folder.name`."""
    return re.findall(r"(?<![\w./])(hrtem_dask(?:\.[a-z_][a-z_0-9]*)+)(?![\w/])", text)


def exists(name: str) -> bool:
    """Return whether a dotted name is a module, or an attribute of one."""
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return bool(module) and exists(module) and hasattr(importlib.import_module(module), attribute)
    return True


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    """A path starts at the root of the repository or in the package."""
    for name in project_files(page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists() or (ROOT / "hrtem_dask" / name).exists(), f"{page.name}: no file {name}"


@every_page
def test_modules_that_are_named_exist(page: Path) -> None:
    for name in dotted_names(page.read_text(encoding="utf-8")):
        assert exists(name), f"{page.name}: no {name}"


def test_wrong_files_and_modules_are_found() -> None:
    text = "`simulation/camera.py`, hrtem_dask/report/page.py, `hrtem_dask.population.moments` and `hrtem_dask.run(x)`"
    assert project_files(text) == ["simulation/camera.py", "hrtem_dask/report/page.py"]
    assert not (ROOT / "hrtem_dask" / "simulation/camera.py").exists()
    assert [exists(name) for name in dotted_names(text)] == [False, True]


@functools.cache
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_tables_page", ROOT / "tools" / "write_tables_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_tables_is_what_the_schema_gives() -> None:
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert page == writer().tables_page(), "run python tools/write_tables_page.py"


def test_the_page_of_tables_holds_every_column() -> None:
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    for name, schema in tables.SCHEMAS.items():
        section = page.split(f"\n## {name}.parquet\n")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [column.name for column in schema]
