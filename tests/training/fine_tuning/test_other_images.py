"""Images of another kind: always the same, with particles, in their regime."""

import numpy as np

from hrtem_dask.evaluation import dice
from hrtem_dask.segmentation.unet_segmenter import UNetSegmenter
from hrtem_dask.settings import SegmentationSettings
from hrtem_dask.training.fine_tuning.other_images import simulated_contrast, simulated_lattice
from hrtem_dask.training.fine_tuning.scoring import network_settings


def test_they_are_the_same_each_time_and_differ_from_each_other() -> None:
    for make in (simulated_lattice, simulated_contrast):
        first, second = make(2)
        one, again, other = first.read(), make(2)[0].read(), second.read()
        np.testing.assert_array_equal(one.image, again.image)
        assert not np.array_equal(one.image, other.image)
        assert all(m.mask.any() and not m.mask.all() for m in (one, other))
        assert first.group != second.group
    assert simulated_lattice(1)[0].read().pixel_size_nm == (0.03, 0.03)
    assert simulated_contrast(1)[0].read().pixel_size_nm is None


def test_the_bundled_network_is_good_at_those_it_was_trained_for() -> None:
    settings = network_settings(str(SegmentationSettings().model_file))
    segmenter = UNetSegmenter(settings.segmentation, settings.execution)
    one = simulated_lattice(1)[0].read()
    assert dice(segmenter(one.image, pixel_size_nm=one.pixel_size_nm).mask, one.mask) > 0.9
