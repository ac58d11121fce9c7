"""The forest gives scikit-learn's probabilities, whatever the trees and values."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from hrtem_dask import backend
from hrtem_dask.defects import Forest
from hrtem_dask.errors import ModelError

KINDS: list[Any] = [RandomForestClassifier, ExtraTreesClassifier]


def samples(seed: int, n: int, missing: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4)) * [1, 1e-3, 1e6, 1]
    features[:, 3] = rng.integers(0, 3, n)  # many equal values: thresholds between, and on, them
    truth = rng.integers(0, 3, n) + (features[:, 0] > 0)
    features[rng.random(features.shape) < missing] = np.nan
    return features, truth


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(KINDS),
    missing=st.sampled_from([0.0, 0.2]),
    max_depth=st.sampled_from([None, 1, 4]),
    max_leaf_nodes=st.sampled_from([None, 7]),
    balanced=st.booleans(),
)
def test_probabilities_are_those_of_scikit_learn(
    seed: int, kind: Any, missing: float, max_depth: int | None, max_leaf_nodes: int | None, balanced: bool
) -> None:
    features, truth = samples(seed, 80, missing)
    theirs = kind(
        n_estimators=5, max_depth=max_depth, max_leaf_nodes=max_leaf_nodes, random_state=seed,
        class_weight="balanced" if balanced else None,
    ).fit(features, truth)  # fmt: skip
    ours = Forest.from_sklearn(theirs)
    other, _ = samples(seed + 1, 60, 0.3)  # missing values also where training had none
    seen = np.concatenate([features, other])
    np.testing.assert_allclose(ours.predict_probability(seen), theirs.predict_proba(seen), atol=1e-12)


def test_values_at_a_threshold_go_where_scikit_learn_sends_them() -> None:
    # neighbours in float32, whose middle is no float32; and float64 values that only the rounding to float32 parts
    # (scikit-learn parts nothing that is nearer than 1e-7)
    below, above = np.float32(10), np.nextafter(np.float32(10), np.float32(11))
    features = np.repeat([[below], [above]], 20, axis=0).astype(float)
    theirs = RandomForestClassifier(3, random_state=0).fit(features, np.repeat([0, 1], 20))
    middle = (float(below) + float(above)) / 2
    seen = np.array([[float(below)], [float(above)], [middle], [np.nextafter(middle, 0)], [np.nextafter(middle, 1)]])
    ours = Forest.from_sklearn(theirs).predict_probability(seen)
    np.testing.assert_array_equal(ours, theirs.predict_proba(seen))
    assert ours[0, 0] > 0.5 > ours[1, 0]


def test_many_samples_go_through_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    features, truth = samples(0, 50, 0.1)
    ours = Forest.from_sklearn(RandomForestClassifier(4, random_state=0).fit(features, truth))
    whole = ours.predict_probability(features)
    monkeypatch.setattr("hrtem_dask.defects.forest._MAX_ENTRIES", 4 * 7)
    np.testing.assert_array_equal(ours.predict_probability(features), whole)
    assert ours.predict_probability(features[:0]).shape == (0, whole.shape[1])


def test_what_does_not_fit_is_refused() -> None:
    features, truth = samples(0, 30, 0)
    ours = Forest.from_sklearn(RandomForestClassifier(2, random_state=0).fit(features, truth))
    with pytest.raises(ValueError, match=r"\(n, 4\), got \(30, 3\)"):
        ours.predict_probability(features[:, :3])
    two = RandomForestClassifier(2, random_state=0).fit(features, np.stack([truth, truth], axis=1))
    with pytest.raises(ModelError, match="one output"):
        Forest.from_sklearn(two)


@pytest.mark.gpu_arrays
def test_the_same_on_a_gpu() -> None:
    features, truth = samples(0, 500, 0.1)
    ours = Forest.from_sklearn(RandomForestClassifier(20, random_state=0).fit(features, truth))
    device = ours.predict_probability(backend.to_device(features, "cuda"))
    assert type(device).__module__.startswith("cupy")
    np.testing.assert_allclose(backend.to_numpy(device), ours.predict_probability(features), atol=1e-12)
