"""The scale of training against disks of known diameter, and against the input of inference."""

import numpy as np
import pytest

from hrtem_dask.segmentation.network_input import resampled_input
from hrtem_dask.segmentation.networks.config import InputScaling, UNetConfig
from hrtem_dask.segmentation.scales.geometry import scaled_shape
from hrtem_dask.training.fine_tuning.training_scale import at_scale, choose_training_scale, typical_diameter_px
from hrtem_dask.training.labelled.labelled_micrograph import LabelledMicrograph, make_labelled
from hrtem_dask.training.network.crops.training_image import make_training_image


def disks(*circles: tuple[float, float, float], shape: tuple[int, int] = (200, 300)) -> np.ndarray:
    """Return a mask of disks (y, x, diameter)."""
    y, x = np.indices(shape)
    return np.any([(y - cy) ** 2 + (x - cx) ** 2 <= (d / 2) ** 2 for cy, cx, d in circles], axis=0)


def micrograph(mask: np.ndarray, **options: object) -> LabelledMicrograph:
    image = np.random.default_rng(0).normal(size=mask.shape) - mask
    return make_labelled(image, mask, **{"pixel_size_nm": None, **options})  # type: ignore[arg-type]


def test_the_diameter_of_separate_and_of_touching_disks() -> None:
    separate = micrograph(disks((50, 50, 30), (50, 120, 40), (140, 80, 60)))
    assert typical_diameter_px(separate) == pytest.approx(60, abs=2)  # more than half of the area is in it
    touching = micrograph(disks((100, 60, 40), (100, 98, 40), (100, 136, 40), (100, 174, 40)))
    assert typical_diameter_px(touching) == pytest.approx(40, abs=2)


def test_cut_particles_do_not_count_unless_all_are_cut() -> None:
    cut = (0, 150, 120)  # half of it is outside
    assert typical_diameter_px(micrograph(disks(cut, (150, 60, 40)))) == pytest.approx(40, abs=2)
    # the circle inside the visible half has half the diameter: beyond the border it cannot be known to continue
    assert typical_diameter_px(micrograph(disks(cut))) is not None
    valid = np.ones((200, 300), bool)
    valid[:, 200:] = False
    half_known = micrograph(disks((100, 200, 90), (100, 60, 40)), valid=valid)
    assert typical_diameter_px(half_known) == pytest.approx(40, abs=2)
    assert typical_diameter_px(micrograph(np.zeros((50, 50), bool))) is None


def test_pixels_that_are_not_square() -> None:
    y, x = np.indices((200, 400))
    stretched = (y - 100) ** 2 + ((x - 200) / 2) ** 2 <= 30**2  # a disk with pixels of half the width
    assert typical_diameter_px(micrograph(stretched, pixel_size_nm=(1.0, 0.5))) == pytest.approx(60 * 2**0.5, abs=3)


def choose(mask: np.ndarray, *, dice: float, **options: object) -> tuple[float | None, str]:
    values = {"regime": "contrast", "found_scale": 4.0, "dice": dice, "is_given": False, **options}
    chosen = choose_training_scale(micrograph(mask), **values)  # type: ignore[arg-type]
    return chosen.scale, chosen.source


def test_what_decides() -> None:
    mask = disks((100, 100, 40), (100, 200, 40))
    assert choose(mask, dice=0.9) == (4.0, "image")
    scale, source = choose(mask, dice=0.2)
    assert source == "masks"
    assert scale == pytest.approx(80 / 40, rel=0.06)
    assert choose(mask, dice=0.2, is_given=True) == (4.0, "diameter")
    assert choose(mask, dice=0.9, regime="lattice") == (None, "pixel size")
    assert choose(np.zeros((200, 300), bool), dice=float("nan")) == (4.0, "image")
    assert choose(disks((1000, 1000, 8), shape=(2048, 2048)), dice=0.0)[0] == 2.0  # not beyond 4096 px


@pytest.mark.parametrize("scaling", ["standard", "min_max"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_training_sees_what_inference_sees(scaling: InputScaling, scale: float) -> None:
    config = UNetConfig(widths=(2,), centre_width=2, pixel_size_nm=0.05, input_scaling=scaling)
    one = micrograph(disks((100, 150, 80)), pixel_size_nm=(0.6, 0.4))
    seen = make_training_image(at_scale(one, scale, config), config)
    shape = scaled_shape(one.image.shape, scale, pixel_size_nm=one.pixel_size_nm)
    expected = resampled_input(one.image, shape, scaling)
    assert seen.image.shape == shape
    np.testing.assert_allclose(seen.image, expected, atol=4e-3)  # float16
    area = np.pi * 40**2 * shape[0] * shape[1] / one.mask.size
    assert seen.mask.sum() == pytest.approx(area, rel=0.02)


def test_a_pixel_that_is_partly_unknown_is_unknown() -> None:
    valid = np.ones((200, 300), bool)
    valid[:, 151:] = False
    config = UNetConfig(widths=(2,), centre_width=2)
    halved = at_scale(micrograph(disks((100, 100, 50)), valid=valid), 0.5, config)
    assert halved.valid is not None
    assert halved.valid[:, :74].all()
    assert not halved.valid[:, 75:].any()
