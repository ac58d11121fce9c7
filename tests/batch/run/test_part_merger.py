"""Runs whose parts are merged and whose labels are packed, compared with runs that leave everything as it is."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from hrtem_dask import correct, export, open_results, run
from hrtem_dask.batch.results_state import verify
from hrtem_dask.batch.run import part_merger, plan
from hrtem_dask.batch.run.dry_run import dry_run
from hrtem_dask.batch.run.part_merger import parts_left
from hrtem_dask.population import whole_run
from hrtem_dask.settings import Settings

N = 12


@pytest.fixture
def inputs(tmp_path: Path, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path]) -> Path:
    for i in range(N):
        make_tiff(tmp_path / "in" / f"m{i:02d}.tif", make_disks(np.random.default_rng(i), i % 4, (96, 96)))
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*\0")
    return tmp_path / "in"


@pytest.fixture
def merged_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_merger, "MERGED_PARTS", 3)
    monkeypatch.setattr(part_merger, "MERGED_MICROGRAPHS", 6)
    monkeypatch.setattr(plan, "PACK_ABOVE", N - 1)
    monkeypatch.setattr(whole_run, "summarize", lambda *_, **__: {"all": {"n_counted": 0, "excluded": {}}})


@pytest.fixture
def each_alone(settings: Settings) -> Settings:
    return settings.updated({"execution": {"group_megapixels": 0.001}})


def parts_of(out: Path) -> int:
    return len(list((out / "parts").glob("*.commit.json")))


@pytest.mark.usefixtures("merged_early")
def test_tables_and_labels_are_those_of_a_run_in_folders(
    inputs: Path, tmp_path: Path, each_alone: Settings, client: Client
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    planned = dry_run(inputs, out, settings=each_alone, cluster="threads")
    assert run(inputs, out, settings=each_alone, cluster=client).counts["failed"] == 1
    assert parts_of(out) <= parts_left([1] * N) + 2, "merges take a moment, in which further groups end"
    files = [path for path in out.rglob("*") if path.name != "run.lock"]
    assert 0.7 < planned.n_files / len(files) < 1.3
    assert not list(out.glob("labels.zarr"))
    folders = each_alone.updated({"execution": {"labels": "folders", "group_megapixels": 4.0}})
    run(inputs, whole, settings=folders, cluster=client)
    for table in sorted(whole.glob("*.parquet")):
        if table.name != "execution.parquet":
            assert table.read_bytes() == (out / table.name).read_bytes(), table.name
    one, two = open_results(out), open_results(whole)
    names = list(one.micrographs.loc[one.micrographs["status"] != "failed", "micrograph_id"])
    assert len(names) == N
    for name in names:
        np.testing.assert_array_equal(one.labels(name), two.labels(name))
    tree = one.to_xarray(names[:1])
    np.testing.assert_array_equal(tree[f"labels/{names[0]}"]["labels"], two.labels(names[0]))
    with pytest.raises(KeyError, match="did you mean"):
        one.labels(names[0][:-1])
    assert verify(out).is_sound


@pytest.mark.usefixtures("merged_early")
def test_a_second_run_does_nothing_again_and_merges_what_is_new(
    inputs: Path, tmp_path: Path, each_alone: Settings, client: Client
) -> None:
    out, later = tmp_path / "out", inputs / "later"
    later.mkdir()
    for path in sorted(inputs.glob("m*.tif"))[:4]:
        path.rename(later / path.name)
    moved = sorted(later.iterdir())
    run(inputs, out, settings=each_alone, cluster=client)
    assert parts_of(out) < N - 4
    for path in moved:
        path.rename(inputs / path.name)
    again = run(inputs, out, settings=each_alone, cluster=client)
    assert again.n_skipped == N - 4
    assert parts_of(out) <= parts_left([1] * N) + 3
    assert run(inputs, out, settings=each_alone, cluster=client).n_skipped == N
    assert verify(out).is_sound


@pytest.mark.usefixtures("merged_early")
def test_damaged_and_corrected_labels_of_a_pack(
    inputs: Path, tmp_path: Path, each_alone: Settings, client: Client
) -> None:
    import tifffile

    out = tmp_path / "out"
    run(inputs, out, settings=each_alone, cluster=client)
    before = open_results(out).particles
    pack = sorted((out / "labels").glob("*.zarr.zip"))[0]
    with zipfile.ZipFile(pack) as archive:
        chunk = next(m for m in archive.infolist() if m.filename.endswith("c/0/0"))
        start = archive.read(chunk)
    content = bytearray(pack.read_bytes())
    content[content.index(start) + len(start) // 2] ^= 0xFF
    pack.write_bytes(content)
    state = verify(out)
    assert list(state.damaged) == [chunk.filename.partition("/")[0]], "of a pack, the one that is damaged"
    assert run(inputs, out, settings=each_alone, cluster=client).n_skipped == N - 1
    assert verify(out).is_sound
    assert open_results(out).particles.equals(before)

    export(out, tmp_path / "export", formats="tiff", images=False, cluster=client)
    file = sorted((tmp_path / "export" / "labels").glob("m03*.tif"))[0]
    labels = tifffile.imread(file)
    labels[labels == 1] = 0
    tifffile.imwrite(file, labels)
    assert correct(out, tmp_path / "export", cluster=client).count("corrected") == 1
    assert len(open_results(out).particles) == len(before) - 1
    np.testing.assert_array_equal(open_results(out).labels(file.stem) > 0, labels > 0)
    assert verify(out).is_sound
