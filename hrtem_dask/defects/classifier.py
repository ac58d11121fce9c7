"""The classifier of regions: a forest, the calibration of its probabilities, and a threshold for ``unsure``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hrtem_dask.defects.forest import Forest
from hrtem_dask.defects.probability_calibration import Calibration
from hrtem_dask.errors import ModelError

__all__ = ["UNSURE", "DefectClassifier", "feature_matrix"]

UNSURE = "unsure"


@dataclass(frozen=True, eq=False)
class DefectClassifier:
    """Classifies regions by their features."""

    features: tuple[str, ...]
    """Names of the features, in the order of the forest."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the forest."""
    forest: Forest
    """Turns features into probabilities."""
    calibration: Calibration
    """Turns the forest's probabilities into calibrated ones."""
    unsure_threshold: float = 0.0
    """A region whose most probable class is less probable than this is ``unsure``; 0 to 1."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """1st and 99th percentile of each feature in training."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Training data, settings, scores, code version."""
    model_hash: str | None = None
    """Content hash of the file; None for a classifier that was not read from a file."""

    def __post_init__(self) -> None:
        """Refuse parts whose sizes do not agree."""
        n_classes = self.forest.values.shape[1]
        if len(self.features) != self.forest.n_features or len(self.classes) != n_classes:
            raise ModelError(
                f"{len(self.features)} features and {len(self.classes)} classes are named, the forest has "
                f"{self.forest.n_features} and {n_classes}"
            )
        if self.calibration.matrix.shape != (n_classes, n_classes) or self.calibration.offset.shape != (n_classes,):
            raise ModelError(
                f"the calibration is not for {n_classes} classes: its shape is {self.calibration.matrix.shape}"
            )
        if not 0 <= self.unsure_threshold <= 1:
            raise ModelError(f"unsure_threshold is a probability, 0 to 1, got {self.unsure_threshold}")

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Classify regions.

        Parameters
        ----------
        table : pandas.DataFrame
            One row per region, with the columns `features`; NaN and null are missing values. Other columns are ignored.

        Returns
        -------
        pandas.DataFrame
            The same index, with the columns ``probability_<class>`` (float64, calibrated, with sum 1) and
            ``region_class``, one of `classes` or ``unsure``.

        Raises
        ------
        ModelError
            If a feature is not in the table.

        Examples
        --------
        >>> import numpy as np
        >>> import pandas as pd
        >>> from sklearn.ensemble import RandomForestClassifier
        >>> from hrtem_dask.defects import Calibration, DefectClassifier, Forest
        >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
        >>> fitted = RandomForestClassifier(n_estimators=5, random_state=0).fit(x, y)
        >>> names = ("no_stacking_fault", "stacking_fault")
        >>> classifier = DefectClassifier(("area_nm2",), names, Forest.from_sklearn(fitted), Calibration.identity(2))
        >>> classifier.predict(pd.DataFrame({"area_nm2": [0.1, 2.9]}))["region_class"].tolist()
        ['no_stacking_fault', 'stacking_fault']
        """
        probability = self.predict_probability(feature_matrix(table, self.features))
        columns = {f"probability_{name}": probability[:, i] for i, name in enumerate(self.classes)}
        names = pd.array(self.likeliest(probability), dtype="string")
        return pd.DataFrame({**columns, "region_class": names}, index=table.index)

    def likeliest(self, probability: np.ndarray) -> np.ndarray:
        """Return the most probable class of each region.

        Parameters
        ----------
        probability : numpy.ndarray
            Shape (region, class), from `predict_probability`.

        Returns
        -------
        numpy.ndarray of str
            Shape (region,): one of `classes`, or ``unsure``.
        """
        best = probability.argmax(axis=1)
        is_unsure = probability[np.arange(len(best)), best] < self.unsure_threshold
        return np.where(is_unsure, UNSURE, np.array(self.classes)[best])

    def predict_probability(self, features: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities.

        Parameters
        ----------
        features : numpy.ndarray or cupy.ndarray
            Shape (region, feature); NaN is a missing value.

        Returns
        -------
        numpy.ndarray or cupy.ndarray
            Shape (region, class), float64, on the same device as `features`.

        Raises
        ------
        ValueError
            If the number of features differs from the forest's.
        """
        probability: np.ndarray = self.calibration.apply(self.forest.predict_probability(features))
        return probability

    def outside_training(self, table: pd.DataFrame) -> pd.Series:
        """Count the features of each region that lie outside their range in training.

        Parameters
        ----------
        table : pandas.DataFrame
            One row per region, see `predict`.

        Returns
        -------
        pandas.Series
            Integers with the same index. In training, about 2 % of a region's features lie outside their range.

        Raises
        ------
        ModelError
            If a feature is not in the table.
        """
        values = feature_matrix(table, self.features)
        low, high = np.array([self.ranges.get(name, (-np.inf, np.inf)) for name in self.features]).T
        return pd.Series(((values < low) | (values > high)).sum(axis=1), index=table.index, name="n_outside_training")


def feature_matrix(table: pd.DataFrame | Mapping[str, np.ndarray], features: tuple[str, ...]) -> np.ndarray:
    """Return features in the form that the forest takes.

    Parameters
    ----------
    table : pandas.DataFrame, or mapping of str to numpy.ndarray of float64
        One row per region; an array per feature is the same in a twentieth of the time.
    features : tuple of str
        Columns of the table, in the order of the result.

    Returns
    -------
    numpy.ndarray of float32
        Shape (region, feature); NaN where a value is missing or beyond float32.

    Raises
    ------
    ModelError
        If a feature is not in the table, or is not a number.
    """
    missing = [name for name in features if name not in table]
    if missing:
        raise ModelError(
            f"the classifier needs the feature {missing[0]!r}, which is not in the table ({len(missing)} of "
            f"{len(features)} are missing): measure regions with the version of this package that it was trained with"
        )
    try:
        if isinstance(table, pd.DataFrame):
            values = table[list(features)].to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            values = np.stack([np.asarray(table[name], np.float64) for name in features], axis=1)
    except (TypeError, ValueError) as error:
        raise ModelError(f"a feature is not a number: {error}") from error
    return np.where(np.abs(values) <= np.finfo(np.float32).max, values, np.nan).astype(np.float32)
