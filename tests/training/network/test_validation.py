"""Validation scores against the masks that analysis makes."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hrtem_dask.evaluation import dice
from hrtem_dask.filtering.prepare import prepare
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.segmentation.engines import make_engine
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.segmentation.weights import save_model
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings
from hrtem_dask.training.labelled.labelled_micrograph import make_labelled
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.validation import make_validation_image, score_images


def test_scores_are_in_native_pixels_and_separate_for_empty_micrographs(random_network: Any, make_disks: Any) -> None:
    config = random_network.config
    engine = make_engine(random_network, engine="torch")
    images = []
    for seed, n in ((0, 3), (1, 0)):
        image, labels = make_disks(seed, shape=(90, 130), n=n)
        labelled = make_labelled(image, labels, pixel_size_nm=(0.02, 0.02))
        images.append(make_validation_image(str(seed), labelled, config))
    half = np.zeros((90, 130), bool)
    half[:, :65] = True
    images.append(dataclasses.replace(images[0], micrograph_id="half", valid=half))
    scores = score_images(images, engine, config, threshold=0.3)
    assert images[0].seen.image.shape == (45, 65)
    # the mask that analysis makes, scored independently
    segmenter_mask = score_mask(random_network, *make_disks(0, shape=(90, 130))[:1])
    truth = make_disks(0, shape=(90, 130))[1] > 0
    assert scores.table.loc["0", "dice"] == pytest.approx(dice(segmenter_mask, truth), abs=0.01)
    assert scores.table.loc["half", "dice"] == pytest.approx(dice(segmenter_mask & half, truth & half), abs=0.01)
    empty = scores.table.loc["1"]
    assert np.isnan(empty["dice"])
    assert empty["false_positive_nm2"] == pytest.approx(empty["false_positive_share"] * 90 * 130 * 0.02**2)
    summary = scores.summary()
    assert summary["dice_mean"] == pytest.approx(scores.table["dice"].mean())
    assert summary["empty_false_share"] == pytest.approx(empty["false_positive_share"])


@pytest.fixture
def random_network(tiny_recipe: TrainingRecipe) -> Any:
    torch.manual_seed(5)
    return UNet(tiny_recipe.network).eval()


def score_mask(model: Any, image: np.ndarray) -> np.ndarray:
    """Return the mask of the segmenter that analysis uses."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        save_model(model, path)
        settings = SegmentationSettings(model=str(path), threshold=0.3)
        segmenter = make_segmenter(settings, ExecutionSettings(device="cpu"))
    return np.asarray(segmenter(prepare(image)[0], pixel_size_nm=(0.02, 0.02)).mask)
