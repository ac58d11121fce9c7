"""The classifier of regions, trained on tables with known scores."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score

from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.training.search_on_cluster import on_cluster
from hrtem_dask.errors import SettingsError
from hrtem_dask.training.forest.importance import permutation_importance
from hrtem_dask.training.forest.model_card import forest_card
from hrtem_dask.training.forest.presets import preset, score_as_published
from hrtem_dask.training.forest.region_samples import grouped_folds, make_samples
from hrtem_dask.training.forest.search import Candidate, random_candidates, run_here, search_forest
from hrtem_dask.training.forest.train_forest import (
    ForestTraining,
    TrainedForest,
    choose_unsure_threshold,
    train_forest,
)

SMALL = Candidate(n_estimators=60, min_samples_leaf=5)  # enough trees for an out-of-bag prediction of each region
DISTANCE = 2.5  # of the means of two normal distributions of spread 1


def gaussian_table(n: int = 600, *, n_micrographs: int = 40, shares: tuple[float, ...] = (0.5, 0.5)) -> pd.DataFrame:
    """Two classes that the first of two features separates with a known accuracy."""
    rng = np.random.default_rng(1)
    truth = rng.choice(2, n, p=shares)
    return pd.DataFrame(
        {
            "helps": rng.normal(size=n) + DISTANCE * truth,
            "noise": rng.normal(size=n),
            "region_class": np.array(["no_stacking_fault", "stacking_fault"])[truth],
            "micrograph_id": rng.integers(0, n_micrographs, n).astype(str),
            "source": np.where(rng.random(n) < 0.5, "truth", "segmented"),
            "is_clear": rng.random(n) < 0.7,
        }
    )


@pytest.fixture(scope="module")
def trained() -> TrainedForest:
    samples = make_samples(gaussian_table(1500, shares=(0.8, 0.2)))
    return train_forest(samples, ForestTraining(candidate=SMALL, seed=2))


def value(trained: TrainedForest, score: str, subset: str = "all") -> pd.Series:
    rows = trained.scores
    return rows[(rows["subset"] == subset) & (rows["score"] == score)].iloc[0]


def test_the_known_accuracy_is_reached_and_not_exceeded(trained: TrainedForest) -> None:
    best = norm.cdf(DISTANCE / 2)  # 0.894, the highest accuracy of any classifier
    score = value(trained, "balanced_accuracy")
    assert best - 0.05 < score["value"] < best + 0.025
    assert score["low"] < score["value"] < score["high"]
    assert value(trained, "fault_balanced_accuracy")["value"] == pytest.approx(score["value"])
    assert {"all", "clear", "truth", "truth, clear", "segmented", "segmented, clear"} == set(trained.scores["subset"])
    assert trained.importance.index[0] == "helps"
    assert trained.importance.loc["helps", "importance"] > 0.3
    assert abs(trained.importance.loc["noise", "importance"]) < 0.05


def test_probabilities_are_those_of_equally_frequent_classes(trained: TrainedForest) -> None:
    x = np.linspace(-1, 3.5, 40)
    table = pd.DataFrame({"helps": x, "noise": 0.0})
    density = norm.pdf(x), norm.pdf(x - DISTANCE)
    known = density[1] / (density[0] + density[1])
    predicted = trained.classifier.predict(table)["probability_stacking_fault"]
    assert np.abs(predicted - known).mean() < 0.08
    assert trained.calibration_errors["after"] < 0.05


def test_the_card_states_data_command_and_scores(trained: TrainedForest) -> None:
    text = forest_card(trained, command="hrtem-dask train defects t.csv", test=trained.scores)
    assert "1,500 regions of 40 micrographs" in text
    assert "hrtem-dask train defects t.csv" in text
    row = next(line for line in text.splitlines() if line.startswith("| balanced_accuracy"))
    assert f"{value(trained, 'balanced_accuracy')['value']:.3f} [" in row
    assert "not used in training" in text


def test_features_that_identify_the_micrograph_do_not_raise_the_score() -> None:
    # the features identify the micrograph, whose regions all have one class: they are useless for new micrographs
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 10)
    label = rng.permutation(np.repeat([0, 1], 30))[group]
    table = pd.DataFrame(
        {
            "name_1": rng.normal(size=60)[group],
            "name_2": rng.normal(size=60)[group],
            "region_class": np.array(["misoriented", "stacking_fault"])[label],
            "micrograph_id": group.astype(str),
        }
    )
    result = train_forest(make_samples(table), ForestTraining(candidate=SMALL, importance=False))
    assert result.out_of_bag > 0.95  # the out-of-bag accuracy is misleading here
    score = value(result, "balanced_accuracy")
    assert score["value"] < 0.7
    assert score["low"] < 0.5 < score["high"] + 0.1


def test_folds_keep_micrographs_together() -> None:
    samples = make_samples(gaussian_table(300))
    folds = grouped_folds(samples, n_folds=5, seed=0)
    assert sorted(np.concatenate([left_out for _, left_out in folds])) == list(range(300))
    for fit, left_out in folds:
        assert not set(samples.groups[fit]) & set(samples.groups[left_out])


def test_the_search_is_the_same_on_a_cluster() -> None:
    samples = make_samples(gaussian_table(200))
    folds = grouped_folds(samples, n_folds=3, seed=0)
    candidates = random_candidates(3, seed=5, first=dataclasses.replace(SMALL, n_estimators=5))
    assert candidates[:2] == random_candidates(2, seed=5, first=dataclasses.replace(SMALL, n_estimators=5))
    here = search_forest(samples, candidates, folds, seed=1)
    with connect("threads") as client:
        there = search_forest(samples, candidates, folds, seed=1, map_tasks=on_cluster(client))
        importance = permutation_importance(samples, candidates[0], folds, seed=0, map_tasks=on_cluster(client))
        with pytest.raises(ZeroDivisionError):
            list(on_cluster(client)(_fails, [1, 0], samples))
    assert here[0] == there[0]
    np.testing.assert_array_equal(here[1], there[1])
    pd.testing.assert_frame_equal(here[2], there[2])
    again = permutation_importance(samples, candidates[0], folds, seed=0, map_tasks=run_here)
    pd.testing.assert_frame_equal(importance, again)


def _fails(item: int, samples: object) -> float:
    return 1 / item


def test_unsure_is_the_lowest_threshold_that_reaches_the_target() -> None:
    rng = np.random.default_rng(0)
    highest = rng.uniform(0.5, 1, 5000)
    probability = np.stack([highest, 1 - highest], axis=1)
    truth = (rng.random(5000) > highest).astype(int)
    flip = rng.random(5000) < 0.5  # both classes equally often
    probability[flip], truth[flip] = probability[flip, ::-1], 1 - truth[flip]
    rule = ForestTraining(accepted_balanced_accuracy=0.8, min_accepted_share=0.5)
    found = choose_unsure_threshold(probability, truth, rule)
    assert found == pytest.approx(0.6, abs=0.03)  # above a threshold t, a share (1 + t) / 2 is correct
    for threshold, reached in ((found, True), (found - 0.01, False)):
        accepted = probability.max(axis=1) >= threshold
        reached_accuracy = balanced_accuracy_score(truth[accepted], probability[accepted].argmax(axis=1))
        assert (reached_accuracy >= 0.8) == reached
    strict = dataclasses.replace(rule, accepted_balanced_accuracy=0.99)
    assert choose_unsure_threshold(probability, truth, strict) == pytest.approx(0.75, abs=0.02)


def test_truth_of_a_region_is_not_a_feature() -> None:
    table = gaussian_table(60).assign(
        visibility=1.0, true_particle_id=3, area_nm2=2.0, bbox_y0_px=1, probability_x=1.0, empty=np.nan, name="text"
    )
    assert make_samples(table).features == ("helps", "noise")
    mixed = table.assign(solidity=0.9, n_reflections=2.0)
    assert make_samples(mixed).features == ("solidity", "n_reflections")  # only the features that this package measures


def test_regions_without_a_class_or_at_the_border_are_left_out_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    table = gaussian_table(60).assign(touches_edge=[True] * 5 + [False] * 55)
    table.loc[10:12, "region_class"] = None
    assert len(make_samples(table).truth) == 52
    assert caplog.messages == ["8 of 60 regions are left out: they have no class or touch the border"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"region_class": "twin"}, "'twin' is unknown"),
        ({"region_class": "misoriented"}, "two classes"),
        ({"helps": "a", "noise": "b"}, "no feature"),
    ],
)
def test_tables_that_cannot_be_used(change: dict[str, str], match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        make_samples(gaussian_table(60).assign(**change))


def test_a_class_of_one_micrograph_is_refused() -> None:
    table = gaussian_table(60)
    table.loc[table["region_class"] == "stacking_fault", "micrograph_id"] = "one"
    with pytest.raises(SettingsError, match="stacking_fault is in 1 micrograph only"):
        train_forest(make_samples(table))
    with pytest.raises(SettingsError, match="needs the column 'micrograph_id'"):
        make_samples(table.drop(columns="micrograph_id"))


def test_the_papers_preset() -> None:
    training, features = preset("groschner2021")
    table = gaussian_table(80).rename(columns={"helps": "groschner2021_fft_mean"})
    assert features is not None
    table = table.assign(**dict.fromkeys(features[1:], table["noise"]))
    samples = make_samples(table, features=features)
    confusion, out_of_bag = score_as_published(samples)
    assert confusion.counts.sum() == 20
    assert (training.candidate.n_estimators, training.candidate.criterion) == (500, "gini")
    assert 0.6 < out_of_bag < 1
    with pytest.raises(SettingsError, match="unknown"):
        preset("other")
