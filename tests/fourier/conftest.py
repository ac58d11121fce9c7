"""A micrograph of a crystal with known faults."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest


@pytest.fixture
def cdte(data: Path) -> np.ndarray:
    """Two faults, upright and inclined, that meet in the middle, a twin at the lower left; the right is perfect."""
    return np.asarray(iio.imread(data / "cdte_stacking_fault" / "CdTe_micrograph_768.png"), np.float32)
