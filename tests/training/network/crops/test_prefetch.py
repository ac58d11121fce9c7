"""Batches made by a background thread: their order, their errors, and the end of the thread."""

import threading

import numpy as np
import pytest

from hrtem_dask.training.network.crops.batches import Batch
from hrtem_dask.training.network.crops.prefetch import prefetch


def step_of(batch: Batch) -> int:
    return int(batch.images.item())


def test_batches_come_in_order_and_errors_are_raised() -> None:
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
    unfinished.close()
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]
