"""Training images: the same resampling and scaling as in inference."""

import numpy as np

from hrtem_dask.segmentation.network_input import network_input
from hrtem_dask.training.labelled.labelled_micrograph import LabelledMicrograph, make_labelled
from hrtem_dask.training.network.crops.training_image import make_training_image
from hrtem_dask.training.network.recipes import TrainingRecipe


def contrasted(shape: tuple[int, int], size: float | None, seed: int = 0) -> LabelledMicrograph:
    """Bright blobs on a dark background; the mask is True on the blobs."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((shape[0] // 8, shape[1] // 8)) > 0.6
    mask = np.kron(coarse, np.ones((8, 8))) > 0
    return make_labelled(mask.astype(float), mask, pixel_size_nm=None if size is None else (size, size))


def test_training_and_inference_see_the_same_image(tiny_recipe: TrainingRecipe) -> None:
    labelled = contrasted((96, 120), 0.02)
    seen = make_training_image(labelled, tiny_recipe.network)
    inference = network_input(labelled.image, pixel_size_nm=(0.02, 0.02), model_pixel_size_nm=0.04, scaling="standard")
    assert seen.image.shape == seen.mask.shape == (48, 60)
    np.testing.assert_allclose(seen.image, inference, atol=2e-3)
    assert (seen.mask == (inference > 0)).mean() > 0.99
    assert make_training_image(contrasted((96, 120), None), tiny_recipe.network).image.shape == (96, 120)
    assert seen.mask[tuple(seen.centers.T)].all()
