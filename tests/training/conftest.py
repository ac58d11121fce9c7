"""Labeled micrographs and a tiny network that is trained on them in seconds."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled
from hrtem_dask.training.network.recipes import NO_AUGMENTATION, TrainingRecipe


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Run torch in one thread: for such small arrays, synchronizing threads takes longer than computing."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def disks(seed: int, *, shape: tuple[int, int] = (96, 112), n: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return bright disks on noise, in counts, and their labels."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for label in range(1, n + 1):
        center, radius = rng.uniform(15, np.array(shape) - 15), rng.uniform(8, 14)
        labels[(y - center[0]) ** 2 + (x - center[1]) ** 2 < radius**2] = label
    image = rng.normal(100, 10, shape) + 15 * (labels > 0)
    return image.round().clip(0).astype(np.uint16), labels


@pytest.fixture(scope="session")
def make_disks() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return disks


@pytest.fixture(scope="session")
def disk_micrographs() -> list[Labelled]:
    """Return twenty micrographs; every fifth one is empty."""

    def reader(i: int) -> Callable[[], LabelledMicrograph]:
        def read() -> LabelledMicrograph:
            image, labels = disks(i, n=0 if i % 5 == 4 else 3)
            return make_labelled(image, labels, pixel_size_nm=(0.04, 0.04))

        return read

    return [Labelled(micrograph_id=f"disks-{i}", group=f"disks-{i}", read=reader(i)) for i in range(20)]


@pytest.fixture(scope="session")
def tiny_recipe() -> TrainingRecipe:
    return TrainingRecipe(
        name="tiny",
        network=UNetConfig(widths=(4, 8), centre_width=8, encoder_convs=1, decoder_convs=1, pixel_size_nm=0.04,
                           input_scaling="standard", dropout=0.1),
        crop_px=48,
        batch=8,
        crops_per_epoch=128,
        epochs=4,
        learning_rate=2e-2,
        ema_decay=0.9,
        validation_share=0.2,
        precision="float32",
        augmentation=NO_AUGMENTATION,
    )  # fmt: skip
