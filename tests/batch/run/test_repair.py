from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from hrtem_dask import open_results, run
from hrtem_dask.batch.results_state import verify
from hrtem_dask.batch.run import repair as repair_module
from hrtem_dask.batch.run.repair import repair
from hrtem_dask.errors import ResultsFolderError, SettingsError
from hrtem_dask.population import whole_run
from hrtem_dask.settings import Settings


@pytest.fixture(autouse=True)
def no_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_run, "summarize", lambda *_, **__: {"all": {"n_counted": 0, "excluded": {}}})


@pytest.fixture
def inputs(tmp_path: Path, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path]) -> Path:
    for i in range(4):
        make_tiff(tmp_path / "in" / f"m{i}.tif", make_disks(np.random.default_rng(i), i + 1, (96, 96)))
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*\0")
    table = pd.DataFrame({"path": [f"m{i}.tif" for i in range(4)], "sample": list("abab"), "anneal_c": [1, 2, 3, 4]})
    table.to_csv(tmp_path / "samples.csv", index=False)
    return tmp_path / "in"


def test_what_is_damaged_is_done_again_as_the_run_did_it(
    inputs: Path, tmp_path: Path, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch,
    make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path],
) -> None:  # fmt: skip
    """With paths that were relative, a table of samples, and a file that was added since."""
    out = tmp_path / "out"
    alone = settings.updated({"execution": {"group_megapixels": 0.001}})
    monkeypatch.chdir(tmp_path)
    run("in", "out", settings=alone, metadata="samples.csv", cluster=client)
    before = {path.name: path.read_bytes() for path in out.glob("*.parquet") if path.name != "execution.parquet"}
    assert open_results(out).particles["anneal_c"].notna().all()
    assert repair(out, cluster=client).summary is None, "nothing is damaged"
    make_tiff(inputs / "new.tif", make_disks(np.random.default_rng(9), 2, (96, 96)))
    sorted(out.glob("labels.zarr/m*/0/c/0/0"))[0].unlink()
    sorted(out.glob("parts/*.regions.parquet"))[-1].write_bytes(b"")
    (out / "particles.parquet").write_bytes(b"")
    monkeypatch.chdir("/")
    repaired = repair(out, cluster=client)
    assert 1 <= repaired.n_again <= 2, "the damaged labels and the damaged part, which may be the same micrograph's"
    assert set(repaired.found.tables) == {"particles.parquet"}
    assert len(repaired.found.damaged) == repaired.n_again
    assert verify(out).is_sound
    after = {name: (out / name).read_bytes() for name in before}
    assert after == before


def test_a_repair_that_would_do_everything_again_is_refused(
    inputs: Path, tmp_path: Path, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(inputs, out, settings=settings, cluster=client)
    (out / "particles.parquet").unlink()
    monkeypatch.setattr(repair_module, "code_version", lambda: "another")
    with pytest.raises(SettingsError, match="everything would be analyzed again"):
        repair(out, cluster=client)
    (out / "run.toml").write_bytes(b"[")
    with pytest.raises(ResultsFolderError, match=r"run\.toml is missing or damaged"):
        repair(out, cluster=client)
