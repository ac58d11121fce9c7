"""The scale is found from the image: the same field at any magnification is seen at the same scale."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from hrtem_dask.errors import CalibrationError, SettingsError
from hrtem_dask.evaluation import dice
from hrtem_dask.filtering import prepare
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.scale_search import ScaleFinder, choose_scale, scale_for_diameter, scaled_shape
from hrtem_dask.settings import ExecutionSettings, Regime, SegmentationSettings

STRIDE = 32


def disks(side: int, diameter: float, *, seed: int = 0) -> np.ndarray:
    """Return a field of dark disks, scaled to [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    image = np.full((side, side), 0.8, np.float32)
    for _ in range(12):
        cy, cx = rng.uniform(0, side, 2)
        image[(y - cy) ** 2 + (x - cx) ** 2 < diameter**2 / 4] = 0.3
    return np.clip(image + rng.normal(0, 0.02, image.shape), 0, 1).astype(np.float32)


def tuned_to(diameter: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return a stand-in for a network that is the surer of dark spots, the nearer they are to a diameter (px)."""

    def network(images: np.ndarray) -> np.ndarray:
        logits = []
        for image in images:
            dark = ndimage.gaussian_filter(image, 1) < -0.7
            labels, n = ndimage.label(dark)
            areas = np.bincount(labels.ravel())[1:]
            size = np.sqrt(4 * np.median(areas[areas > 20]) / np.pi) if n and (areas > 20).any() else 1.0
            logits.append(np.where(dark, 1, -1) * 6 * np.exp(-(np.log2(size / diameter) ** 2)))
        return np.stack(logits).astype(np.float32)

    return network


@pytest.mark.parametrize("diameter", [10.0, 20.0, 40.0, 80.0])
def test_a_network_is_shown_particles_at_its_own_size(diameter: float) -> None:
    image = disks(512, diameter)
    choice = choose_scale(
        image,
        tuned_to(40.0),
        scaling="standard",
        stride_px=STRIDE,
        threshold=0.5,
        dice_model=None,
    )
    assert choice.score is not None
    assert abs(np.log2(choice.scale * diameter / 40.0)) <= 1


def test_a_field_without_particles_has_no_score() -> None:
    def sees_nothing(images: np.ndarray) -> np.ndarray:
        return np.full(images.shape, -9.0, np.float32)

    choice = choose_scale(
        disks(200, 20), sees_nothing, scaling="standard", stride_px=STRIDE, threshold=0.5, dice_model=None
    )
    assert (choice.scale, choice.score, choice.margin) == (1.0, None, None)


def test_the_pixel_size_decides_the_regime() -> None:
    dice_model = make_segmenter(SegmentationSettings(), ExecutionSettings(device="cpu")).dice_model
    assert dice_model is not None

    def regime(pixel_size_nm: float | None, **options: object) -> bool:
        finder = ScaleFinder(SegmentationSettings(**options), None if "unable" in options else dice_model)  # type: ignore[arg-type]
        return finder._is_contrast(None if pixel_size_nm is None else (pixel_size_nm, pixel_size_nm))

    assert [regime(size) for size in (0.02, 0.1, 0.11, 3.0, None)] == [False, False, True, True, True]
    assert regime(0.02, regime="contrast")
    assert not regime(3.0, regime="lattice")
    # a network that cannot predict the quality of its masks, such as a fine-tuned one, cannot choose either
    assert not ScaleFinder(SegmentationSettings(), None)._is_contrast(None)


def test_a_stated_diameter_sets_the_scale() -> None:
    assert scale_for_diameter(80) == 1
    assert scale_for_diameter(10) == pytest.approx(8)
    assert scale_for_diameter(1e9) == pytest.approx(1 / 8)
    found = make_segmenter(SegmentationSettings(diameter_nm=40.0), ExecutionSettings(device="cpu"))(
        disks(160, 20), pixel_size_nm=(2.0, 2.0)
    )
    assert found.regime == "contrast"
    assert found.scale == pytest.approx(4.0)
    assert found.mask.shape == (160, 160)
    with pytest.raises(CalibrationError, match="needs a pixel size"):
        make_segmenter(SegmentationSettings(diameter_nm=40.0), ExecutionSettings(device="cpu"))(
            disks(160, 20), pixel_size_nm=None
        )


@pytest.mark.parametrize(
    "options",
    [{"regime": "both"}, {"diameter_nm": 0.0}, {"diameter_px": -1.0}, {"diameter_nm": 1.0, "diameter_px": 1.0}],
)
def test_impossible_settings_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        SegmentationSettings(**options)  # type: ignore[arg-type]


def test_pixels_that_are_far_from_square_are_refused() -> None:
    assert scaled_shape((100, 100), 1.0, pixel_size_nm=(2.0, 0.5)) == (200, 50)
    with pytest.raises(CalibrationError, match="times as long as wide"):
        scaled_shape((100, 100), 1.0, pixel_size_nm=(3.0, 0.002))


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_the_mask_does_not_depend_on_the_magnification(zoom: float) -> None:
    """Without a pixel size, a field and its enlarged copy give the same mask."""
    segmenter = make_segmenter(SegmentationSettings(), ExecutionSettings(device="cpu"))
    image = disks(384, 40)
    side = round(384 * zoom)
    copy = resample(image, (side, side), method="bicubic").clip(0, 1)
    masks = [segmenter(prepare(one)[0], pixel_size_nm=None).mask for one in (image, copy)]
    same = resample(masks[1].astype(np.float32), (384, 384), method="bilinear") >= 0.5
    assert masks[0].mean() > 0.05
    assert 2 * (same & masks[0]).sum() / (same.sum() + masks[0].sum()) > 0.93


def test_real_particles_of_unknown_scale_are_found(data: Path) -> None:
    """Bright-field panels of `emps_tem`, which state no pixel size, against the same network without the search."""

    scores: dict[Regime, list[float]] = {"auto": [], "lattice": []}
    for path in sorted((data / "emps_tem" / "images").iterdir())[::10]:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        truth = cv2.imread(str(data / "emps_tem" / "labels" / path.name), cv2.IMREAD_UNCHANGED) > 0
        for regime, found in scores.items():
            segmenter = make_segmenter(SegmentationSettings(regime=regime), ExecutionSettings(device="cpu"))
            mask = segmenter(prepare(image)[0], pixel_size_nm=None).mask
            found.append(dice(mask, truth))
    assert np.mean(scores["auto"]) > np.mean(scores["lattice"]) + 0.02
