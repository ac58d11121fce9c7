"""Settings of later stages change: labels of an earlier run are used, and tables are those of a fresh run."""

from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from hrtem_dask import open_results, run
from hrtem_dask.batch.example import write_example
from hrtem_dask.batch.run import record_analysis
from hrtem_dask.population import whole_run
from hrtem_dask.settings import Settings

CHANGES = {
    "lattice": {"fourier": {"min_peak_snr": 10.0, "material": "Au"}},
    "defects off": {"defects": {"classify": False}},
    "exclusion": {"defects": {"min_exclusion_probability": 0.3}},
    "no lattice": {"fourier": {"lattice": False}},
    "quality": {"quality": {"min_sharpness": 0.99}},
    "set aside": {"quality": {"max_gradient": 0.0, "set_aside": ("gradient",)}},  # the last: it forgets the labels
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crystals with a lattice, and an empty field."""
    root = tmp_path_factory.mktemp("stored")
    for i in range(3):
        folder = write_example(root / f"e{i}", n_particles=2 * i)
        for path in (folder / "images").iterdir():
            target = root / "in" / f"{i}-{path.name}"
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
    return root / "in"


@pytest.fixture(autouse=True)
def no_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_run, "summarize", lambda *_, **__: {"all": {"n_counted": 0, "excluded": {}}})


def tables_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.parquet") if path.name != "execution.parquet"}


@pytest.fixture
def segmented(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every segmenter that is made, in this process."""
    made: list[object] = []
    honest = record_analysis.make_segmenter

    def counted(*arguments: object) -> object:
        made.append(arguments)
        return honest(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(record_analysis, "make_segmenter", counted)
    return made


@pytest.mark.parametrize("packed", ["folders", "packed"])
def test_later_stages_alone_give_the_tables_of_a_fresh_run(
    packed: str, inputs: Path, tmp_path: Path, settings: Settings, segmented: list[object]
) -> None:
    out = tmp_path / "out"
    base = settings.updated({"execution": {"labels": packed}, "quality": {"max_gradient": 9.0}})
    run(inputs, out, settings=base, cluster="threads")
    n, n_aside = len(open_results(out).micrographs), 0
    for name, change in CHANGES.items():
        changed = base.updated(change)
        segmented.clear()
        again = run(inputs, out, settings=changed, cluster="threads")
        if name != "set aside":
            assert not segmented, f"{name}: nothing is segmented"
        assert again.n_reused == again.n_analyzed == n - n_aside
        n_aside = again.counts["set_aside"]
        fresh = tmp_path / f"fresh {name}"
        run(inputs, fresh, settings=changed, cluster="threads")
        assert segmented
        mine, theirs = tables_of(out), tables_of(fresh)
        assert [table for table in theirs if mine[table] != theirs[table]] == [], name
        for one in open_results(out).micrographs["micrograph_id"]:
            np.testing.assert_array_equal(open_results(out).labels(one), open_results(fresh).labels(one))


@pytest.mark.parametrize("change", [{"particles": {"min_area_px": 60}}, {"filtering": {"flatten": False}}])
def test_what_decides_the_labels_is_done_again(
    change: dict[str, dict[str, object]], inputs: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    run(inputs, tmp_path / "out", settings=settings, cluster=client)
    again = run(inputs, tmp_path / "out", settings=settings.updated(change), cluster=client)
    assert (again.n_analyzed, again.n_reused) == (len(open_results(tmp_path / "out").micrographs), 0)


def test_damaged_labels_or_rows_are_not_used(
    inputs: Path, tmp_path: Path, settings: Settings, segmented: list[object]
) -> None:
    out = tmp_path / "out"
    run(inputs, out, settings=settings, cluster="threads")
    segmented.clear()
    chunk = sorted(out.glob("labels.zarr/*/0/c/0/0"))[0]
    chunk.write_bytes(chunk.read_bytes()[:-9])
    changed = settings.updated(CHANGES["lattice"])
    run(inputs, out, settings=changed, cluster="threads")
    assert len(segmented) == 1
    segmented.clear()
    for table in out.glob("parts/*.regions.parquet"):
        table.write_bytes(b"")
    run(inputs, out, settings=settings, cluster="threads")
    assert len(segmented) == len(open_results(out).micrographs)
    run(inputs, tmp_path / "fresh", settings=settings, cluster="threads")
    assert tables_of(out) == tables_of(tmp_path / "fresh")
