import pytest

from hrtem_dask import loading
from hrtem_dask.batch.run.plan import make_plan, memory_warning
from hrtem_dask.batch.run.record_analysis import ModelHashes
from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings


def record(name: str, side_px: int = 100) -> loading.MicrographRecord:
    source = loading.Source(url=f"/{name}.tif", relative=name)
    return loading.MicrographRecord(micrograph_id=name, source=source, height_px=side_px, width_px=side_px)


def test_a_micrograph_too_large_for_a_worker_is_warned_of() -> None:
    plan = make_plan([record("small"), record("large", 30_000)], {}, Settings(), ModelHashes())
    warning = memory_warning(plan, 8 * 2**30)
    assert warning is not None
    assert "/large.tif (30000 × 30000) needs about 50.3 GiB, a worker has 8.0 GiB" in warning
    assert memory_warning(plan, 256 * 2**30) is None
    assert memory_warning(plan, 0) is None


def test_two_files_of_one_id_are_refused() -> None:
    with pytest.raises(SettingsError, match="are both twin"):
        make_plan([record("twin"), record("twin")], {}, Settings(), ModelHashes())


def test_small_micrographs_share_a_task_and_large_ones_do_not() -> None:
    records = [record(str(i), 1000) for i in range(6)] + [record("large", 4096), record("last")]
    plan = make_plan(records, {}, Settings(), ModelHashes())
    assert [len(task.items) for task in plan.tasks] == [4, 3, 1]
    assert [i.record.micrograph_id for t in plan.tasks for i in t.items] == [r.micrograph_id for r in records]
