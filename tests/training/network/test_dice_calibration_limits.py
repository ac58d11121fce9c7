"""What no guess of the Dice coefficient can be fitted on is said, not tried."""

import pandas as pd
import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.training.network.dice_calibration import fit_dice_model


def test_empty_masks_alone_are_too_little() -> None:
    row = {"mask_confidence": 0.9, "mask_fraction": 0.0, "outline_entropy": 0.0, "mask_agreement": 1.0,
           "pixel_size_nm": 0.03, "sharpness": 0.1, "mass_contrast": 0.1, "peak_snr": 9.0, "dice": 1.0}  # fmt: skip
    judged = pd.DataFrame([row] * 30)
    with pytest.raises(SettingsError, match="got 30, 0 and 30"):
        fit_dice_model(judged, familiar=judged)
