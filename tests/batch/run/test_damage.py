"""A results folder cannot be stuck: what is damaged counts for nothing and is done again, and nothing else is."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas.testing as pdt
import pytest
from distributed import Client

from hrtem_dask import correct, export, open_results, run
from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.population import whole_run
from hrtem_dask.settings import Settings
from hrtem_dask.storage.results import Results

MakeDisks = Callable[..., np.ndarray]
MakeTiff = Callable[..., Path]
TABLES = ("micrographs", "regions", "particles")


@pytest.fixture(scope="module", autouse=True)
def no_statistics() -> Iterator[None]:
    """Leave out the statistics of the population, which take most of the time of so small a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_run, "summarize", lambda *_, **__: {"all": {"n_counted": 0, "excluded": {}}})
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, make_disks: MakeDisks, make_tiff: MakeTiff) -> Path:
    root = tmp_path_factory.mktemp("damage") / "in"
    for i in range(3):
        make_tiff(root / f"m{i}.tif", make_disks(np.random.default_rng(i), i + 1))
    return root


@pytest.fixture(scope="module")
def finished(inputs: Path, client: Client) -> Path:
    out = inputs.parent / "finished"
    run(inputs, out, settings=each_alone(), cluster=client)
    return out


def each_alone() -> Settings:
    """Return settings with which each micrograph is a part of its own."""
    return Settings().updated(
        {"segmentation": {"method": "otsu"}, "execution": {"device": "cpu", "group_megapixels": 0.001}}
    )


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def to_folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


def to_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("no folder")


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def write(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def exchange(path: Path) -> None:
    """Put the labels of another micrograph in place of one's."""
    other = next(p for p in sorted(path.parent.iterdir()) if p.is_dir() and p != path)
    shutil.rmtree(path)
    shutil.copytree(other, path)


ONE_PART = {
    "deleted particles": ("parts/*.particles.parquet", Path.unlink),
    "deleted micrographs": ("parts/*.micrographs.parquet", Path.unlink),
    "cut regions": ("parts/*.regions.parquet", cut),
    "cut execution": ("parts/*.execution.parquet", lambda p: p.write_bytes(p.read_bytes()[:200])),
    "one byte of a table": ("parts/*.particles.parquet", flip),
    "an empty table": ("parts/*.particles.parquet", write(b"")),
    "a table that is a folder": ("parts/*.particles.parquet", to_folder),
    "a table that is a pipe": ("parts/*.particles.parquet", to_pipe),
    "deleted commit": ("parts/*.commit.json", Path.unlink),
    "cut commit": ("parts/*.commit.json", cut),
    "commit: null": ("parts/*.commit.json", write(b"null")),
    "commit: list": ("parts/*.commit.json", write(b"[1, 2]")),
    "commit: not UTF-8": ("parts/*.commit.json", write(b"\xff\xfe\x00")),
    "commit: nested": ("parts/*.commit.json", write(b"[" * 100_000)),
    "commit: one number": ("parts/*.commit.json", lambda p: p.write_text(p.read_text().replace('s": 1', 's": "x"'))),
    "commit: another status": ("parts/*.commit.json", lambda p: p.write_text(p.read_text().replace("done", "empty"))),
    "commit that is a folder": ("parts/*.commit.json", to_folder),
    "deleted labels": ("labels.zarr/m*", shutil.rmtree),
    "labels that are a file": ("labels.zarr/m*", to_file),
    "labels of another micrograph": ("labels.zarr/m*", exchange),
    "deleted chunk": ("labels.zarr/m*/0/c/0/0", Path.unlink),
    "cut chunk": ("labels.zarr/m*/0/c/0/0", cut),
    "one byte of a chunk": ("labels.zarr/m*/0/c/0/0", flip),
    "cut metadata of a group": ("labels.zarr/m*/zarr.json", cut),
    "deleted metadata of an array": ("labels.zarr/m*/0/zarr.json", Path.unlink),
}
"""What is damaged → a pattern of its path and the damage: one micrograph has to be done again."""
NO_PART = {
    "intent: list": ("parts/*.intent.json", write(b"[]")),
    "intent: odd numbers": ("parts/*.intent.json", write(b'{"m0": "one", "m1": null}')),
    "intent that is a folder": ("parts/*.intent.json", to_folder),
    "a stray folder in parts": ("parts", lambda p: (p / "zz.commit.json" / "x").mkdir(parents=True)),
    "another stray folder": ("parts", lambda p: (p / "New Folder").mkdir()),
    "a stray record": ("parts", lambda p: (p / "zz.commit.json").write_text('[{"micrograph_id": "b"}]')),
    "root of the labels cut": ("labels.zarr/zarr.json", cut),
    "root of the labels deleted": ("labels.zarr/zarr.json", Path.unlink),
    "root of the labels odd": ("labels.zarr/zarr.json", write(b"{}")),
    "log that is a folder": ("log.jsonl", to_folder),
    "log that is a pipe": ("log.jsonl", to_pipe),
    "log cut off": ("log.jsonl", cut),
    "log of bytes": ("log.jsonl", write(b"\xff\x00\xfe")),
    "table that is a folder": ("micrographs.parquet", to_folder),
    "table cut": ("particles.parquet", cut),
    "summary that is a folder": ("summary.json", to_folder),
    "run file of bytes": ("run.toml", write(b"\xff\x00")),
    "run file that is a folder": ("run.toml", to_folder),
    "overlay cut": ("overlays/*.jpg", cut),
    "overlay that is a folder": ("overlays/*.jpg", to_folder),
    "overlay that is a link to nothing": ("overlays/*.jpg", to_link),
    "overlays that are a file": ("overlays", to_file),
    "corrections that are a file": (".", lambda p: (p / "corrections").write_text("no folder")),
    "hidden file beside labels": ("labels.zarr/m*", lambda p: (p / ".DS_Store").write_text("x")),
}
"""What is damaged without a micrograph that has to be done again."""
ALL_PARTS = {
    "parts that are a file": ("parts", to_file),
    "labels that are a file": ("labels.zarr", to_file),
    "no labels": ("labels.zarr", shutil.rmtree),
    "no parts": ("parts", shutil.rmtree),
}
QUICK = {
    "deleted particles", "cut execution", "a table that is a pipe", "commit: null", "labels of another micrograph",
    "deleted chunk", "cut metadata of a group", "a stray folder in parts", "root of the labels cut",
    "log that is a folder", "table that is a folder", "parts that are a file",
}  # fmt: skip
"""Cases of the daily tests; the others differ from one of these in little."""
CASES = [
    pytest.param(pattern, damage, n, id=name, marks=() if name in QUICK else pytest.mark.slow)
    for n, cases in ((2, ONE_PART), (3, NO_PART), (0, ALL_PARTS))
    for name, (pattern, damage) in cases.items()
]


def is_whole(results: Results) -> None:
    """Compare each micrograph's labels with its rows."""
    assert list(results.micrographs["n_particles"]) == [1, 2, 3]
    for name, rows in results.particles.groupby("micrograph_id"):
        labels = results.labels(str(name))
        assert np.array_equal(np.bincount(labels.ravel())[1:], rows["area_px"].to_numpy())


@pytest.mark.parametrize(("pattern", "damage", "n_skipped"), CASES)
def test_what_is_damaged_is_done_again(
    pattern: str, damage: Callable[[Path], object], n_skipped: int, out: Path, inputs: Path, finished: Path,
    client: Client,
) -> None:  # fmt: skip
    damage(first(out, pattern) if pattern != "." else out)
    assert run(inputs, out, settings=each_alone(), cluster=client).n_skipped == n_skipped
    results, whole = open_results(out), open_results(finished)
    is_whole(results)
    for name in TABLES:
        pdt.assert_frame_equal(results.table(name), whole.table(name))
    assert len(list(out.glob("overlays/*.jpg"))) == 3
    assert not list(out.glob("*.lock*"))


def test_remains_of_parts_without_a_record_are_removed(out: Path, inputs: Path, client: Client) -> None:
    n = len(list((out / "parts").iterdir()))
    stray = [out / "parts" / f"zz.{end}" for end in ("commit.json", "particles.parquet")]
    mine = out / "parts" / "notes.md"
    for path in (*stray, mine):
        path.write_text("odd")
    one_of_three = min(path for path in (out / "parts").glob("*.commit.json") if path not in stray)
    one_of_three.write_text("odd")
    assert run(inputs, out, settings=each_alone(), cluster=client).n_skipped == 2
    assert run(inputs, out, settings=each_alone(), cluster=client).n_skipped == 3, "the folder is whole again"
    assert mine.exists()
    assert not any(path.exists() for path in stray)
    assert len(list((out / "parts").iterdir())) == n + 1


def test_results_that_are_damaged_are_said_to_be(out: Path) -> None:
    cut(out / "particles.parquet")
    with pytest.raises(ResultsFolderError, match=r"particles.parquet is damaged .*: run again"):
        open_results(out).particles  # noqa: B018 - reads it
    to_folder(out / "micrographs.parquet")
    with pytest.raises(ResultsFolderError, match=r"micrographs.parquet is damaged"):
        open_results(out).micrographs  # noqa: B018 - reads it


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("corrections/*.json", cut),
        ("corrections/*.json", write(b"[1]")),
        ("corrections/labels.zarr/*/0/c/0/0", Path.unlink),
        ("corrections/labels.zarr/*/0/c/0/0", flip),
        ("corrections/labels.zarr/zarr.json", cut),
    ],
    ids=["cut record", "odd record", "deleted chunk", "one byte", "root"],
)
def test_a_damaged_correction_is_not_used_and_said(
    pattern: str, damage: Callable[[Path], object], out: Path, inputs: Path, client: Client, tmp_path: Path,
    messages: Callable[[], list[str]],
) -> None:  # fmt: skip
    import tifffile

    export(out, tmp_path / "export", formats="tiff", images=False, cluster=client)
    file = first(tmp_path / "export" / "labels", "m0*.tif")
    labels = tifffile.imread(file)
    labels[100:140, 10:30] = 2  # one more particle
    tifffile.imwrite(file, labels)
    correct(out, tmp_path / "export", cluster=client)
    assert open_results(out).micrographs["n_particles"].tolist() == [2, 2, 3]
    damage(first(out, pattern))
    messages()
    run(inputs, out, settings=each_alone(), cluster=client)
    said = [line for line in messages() if "correction of m0" in line]
    kept = "labels.zarr/zarr.json" in pattern
    assert open_results(out).micrographs["n_particles"].tolist() == ([2, 2, 3] if kept else [1, 2, 3])
    assert bool(said) != kept
    damaged_can_be_corrected_again = correct(out, tmp_path / "export", cluster=client)
    assert damaged_can_be_corrected_again.count("failed") == 0
    assert open_results(out).micrographs["n_particles"].tolist() == [2, 2, 3]
