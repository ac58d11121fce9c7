"""Several detectors of one scan."""

import dataclasses

import pytest

from hrtem_dask.loading import MicrographRecord, Source, micrograph_id
from hrtem_dask.loading.detectors import detector_in, one_per_scan

SOURCE = Source(url="/data/scan.emd", relative="scan.emd")


def record(title: str, signal: int, frame: int = 0, **known: object) -> MicrographRecord:
    made = MicrographRecord(
        micrograph_id=micrograph_id(SOURCE, signal, frame), source=SOURCE, signal=signal, frame=frame, title=title,
        height_px=64, width_px=64, pixel_size_nm=(0.1, 0.1), acquired_at="2024-05-01T10:00:00",
    )  # fmt: skip
    return dataclasses.replace(made, **known)  # type: ignore[arg-type]


def test_one_detector_is_kept() -> None:
    found = one_per_scan([record(title, n) for n, title in enumerate(("BF", "DF2", "HAADF", "DF4"))])
    assert [r.status for r in found] == ["set_aside", "set_aside", "ok", "set_aside"]
    assert {r.duplicate_of for r in found if r.status != "ok"} == {found[2].micrograph_id}
    assert found[0].reason == "another detector of the scan of HAADF: its field is counted once"


def test_frames_are_paired() -> None:
    found = one_per_scan([record(title, n, t) for n, title in enumerate(("HAADF", "BF")) for t in range(3)])
    assert [r.status for r in found] == ["ok"] * 3 + ["set_aside"] * 3
    assert [r.duplicate_of for r in found[3:]] == [r.micrograph_id for r in found[:3]]


@pytest.mark.parametrize(
    "other",
    [
        record("HAADF", 1),
        record("Ceta", 1),
        record("BF", 1, width_px=32),
        record("BF", 1, pixel_size_nm=(0.2, 0.2)),
        record("BF", 1, acquired_at="2024-05-01T10:07:00"),
        record("BF", 1, status="set_aside"),
        record("Survey BF", 1),
    ],
)
def test_other_images_are_kept(other: MicrographRecord) -> None:
    assert one_per_scan([record("HAADF", 0), other]) == [record("HAADF", 0), other]


@pytest.mark.parametrize("name", ["buffer", "gold_07", "ABFALL", "adfs", "bfx_1", ""])
def test_words_that_are_no_detectors(name: str) -> None:
    assert detector_in(name) is None


def test_the_rest_of_a_name() -> None:
    assert detector_in("gold_07_HAADF") == ("haadf", "gold_07_")
    assert detector_in("gold_07_BF") == ("bf", "gold_07_")
    assert detector_in("DF4") == ("df4", "")
