"""Crops: image and mask stay together, scale is what it says, and the thread hands errors over."""

import dataclasses
import threading

import numpy as np
import pytest

from hrtem_dask.segmentation.network_input import network_input
from hrtem_dask.training.labelled.labelled_micrograph import LabelledMicrograph, make_labelled
from hrtem_dask.training.network.crops import Batch, cut, make_batch, make_training_image, prefetch, resize
from hrtem_dask.training.network.recipes import NO_AUGMENTATION, TrainingRecipe


def contrasted(shape: tuple[int, int], size: float | None, seed: int = 0) -> LabelledMicrograph:
    """Blobs whose mask can be read off the image: where it is bright."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((shape[0] // 8, shape[1] // 8)) > 0.6
    mask = np.kron(coarse, np.ones((8, 8))) > 0
    return make_labelled(mask.astype(float), mask, pixel_size_nm=None if size is None else (size, size))


def test_image_and_mask_move_together(tiny_recipe: TrainingRecipe) -> None:
    turned = dataclasses.replace(tiny_recipe, augmentation=dataclasses.replace(NO_AUGMENTATION, scale=1.3))
    images = [make_training_image(contrasted((96, 120), 0.04, seed), turned.network) for seed in range(3)]
    batch = make_batch(images, turned, np.random.default_rng(1))
    assert batch.images.shape == batch.masks.shape == batch.weights.shape == (8, 48, 48)
    assert 0.2 < batch.masks.mean() < 0.6
    seen = batch.images > 0
    assert ((batch.masks > 0) == seen).mean() > 0.97  # but for a resampled outline
    assert len({image.tobytes() for image in batch.images}) == 8
    np.testing.assert_array_equal(batch.images, make_batch(images, turned, np.random.default_rng(1)).images)


def test_training_sees_what_inference_sees(tiny_recipe: TrainingRecipe) -> None:
    labelled = contrasted((96, 120), 0.02)
    seen = make_training_image(labelled, tiny_recipe.network)
    inference = network_input(labelled.image, pixel_size_nm=(0.02, 0.02), model_pixel_size_nm=0.04, scaling="standard")
    assert seen.image.shape == seen.mask.shape == (48, 60)
    np.testing.assert_allclose(seen.image, inference, atol=2e-3)
    assert (seen.mask == (inference > 0)).mean() > 0.99
    assert make_training_image(contrasted((96, 120), None), tiny_recipe.network).image.shape == (96, 120)
    assert seen.mask[tuple(seen.centres.T)].all()


def test_scale_varies_as_stated() -> None:
    """Fringes of 8 px come out with periods of 8/1.5 to 8·1.5 px, and no others."""
    recipe = TrainingRecipe(
        crop_px=96, batch=200, augmentation=dataclasses.replace(NO_AUGMENTATION, scale=1.5, turns=False),
        centre_on_particle=0.0,
    )  # fmt: skip
    wave = np.cos(2 * np.pi * np.arange(512) / 8)[None].repeat(512, axis=0)
    image = make_training_image(make_labelled(wave, wave > 2, pixel_size_nm=None), recipe.network)
    crops = make_batch([image], recipe, np.random.default_rng(0)).images
    spectrum = abs(np.fft.rfft(crops * np.hanning(96), n=960, axis=2)).mean(axis=1)
    frequencies = spectrum[:, 30:].argmax(axis=1) + 30  # in 1/960 px
    zooms = frequencies / 120
    assert zooms.min() == pytest.approx(1 / 1.5, abs=0.02)
    assert zooms.max() == pytest.approx(1.5, abs=0.04)
    assert np.log(zooms).mean() == pytest.approx(0, abs=0.05)
    np.testing.assert_allclose(crops.std(axis=(1, 2)), 1, atol=0.1)


def test_unknown_truth_weighs_nothing(tiny_recipe: TrainingRecipe) -> None:
    labelled = contrasted((96, 96), 0.04)
    valid = np.zeros((96, 96), bool)
    valid[:, :48] = True
    image = make_training_image(dataclasses.replace(labelled, valid=valid), tiny_recipe.network)
    still = dataclasses.replace(
        tiny_recipe, crop_px=96, batch=1, augmentation=dataclasses.replace(NO_AUGMENTATION, turns=False)
    )
    batch = make_batch([image], still, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.weights[0], valid)
    assert image.centres[:, 1].max() < 48


def test_outlines_weigh_more(tiny_recipe: TrainingRecipe) -> None:
    mask = np.zeros((48, 48), bool)
    mask[12:36, 12:36] = True
    image = make_training_image(make_labelled(mask.astype(float), mask, pixel_size_nm=None), tiny_recipe.network)
    recipe = dataclasses.replace(tiny_recipe, boundary_weight=4.0, boundary_sigma_px=2.0, batch=1)
    weights = make_batch([image], recipe, np.random.default_rng(0)).weights[0]
    assert weights[24, 12] == weights[24, 11] == pytest.approx(5, rel=0.05)
    assert weights[24, 14] == pytest.approx(1 + 4 * np.exp(-0.5 * (2.5 / 2 - 0.25) ** 2), rel=0.15)
    assert weights[24, 24] == pytest.approx(1, abs=0.01)


def test_small_images_are_mirrored() -> None:
    array = np.arange(12).reshape(3, 4)
    window = cut(array, (-2, -3), 9)
    assert window.shape == (9, 9)
    np.testing.assert_array_equal(window, np.pad(array, ((2, 4), (3, 2)), mode="symmetric"))
    assert cut(array, (0, 1), 3).base is not None  # inside it is a view
    np.testing.assert_allclose(resize(np.full((10, 10), 2.0, np.float32), 7), 2)


def step_of(batch: Batch) -> int:
    return int(batch.images.item())


def test_batches_come_in_order_and_errors_come_through() -> None:
    def make(step: int) -> Batch:
        if step == 3:
            raise ValueError("the third")
        return Batch(*(np.full((1, 1, 1), step),) * 3)

    got: list[int] = []
    with pytest.raises(ValueError, match="the third"):
        got.extend(map(step_of, prefetch(make, range(9))))
    assert got == [0, 1, 2]
    unfinished = prefetch(make, range(3))
    next(unfinished)
    unfinished.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name == "crops"]
