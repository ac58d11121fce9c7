"""Whether a mask has holes, against the pieces of its background."""

import numpy as np
import scipy.ndimage
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hrtem_dask.particles.holes import _has_holes


@settings(max_examples=300, deadline=None)
@given(mask=arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans()))
@example(mask=np.ones((3, 3), bool))
@example(mask=np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool))
@example(mask=np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]], bool))  # closed at a corner
def test_holes_are_background_that_does_not_reach_the_border(mask: np.ndarray) -> None:
    pieces, n = scipy.ndimage.label(~mask)  # 4-connected
    at_border = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    assert _has_holes(mask) == bool(set(range(1, n + 1)) - set(at_border.tolist()))
