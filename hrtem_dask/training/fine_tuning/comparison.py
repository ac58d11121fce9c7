"""Before and after fine-tuning: mean change with its interval, and in plain words what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import scipy.stats

from hrtem_dask.segmentation.scales.geometry import NETWORK_DIAMETER_PX
from hrtem_dask.segmentation.weights import ScaleRegime
from hrtem_dask.training.fine_tuning.inherited_calibration import InheritedCalibration

__all__ = ["Change", "mean_change", "plain_warnings", "scale_warnings"]

OTHER_SCALE = 1.9
"""A scale that differs from that of the training by this factor is another one."""
WORSE = 0.05
"""A mean loss of Dice coefficient on other images from which a warning is given even if its interval contains 0."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Mean Dice coefficient before and after fine-tuning, over micrographs with particles."""

    n: int
    """Independent micrographs."""
    before: float
    """Mean before; NaN without any micrograph."""
    after: float
    """Mean after."""
    change: float
    """Mean of after minus before."""
    low: float
    """Lower end of the 95 % interval of the mean change; NaN with fewer than two micrographs."""
    high: float
    """Upper end."""

    def to_dict(self) -> dict[str, float | None]:
        """Return the fields for the header of the model file.

        Returns
        -------
        dict
            None where a value is NaN.
        """
        return {k: None if np.isnan(v) else round(v, 5) for k, v in asdict(self).items()}


def mean_change(table: pd.DataFrame) -> Change:
    """Compare the Dice coefficients of micrographs before and after.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``group``, ``before`` and ``after``; micrographs without particles have NaN and are left out.

    Returns
    -------
    Change
        Images of a group are averaged first, because they are not independent. The interval is that of Student's t for
        paired differences, which is defined for as few as two micrographs; it assumes that they are a random sample of
        those to come.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"group": ["a", "b"], "before": [0.8, 0.6], "after": [0.9, 0.8]})
    >>> change = mean_change(table)
    >>> round(change.change, 3), round(change.low, 3), round(change.high, 3)  # 0.15 ± 12.7 × 0.0707 / √2
    (0.15, -0.485, 0.785)
    """
    means = table.dropna(subset=["before", "after"]).groupby("group")[["before", "after"]].mean()
    differences = (means["after"] - means["before"]).to_numpy(float)
    n = len(means)
    nan = float("nan")
    if not n:
        return Change(n=0, before=nan, after=nan, change=nan, low=nan, high=nan)
    half = nan if n < 2 else float(scipy.stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n))
    mean = float(differences.mean())
    return Change(
        n=n,
        before=float(means["before"].mean()),
        after=float(means["after"].mean()),
        change=mean,
        low=mean - half,
        high=mean + half,
    )


def plain_warnings(
    held_out: Change, others: Mapping[str, Change], calibrations: Mapping[ScaleRegime, InheritedCalibration]
) -> list[str]:
    """Say what the numbers mean for the use of the fine-tuned network.

    Parameters
    ----------
    held_out : Change
        On held-out micrographs of the fine-tuning.
    others : mapping of str to Change
        On images of another kind, by the name of the set.
    calibrations : mapping of str to InheritedCalibration
        Predictions of the Dice coefficient, by regime.

    Returns
    -------
    list of str
        One sentence or two each; empty if there is nothing to warn of.
    """
    warnings = []
    if held_out.n and held_out.high < 0:
        warnings.append(
            f"on your held-out micrographs the network became worse by {-held_out.change:.3f}: keep the initial model"
        )
    elif held_out.n and not held_out.low > 0:
        interval = (
            "one micrograph has no interval"
            if np.isnan(held_out.low)
            else f"95 % interval {held_out.low:+.3f} to {held_out.high:+.3f}"
        )
        warnings.append(
            f"the change of {held_out.change:+.3f} on your held-out micrographs may be chance ({interval}): these "
            "micrographs do not show that fine-tuning helps; label more, or keep the initial model"
        )
    for name, change in others.items():
        if change.n and (change.high < 0 or change.change < -WORSE):
            warnings.append(
                f"images of another kind became worse: {name}, Dice {change.before:.3f} to {change.after:.3f}; use the "
                "new model for images like yours alone"
            )
    for regime, one in calibrations.items():
        if one.n_images and not one.is_applicable:
            warnings.append(
                f"predicted_dice ({regime} regime) is wrong by {one.mae:.2f} on average on your held-out micrographs: "
                "do not use it with the new model"
            )
    return warnings


def scale_warnings(held_out: pd.DataFrame) -> list[str]:
    """Say if fine-tuned networks look at micrographs at another scale than that of their training.

    Parameters
    ----------
    held_out : pandas.DataFrame
        Columns ``training_scale``, NaN where the pixel size decides, and ``scale_after``.

    Returns
    -------
    list of str
        One sentence, or none.
    """
    searched = held_out[held_out["training_scale"].notna()]
    wanted = searched["training_scale"].to_numpy(float)
    ratio = np.abs(np.log(searched["scale_after"].to_numpy(float) / wanted))
    n_other = int((ratio > np.log(OTHER_SCALE)).sum())
    if not n_other:
        return []
    diameters = NETWORK_DIAMETER_PX / wanted
    return [
        f"{n_other} of {len(searched)} held-out micrographs without a usable pixel size are looked at by the new model "
        f"at another scale than it was trained at: state the size of the particles in runs, --diameter-px "
        f"{np.median(diameters):.0f} (from {diameters.min():.0f} to {diameters.max():.0f} in these micrographs)"
    ]
