"""How far a run is, and whether a results folder is as it was written."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from distributed import Client

from hrtem_dask import run, run_state, verify
from hrtem_dask.cli import main
from hrtem_dask.errors import ResultsFolderError, SettingsError, TooManyFailuresError
from hrtem_dask.population import whole_run
from hrtem_dask.settings import Settings
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.run_lock import RunLock

SETTINGS = Settings().updated(
    {"segmentation": {"method": "otsu"}, "execution": {"device": "cpu", "group_megapixels": 0.01}}
)


@pytest.fixture(scope="module", autouse=True)
def no_statistics() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_run, "summarize", lambda *_, **__: {"all": {"n_counted": 0, "excluded": {}}})
        yield


@pytest.fixture(scope="module")
def inputs(
    tmp_path_factory: pytest.TempPathFactory, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path]
) -> Path:
    root = tmp_path_factory.mktemp("state") / "in"
    for i in range(4):
        make_tiff(root / f"m{i}.tif", make_disks(np.random.default_rng(i), i + 1))
    return root


@pytest.fixture(scope="module")
def finished(inputs: Path, client: Client) -> Path:
    run(inputs, inputs.parent / "finished", settings=SETTINGS, cluster=client)
    return inputs.parent / "finished"


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


def test_a_finished_run(out: Path) -> None:
    state, found = run_state(out), verify(out)
    assert (state.state, state.owner, state.listed, state.remaining) == ("finished", None, 4, 0)
    assert dict(state.counts) == {"done": 4}
    assert (found.n_micrographs, found.is_sound, found.interrupted) == (4, True, ())


@pytest.mark.parametrize(
    ("pattern", "n_damaged", "n_tables"),
    [
        ("parts/*.particles.parquet", 1, 0),
        ("parts/*.commit.json", 0, 1),
        ("labels.zarr/*/0/c/0/0", 1, 0),
        ("particles.parquet", 0, 1),
        ("execution.parquet", 0, 1),
        ("checksums.json", 0, 1),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damage_is_found_and_the_next_run_mends_it(
    out: Path, inputs: Path, client: Client, pattern: str, n_damaged: int, n_tables: int, damage: str
) -> None:
    file = sorted(out.glob(pattern))[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content) if damage == "changed" else bytes(content[:-7]))
    found = verify(out)
    assert not found.is_sound
    assert (len(found.damaged), len(found.tables)) == (n_damaged, n_tables)
    shown = CliRunner().invoke(main, ["verify", str(out)])
    assert shown.exit_code == 1
    assert "damaged" in shown.output
    assert f"hrtem-dask repair {out} does what is damaged again" in shown.output
    run(inputs, out, settings=SETTINGS, cluster=client)
    assert verify(out).is_sound


def test_a_missing_table(out: Path) -> None:
    (out / "regions.parquet").unlink()
    assert dict(verify(out).tables) == {"regions.parquet": "is missing"}


def test_a_run_that_is_going_on(out: Path) -> None:
    log = out / "log.jsonl"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    done = [event for event in events if event["event"] == "done"]
    log.write_text("".join(json.dumps(event) + "\n" for event in [events[0], *done[:3]]) + '{"cut')
    assert run_state(out).state == "interrupted"
    assert run_state(out).seconds_left is None
    with RunLock(Location.of(out)):
        state = run_state(out)
        shown = CliRunner().invoke(main, ["status", str(out)])
    assert state.state == "running"
    assert state.owner is not None
    assert state.remaining == 1
    assert state.seconds_left is not None
    assert shown.exit_code == 0, shown.output
    assert "running (process" in shown.output
    assert "to do:       1, about" in shown.output


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    for call in (run_state, verify):
        with pytest.raises(ResultsFolderError, match="is no results folder"):
            call(tmp_path)
    assert "is no results folder" in CliRunner().invoke(main, ["status", str(tmp_path)]).output


def test_only_the_first_micrographs_and_then_all(inputs: Path, tmp_path: Path, client: Client) -> None:
    first = run(inputs, tmp_path / "out", settings=SETTINGS, limit=2, cluster=client)
    assert first.counts["done"] == 2
    rest = run(inputs, tmp_path / "out", settings=SETTINGS, cluster=client)
    assert (rest.counts["done"], rest.n_skipped) == (4, 2)
    with pytest.raises(SettingsError, match="limit must be a whole number, 1 or more, got 0"):
        run(inputs, tmp_path / "out", settings=SETTINGS, limit=0, cluster=client)
    with pytest.raises(SettingsError, match="limit must be a whole number, 1 or more, got '3'"):
        run(inputs, tmp_path / "out", settings=SETTINGS, limit="3", cluster=client)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"m0\.tif is a file: name a folder"):
        run(inputs, inputs / "m0.tif", settings=SETTINGS, cluster=client)


def test_too_many_failures_end_a_run_and_nothing_done_is_lost(inputs: Path, tmp_path: Path, client: Client) -> None:
    folder = shutil.copytree(inputs, tmp_path / "in")
    content = (folder / "m0.tif").read_bytes()
    (folder / "cut.tif").write_bytes(content[: len(content) // 2])  # fails when it is listed
    image = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    tifffile.imwrite(
        folder / "damaged.tif", image, compression="zlib", resolution=(1e8, 1e8), resolutionunit="CENTIMETER"
    )
    packed = bytearray((folder / "damaged.tif").read_bytes())
    packed[-2000:-1000] = bytes(1000)  # fails when its pixels are read
    (folder / "damaged.tif").write_bytes(bytes(packed))
    whole = run(folder, tmp_path / "all", settings=SETTINGS, cluster=client)
    assert whole.counts == {"done": 4, "empty": 0, "set_aside": 0, "failed": 2}
    state = run_state(tmp_path / "all")
    assert sum(state.failures.values()) == 2
    assert not [reason for reason in state.failures if ".tif" in reason], "reasons are grouped without names of files"
    assert dict(state.counts) == {"done": 4, "failed": 2}
    with pytest.raises(TooManyFailuresError, match="2 of 6 images have failed, more than the 1 allowed"):
        run(folder, tmp_path / "one", settings=SETTINGS, max_failures=1, cluster=client)
    with pytest.raises(TooManyFailuresError, match="more than the 0 allowed"):
        run(folder, tmp_path / "out", settings=SETTINGS, max_failures=0, cluster=client)
    assert run_state(tmp_path / "out").state == "interrupted"
    again = run(folder, tmp_path / "out", settings=SETTINGS, cluster=client)
    assert again.counts == whole.counts
