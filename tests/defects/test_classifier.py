"""Classifiers on disk and on tables."""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.ensemble import RandomForestClassifier

from hrtem_dask.defects import Calibration, DefectClassifier, Forest, load_classifier, save_classifier
from hrtem_dask.errors import ModelError


def table(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    values.loc[::7, "b"] = np.nan
    return values


@pytest.fixture(scope="module")
def classifier() -> DefectClassifier:
    seen = table()
    truth = (seen["a"] > 0).astype(int) + (seen["b"].fillna(0) > 0.5)
    forest = RandomForestClassifier(20, random_state=0, min_samples_leaf=3).fit(seen.to_numpy(), truth)
    return DefectClassifier(
        features=("a", "b", "c"),
        classes=("x", "y", "z"),
        forest=Forest.from_sklearn(forest),
        calibration=Calibration("vector", np.diag([1.2, 0.9, 1.0]), np.array([0.1, 0, -0.2])),
        unsure_threshold=0.6,
        ranges={"a": (-2.0, 2.0)},
        metadata={"note": "simulated"},
    )


def test_read_what_was_written(classifier: DefectClassifier, tmp_path: Path) -> None:
    save_classifier(classifier, tmp_path / "m.safetensors")
    again = load_classifier(tmp_path / "m.safetensors")
    assert (again.features, again.classes, again.unsure_threshold) == (("a", "b", "c"), ("x", "y", "z"), 0.6)
    assert (again.ranges, again.metadata) == ({"a": (-2.0, 2.0)}, {"note": "simulated"})
    assert again.forest.depth == classifier.forest.depth
    seen = table(1000).to_numpy()
    np.testing.assert_allclose(again.predict_probability(seen), classifier.predict_probability(seen), atol=1e-6)


def test_prediction_goes_by_names_and_keeps_the_index(classifier: DefectClassifier) -> None:
    seen = table().set_index(pd.Index(np.arange(300) + 7, name="region_id"))
    predicted = classifier.predict(seen)
    shuffled = classifier.predict(seen[["c", "b", "a"]].assign(other="text"))
    pd.testing.assert_frame_equal(shuffled, predicted)
    assert predicted.index.equals(seen.index)
    likeliest = predicted[["probability_x", "probability_y", "probability_z"]]
    np.testing.assert_allclose(likeliest.sum(axis=1), 1)
    unsure = likeliest.max(axis=1) < 0.6
    assert unsure.any()
    assert ((predicted["region_class"] == "unsure") == unsure).all()
    named = likeliest.idxmax(axis=1).str.removeprefix("probability_")
    assert (predicted["region_class"][~unsure] == named[~unsure]).all()
    assert len(classifier.predict(seen.iloc[:0])) == 0


def test_null_and_infinite_are_missing(classifier: DefectClassifier) -> None:
    null = pd.DataFrame({"a": pd.array([pd.NA, 0.5], dtype="Float64"), "b": [np.inf, -1e300], "c": [0.0, 0.0]})
    missing = pd.DataFrame({"a": [np.nan, 0.5], "b": [np.nan, np.nan], "c": [0.0, 0.0]})
    pd.testing.assert_frame_equal(classifier.predict(null), classifier.predict(missing))


def test_regions_unlike_training_are_counted(classifier: DefectClassifier) -> None:
    seen = pd.DataFrame({"a": [0.0, 3.0, np.nan], "b": [99.0] * 3, "c": [0.0] * 3})
    assert classifier.outside_training(seen).tolist() == [0, 1, 0]


def test_a_feature_that_lacks_is_named(classifier: DefectClassifier) -> None:
    with pytest.raises(ModelError, match=r"needs the feature 'b'.*1 of 3"):
        classifier.predict(table()[["a", "c"]])
    with pytest.raises(ModelError, match="not a number"):
        classifier.predict(table().assign(b="text"))


def test_files_that_are_none_are_refused(classifier: DefectClassifier, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no model")
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        load_classifier(tmp_path / "text.safetensors")
    with pytest.raises(ModelError, match="cannot be read"):
        load_classifier(tmp_path / "absent.safetensors")
    save_file({"w": np.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="not a classifier"):
        load_classifier(tmp_path / "other.safetensors")


@pytest.mark.parametrize("damage", ["feature", "right_step", "leaf_row", "values", "calibration_offset"])
def test_damaged_files_are_refused(classifier: DefectClassifier, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.safetensors"
    save_classifier(classifier, path)
    with safe_open(path, framework="numpy") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    broken = tensors[damage].copy()
    if damage == "calibration_offset":
        broken = broken[:-1].copy()
    else:
        broken.flat[0] = np.nan if damage == "values" else np.iinfo(broken.dtype).max
    save_file({**tensors, damage: broken}, path, metadata=header)
    with pytest.raises(ModelError, match=r"damaged|is not for"):
        load_classifier(path)


def chain(n_nodes: int) -> dict[str, np.ndarray]:
    """Return the nodes of one tree that is a chain of inner nodes, each with a leaf beside the next."""
    inner = np.arange(n_nodes) % 2 == 0
    inner[-1] = False
    n_inner = int(inner.sum())
    return {
        "start": np.zeros(1, np.int32), "feature": np.zeros(n_inner, np.uint8), "is_inner": np.packbits(inner),
        "n_nodes": np.array([n_nodes]), "threshold": np.zeros(n_inner, np.float32),
        "right_step": np.full(n_inner, 2, np.uint8), "missing_goes_left": np.packbits(np.zeros(n_inner, bool)),
        "leaf_row": np.zeros(n_nodes - n_inner, np.uint8), "values": np.ones((1, 3), np.float32) / 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"n_nodes": np.array([10**13])}, "states 10000000000000 nodes, and holds at most"),
        ({"n_nodes": np.array([-5])}, "states -5 nodes"),
        ({"n_nodes": np.array([np.inf])}, "damaged"),
        (chain(1_000_001), "deeper than 10000"),
        # each node leads twice to the next one: a walk along all paths would double at every step
        ({**chain(2001), "right_step": np.ones(1000, np.uint8), "is_inner": np.packbits(np.arange(2001) < 1000)},
         "not trees"),
    ],
)  # fmt: skip
def test_headers_of_forests_that_ask_for_much(
    classifier: DefectClassifier, tmp_path: Path, parts: dict[str, np.ndarray], says: str
) -> None:
    path = tmp_path / "m.safetensors"
    save_classifier(classifier, path)
    with safe_open(path, framework="numpy") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file({**tensors, **parts}, path, metadata=header)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(ModelError, match=says):
        load_classifier(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - began < 10
    assert peak < 100 * 2**20


def test_a_chain_within_the_limit_is_read(classifier: DefectClassifier, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_classifier(classifier, path)
    with safe_open(path, framework="numpy") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file({**tensors, **chain(2001)}, path, metadata=header)
    assert load_classifier(path).forest.depth == 1000
