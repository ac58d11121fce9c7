"""The bundled model does on unseen micrographs what its card says."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtem_dask.evaluation import dice
from hrtem_dask.filtering import prepare
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.segmentation.weights import load_dice_model, model_metadata
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings
from hrtem_dask.simulation import SimulationRanges, simulate_micrograph

BUNDLED = Path(SegmentationSettings().model_file or "")


def mask(image: np.ndarray, pixel_size_nm: float | None, *, flatten: bool = True, **options: object) -> np.ndarray:
    segmenter = make_segmenter(SegmentationSettings(**options), ExecutionSettings(device="cpu"))  # type: ignore[arg-type]
    prepared, _ = prepare(image, flatten=flatten)
    size = None if pixel_size_nm is None else (pixel_size_nm, pixel_size_nm)
    return np.asarray(segmenter(prepared, pixel_size_nm=size).mask)


def test_it_is_small_and_says_where_it_comes_from() -> None:
    assert BUNDLED.stat().st_size < 10e6
    assert BUNDLED.with_suffix(".md").read_text().startswith("# ")
    metadata = model_metadata(BUNDLED)
    assert {"recipe", "seed"} <= set(metadata)
    calibration = load_dice_model(BUNDLED)
    assert calibration is not None
    assert calibration.errors["mae"] < 0.15


@pytest.mark.parametrize(("material", "least"), [("Au", 0.9), ("CdSe", 0.75)])
@pytest.mark.parametrize("pixel_size", [0.022, 0.058])
def test_it_finds_simulated_particles_at_any_magnification(material: str, least: float, pixel_size: float) -> None:
    ranges = SimulationRanges(
        size_px=384, pixel_size_nm=(pixel_size, pixel_size), materials={material: 1}, empty_fraction=0,
        dose_per_nm2=(8e4, 2e5), median_diameter_nm=(3.0, 4.0), coverage=(0.1, 0.2), carbon_thickness_nm=(3.0, 6.0),
    )  # fmt: skip
    scores = []
    for index in range(4):
        one = simulate_micrograph(ranges, seed=770, index=index)
        scores.append(dice(mask(one.image, pixel_size), one.labels > 0))
    assert np.mean(scores) >= least


def test_empty_carbon_stays_empty() -> None:
    ranges = SimulationRanges(size_px=384, empty_fraction=1.0, dose_per_nm2=(5e4, 3e5))
    false = [
        mask(one.image, one.pixel_size_nm).mean()
        for one in (simulate_micrograph(ranges, seed=771, index=i) for i in range(6))
    ]
    assert np.median(false) < 1e-3


def test_bright_particles_are_seen_in_the_inverted_image() -> None:
    ranges = SimulationRanges(size_px=256, materials={"Au": 1}, empty_fraction=0, dose_per_nm2=(1e5, 2e5))
    one = simulate_micrograph(dataclasses.replace(ranges, n_spikes=(0, 0)), seed=772, index=0)
    inverted = one.image.max() - one.image
    np.testing.assert_array_equal(
        # dividing by a surface and inverting do not commute
        mask(inverted, one.pixel_size_nm, flatten=False, particles_are="bright"),
        mask(one.image, one.pixel_size_nm, flatten=False),
    )


def test_it_finds_real_particles(data: Path) -> None:
    """Images 0 to 7 of the in-situ series, its development set, which state no pixel size."""
    scores = []
    for number in range(0, 8, 2):
        path = data / "tem_sintering" / "images" / f"image_{number}.png"
        image, truth = (cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in (path, path.parents[1] / "masks" / path.name))
        scores.append(dice(mask(np.asarray(image), None), np.asarray(truth) > 0))
    assert np.mean(scores) >= 0.85
