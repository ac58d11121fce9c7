import pytest

from hrtem_dask import loading
from hrtem_dask.batch.run.plan import check_memory, make_plan
from hrtem_dask.batch.run.record_analysis import ModelHashes
from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.storage.ledger import Entry


def record(name: str, side_px: int = 100) -> loading.MicrographRecord:
    source = loading.Source(url=f"/{name}.tif", relative=name)
    return loading.MicrographRecord(micrograph_id=name, source=source, height_px=side_px, width_px=side_px)


def test_memory_that_does_not_suffice_is_refused_with_the_remedy_and_warned_of_where_it_is_short() -> None:
    plan = make_plan([record("small"), record("large", 30_000)], {}, Settings(), ModelHashes())
    needs = r"/large.tif \(30000 × 30000\) needs about 51.3 GiB, a worker has 16.0 GiB"
    with pytest.raises(SettingsError, match=rf"{needs}: with fewer workers \(--workers 2\) each gets more"):
        check_memory(plan, 16 * 2**30, 8, when_too_large="refuse")
    with pytest.raises(SettingsError, match=rf"{needs}: use workers with more memory, or leave this file out"):
        check_memory(plan, 16 * 2**30, 1, when_too_large="refuse")
    warning = check_memory(plan, 16 * 2**30, 8, when_too_large="warn")
    assert warning is not None
    assert "--workers 2" in warning
    assert check_memory(plan, 60 * 2**30, 8) is not None, "a worker takes no more tasks from 80 % on"
    assert check_memory(plan, 256 * 2**30, 1) is None
    assert check_memory(plan, 0, 1) is None


def test_arrays_of_a_micrograph_that_is_too_large_are_kept_in_files_where_that_is_possible() -> None:
    listed = [record("large", 30_000)]
    plan = make_plan(listed, {}, Settings(), ModelHashes())
    warning = check_memory(plan, 16 * 2**30, 8)
    assert warning is not None
    assert (
        "several times as long, with their arrays in files (up to 50.3 GiB, in Dask's temporary-directory)" in warning
    )
    assert "--workers 2" in warning
    with pytest.raises(SettingsError, match=r"a worker has 1.5 GiB: use workers with more memory"):
        check_memory(plan, 3 * 2**29, 1)  # the network alone needs 1 GiB
    for changed in ({"segmentation": {"method": "mask_rcnn"}}, {"execution": {"device": "cuda"}}):
        plan = make_plan(listed, {}, Settings().updated(changed), ModelHashes())
        with pytest.raises(SettingsError, match="use workers with more memory"):
            check_memory(plan, 16 * 2**30, 1)


def test_workers_are_asked_whether_they_can_keep_arrays_in_files() -> None:
    asked = []

    def no() -> bool:
        asked.append(1)
        return False

    plan = make_plan([record("large", 30_000)], {}, Settings(), ModelHashes())
    with pytest.raises(
        SettingsError, match=r"more memory, or leave this file out .arrays in files need Linux with glibc"
    ):
        check_memory(plan, 16 * 2**30, 1, workers_can=no)
    assert len(asked) == 1
    assert check_memory(plan, 256 * 2**30, 1, workers_can=no) is None
    assert len(asked) == 1, "only where it matters"


def test_what_failed_is_kept_only_if_asked_for() -> None:
    one = record("one")
    planned = make_plan([one], {}, Settings(), ModelHashes()).tasks[0].items[0]
    entry = Entry("one", planned.key, 0, 0, "", "failed", 1, "part")
    again = make_plan([one], {"one": entry}, Settings(), ModelHashes())
    assert (again.n_to_analyze, dict(again.kept)) == (1, {})
    kept = make_plan([one], {"one": entry}, Settings(), ModelHashes(), retry_failed=False)
    assert (kept.n_to_analyze, dict(kept.kept)) == (0, {"one": entry})
    other = Settings().updated({"particles": {"min_area_px": 50}})
    assert make_plan([one], {"one": entry}, other, ModelHashes(), retry_failed=False).n_to_analyze == 1


def test_two_files_of_one_id_are_refused() -> None:
    with pytest.raises(SettingsError, match="are both twin"):
        make_plan([record("twin"), record("twin")], {}, Settings(), ModelHashes())


def test_small_micrographs_share_a_task_and_large_ones_do_not() -> None:
    records = [record(str(i), 1000) for i in range(6)] + [record("large", 4096), record("last")]
    plan = make_plan(records, {}, Settings(), ModelHashes())
    assert [len(task.items) for task in plan.tasks] == [1, 5, 1, 1]
    assert [i.record.micrograph_id for t in plan.tasks for i in t.items] == [r.micrograph_id for r in records]


@pytest.mark.parametrize(("n", "n_workers"), [(1, 2), (3, 2), (24, 2), (96, 2), (500, 1), (1000, 16)])
def test_groups_are_small_at_first_and_at_the_end(n: int, n_workers: int) -> None:
    listed = [record(f"m{i:04}", 1000) for i in range(n)]
    settings = Settings().updated({"execution": {"group_megapixels": 4.0}})
    tasks = make_plan(listed, {}, settings, ModelHashes(), n_workers=n_workers).tasks
    sizes = [len(task.items) for task in tasks]
    assert [item.record.micrograph_id for task in tasks for item in task.items] == [r.micrograph_id for r in listed]
    assert sizes[:n_workers] == [1] * min(n, n_workers)
    assert sizes[-1] == 1
    later = sizes[n_workers:]
    assert later == sorted(later, reverse=True)
    assert max(sizes) <= 4
    rounds = [later[i : i + n_workers] for i in range(0, len(later), n_workers)]
    assert all(len(set(sizes)) == 1 for sizes in rounds[:-1]), "workers with equal groups end together"
    if n >= 50 * n_workers:
        assert max(sizes) == 4
        assert len(tasks) <= n / 4 + 6 * n_workers
