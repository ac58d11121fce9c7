"""A field that one crystal fills, through the analysis of a micrograph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pandas.testing as pdt
import pytest

import hrtem_dask as hd
from hrtem_dask import analysis, tables
from hrtem_dask.errors import CalibrationError
from hrtem_dask.fourier.pattern import between_deg
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import SceneContrast, simulate_scene

SETTINGS = Settings().updated(
    {"execution": {"device": "cpu"}, "fourier": {"material": "Au"}, "defects": {"classify": False}}
)


def analyse(image: np.ndarray, pixel: tuple[float, float] | None, **options: Any) -> analysis.Analysis:
    segmenter = make_segmenter(SETTINGS.segmentation, SETTINGS.execution)
    return analysis.analyse(image, pixel_size_nm=pixel, settings=SETTINGS, segmenter=segmenter, **options)


def test_a_crystal_is_done_without_particles_and_says_what_it_holds(make_crystal: Callable[..., Any]) -> None:
    field = make_crystal("Au", "intrinsic")
    found = analyse(field.image, field.pixel_size_nm)
    assert (found.status, found.micrograph["field_kind"]) == ("done", "one_crystal")
    assert (len(found.particles), len(found.regions), found.labels.max()) == (0, 0, 0)
    assert [found.micrograph[n] for n in ("n_regions", "n_particles", "n_counted")] == [0, 0, 0]
    assert found.micrograph["lattice_scale_ratio"] == pytest.approx(1, abs=0.01)
    n_faulted = int(found.windows["fault_kind"].notna().sum())
    assert n_faulted > 0
    assert found.reason == f"one crystal: {len(found.windows)} windows, {n_faulted} with a fault"
    assert (found.windows["zone_axis"] == "[110]").all()
    assert len(found.fault_traces) == 1
    of_fault = found.windows["fault_id"].dropna()
    assert (of_fault == 1).all()
    assert found.fault_traces["n_windows"].item() == len(of_fault)
    row = found.fault_traces.iloc[0]
    assert row["end_1_y_nm"] == pytest.approx(row["end_1_y_px"] * 0.03)
    assert row["length_nm"] == pytest.approx(
        np.hypot(row["end_2_y_nm"] - row["end_1_y_nm"], row["end_2_x_nm"] - row["end_1_x_nm"])
    )
    # the function for notebooks gives the same rows
    alone = hd.analyse_crystal(field.image, pixel_size_nm=0.03, settings=SETTINGS)
    pdt.assert_frame_equal(alone.windows, found.windows)
    pdt.assert_frame_equal(alone.fault_traces, found.fault_traces)


def test_a_pixel_size_off_by_5_percent_is_flagged(make_crystal: Callable[..., Any]) -> None:
    field = make_crystal("Au")
    found = analyse(field.image, (0.0315, 0.0315))
    assert found.micrograph["field_kind"] == "one_crystal"
    assert found.micrograph["lattice_scale_ratio"] == pytest.approx(1.05, abs=0.01)
    assert found.micrograph["calibration_flags"] == "off_lattice"


def test_particles_stay_particles() -> None:
    scene = simulate_scene(
        seed=3, shape=(320, 320), pixel_size_nm=0.03, n_particles=3, contrast=SceneContrast(darkness=0.3)
    )
    found = analyse(scene.image, scene.pixel_size_nm)
    assert found.micrograph["field_kind"] == "particles"
    assert len(found.particles) == len(np.unique(scene.labels)) - 1
    empty = analyse(simulate_scene(seed=4, shape=(320, 320), n_particles=0).image, scene.pixel_size_nm)
    assert empty.status == "empty"
    assert empty.micrograph["field_kind"] is None
    assert list(empty.windows) == [c.name for c in tables.WINDOWS]
    assert len(empty.windows) == len(empty.fault_traces) == 0


def test_particles_on_a_crystal_and_labels_of_a_person_are_kept(make_crystal: Callable[..., Any]) -> None:
    field = make_crystal("Au")
    y, x = np.indices(field.image.shape)
    disk = (y - 160) ** 2 + (x - 150) ** 2 < 40**2
    otsu = SETTINGS.updated({"segmentation": {"method": "otsu", "particles_are": "dark", "otsu_sigma_nm": 0.3}})
    found = analysis.analyse(
        np.where(disk, 0.2 * field.image, field.image),
        pixel_size_nm=field.pixel_size_nm,
        settings=otsu,
        segmenter=make_segmenter(otsu.segmentation, otsu.execution),
    )
    assert found.micrograph["field_kind"] == "particles"
    assert found.micrograph["n_counted"] == 1
    corrected = analyse(field.image, field.pixel_size_nm, corrected=disk.astype(np.int32))
    assert (corrected.micrograph["field_kind"], len(corrected.particles)) == ("particles", 1)


def test_without_a_pixel_size_a_crystal_is_not_recognized(make_crystal: Callable[..., Any]) -> None:
    assert analyse(make_crystal("Au").image, None).micrograph["field_kind"] != "one_crystal"


@pytest.mark.parametrize("pixel", [0.0, -0.03, float("nan"), 0.3, (0.03, 0.3)])
def test_a_pixel_size_that_resolves_no_lattice_is_refused(pixel: Any) -> None:
    with pytest.raises(CalibrationError, match="nm"):
        hd.analyse_crystal(np.zeros((128, 128)), pixel_size_nm=pixel)


@pytest.mark.slow
def test_cdte_is_no_longer_empty(data: Path) -> None:
    image = iio.imread(data / "cdte_stacking_fault" / "CdTe_micrograph_768.png")
    found = analyse(image, (0.027, 0.027))
    assert (found.status, found.micrograph["field_kind"]) == ("done", "one_crystal")
    assert len(found.fault_traces) == 3


@pytest.mark.slow
def test_parts_of_cdte_name_no_kind_that_is_wrong(data: Path) -> None:
    image = iio.imread(data / "cdte_stacking_fault" / "CdTe_micrograph_768.png")
    crystals, kinds = 0, []
    for y in range(0, 449, 64):
        for x in range(0, 449, 64):
            found = analyse(image[y : y + 320, x : x + 320], (0.027, 0.027))
            if found.micrograph["field_kind"] != "one_crystal":
                assert found.micrograph["verdict"] == "doubtful"  # the core of the dislocation is taken for a particle
                continue
            crystals += 1
            # the twin boundary begins at row 688, where no stacking fault is
            true = "twin_boundary" if y + 320 > 688 and x < 262 else "stacking_fault"
            kinds += [(true, kind) for kind in found.fault_traces["fault_kind"]]
    named = [(true, kind) for true, kind in kinds if kind != "unknown"]
    print(f"64 parts of CdTe: {crystals} one crystal; {len(kinds)} traces, {len(named)} of known kind")  # noqa: T201
    assert crystals >= 60
    assert len(named) >= 20
    assert all(true == kind for true, kind in named)


@pytest.mark.slow
@pytest.mark.parametrize("material", ["Au", "CdTe", "CdSe"])
@pytest.mark.parametrize("counts", [8.0, 30.0, 300.0])
def test_every_fault_of_a_simulated_field_has_one_trace(
    make_crystal: Callable[..., Any], material: str, counts: float
) -> None:
    # in the stacking AB of CdSe, a twin is the fault I1
    kinds = {None: None, "intrinsic": "stacking_fault", "extrinsic": "stacking_fault"}
    kinds["twin"] = "stacking_fault" if material == "CdSe" else "twin_boundary"
    for kind, expected in kinds.items():
        for seed, height_nm in ((1, -0.9), (2, 0.8)):
            field = make_crystal(
                material, kind, shape=(384, 384), counts=counts, seed=seed, normal_deg=37.0 * seed, height_nm=height_nm
            )
            found = hd.analyse_crystal(field.image, pixel_size_nm=0.03, settings=SETTINGS)
            assert found.fault_traces["fault_kind"].tolist() == ([expected] if expected else [])
            if kind:
                assert between_deg(found.fault_traces["fault_trace_deg"].item(), field.trace_deg) < 3
