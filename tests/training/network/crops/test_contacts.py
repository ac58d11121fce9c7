"""Contacts against a direct search for neighbors."""

import numpy as np
import pytest

from hrtem_dask.training.network.crops.contacts import CONTACT_REACH_PX, contact_map


@pytest.mark.parametrize("seed", range(3))
def test_contacts_are_pixels_near_another_particle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 4, (5, 6)), np.ones((4, 5), dtype=int))
    expected = np.zeros(labels.shape)
    reach = CONTACT_REACH_PX
    for y, x in np.argwhere(labels):
        near = labels[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        expected[y, x] = bool(set(near[near > 0].tolist()) - {labels[y, x]})
    np.testing.assert_array_equal(contact_map(labels), expected)
    assert expected.any()


def test_a_particle_alone_has_no_contact() -> None:
    labels = np.zeros((20, 20), dtype=np.uint16)
    labels[5:15, 5:15] = 300
    assert not contact_map(labels).any()
