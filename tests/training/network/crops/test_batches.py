"""Crops: image and mask stay together, and the scale varies in its range."""

import dataclasses

import numpy as np
import pytest

from hrtem_dask.training.labelled.labelled_micrograph import LabelledMicrograph, make_labelled
from hrtem_dask.training.network.crops.batches import cut, make_batch, resize
from hrtem_dask.training.network.crops.training_image import make_training_image
from hrtem_dask.training.network.recipes import NO_AUGMENTATION, TrainingRecipe


def contrasted(shape: tuple[int, int], size: float | None, seed: int = 0) -> LabelledMicrograph:
    """Bright blobs on a dark background; the mask is True on the blobs."""
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
    assert ((batch.masks > 0) == seen).mean() > 0.97  # except for the resampled outline
    assert len({image.tobytes() for image in batch.images}) == 8
    np.testing.assert_array_equal(batch.images, make_batch(images, turned, np.random.default_rng(1)).images)


def test_scale_varies_as_stated() -> None:
    """Fringes of 8 px have periods of 8/1.5 to 8·1.5 px in the crops."""
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


def test_pixels_of_unknown_truth_have_no_weight(tiny_recipe: TrainingRecipe) -> None:
    labelled = contrasted((96, 96), 0.04)
    valid = np.zeros((96, 96), bool)
    valid[:, :48] = True
    image = make_training_image(dataclasses.replace(labelled, valid=valid), tiny_recipe.network)
    unrotated = dataclasses.replace(
        tiny_recipe, crop_px=96, batch=1, augmentation=dataclasses.replace(NO_AUGMENTATION, turns=False)
    )
    batch = make_batch([image], unrotated, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.weights[0], valid)
    assert image.centers[:, 1].max() < 48


def test_outlines_have_a_higher_weight(tiny_recipe: TrainingRecipe) -> None:
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
    assert cut(array, (0, 1), 3).base is not None  # a view, because nothing is mirrored
    np.testing.assert_allclose(resize(np.full((10, 10), 2.0, np.float32), 7), 2)


def test_contacts_follow_the_crop_and_are_unknown_without_instances() -> None:
    """Two particles side by side: the contact is on their common border in every crop."""
    network = dataclasses.replace(TrainingRecipe().network, contact_output=True, pixel_size_nm=None)
    recipe = TrainingRecipe(
        crop_px=32, batch=24, network=network, augmentation=dataclasses.replace(NO_AUGMENTATION, scale=1.4)
    )
    labels = np.zeros((96, 96), dtype=int)
    labels[20:80, 20:50], labels[20:80, 50:80] = 1, 2
    images = [
        make_training_image(make_labelled(labels == 1, labels, pixel_size_nm=None, instances=known), network)
        for known in (True, False)
    ]
    batch = make_batch(images[:1], recipe, np.random.default_rng(0))
    assert batch.contacts is not None
    assert set(np.unique(batch.contacts)) == {0.0, 1.0}
    touching = batch.contacts > 0
    assert (batch.masks[touching] == 1).all()
    # the image is bright on one particle and dark on the other: their border is where the image has an edge inside
    for image, mask, contact in zip(batch.images, batch.masks, touching, strict=True):
        bright = image > (batch.images.max() + batch.images.min()) / 2
        if contact.sum() > 40:
            assert 0.3 < bright[contact].mean() < 0.7
            assert mask[contact].all()
    unknown = make_batch(images[1:], recipe, np.random.default_rng(0)).contacts
    assert unknown is not None
    assert (unknown == -1).all()
