"""Many micrographs summarized: pooled, averaged, grouped, empty ones apart."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.evaluation import STATISTICS, MicrographScores, curve, score_micrograph, summarize_scores
from hrtem_dask.reproduction.published_scores import PUBLISHED


def field(*sides: int, shape: tuple[int, int] = (60, 300)) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    for number, side in enumerate(sides):
        if side:
            labels[10 : 10 + side, 10 + 50 * number : 10 + 50 * number + side] = number + 1
    return labels


def tables(scores: dict[str, MicrographScores], **columns: list[object]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = pd.DataFrame([s.row | {"truth_id": name} for name, s in scores.items()]).assign(**columns)
    return rows, pd.concat([s.objects.assign(truth_id=name) for name, s in scores.items()], ignore_index=True)


def values(summary: pd.DataFrame, group: str = "all") -> dict[str, float]:
    return dict(summary[summary["group"] == group].set_index("statistic")["value"])


@pytest.fixture
def three() -> dict[str, MicrographScores]:
    """One found well, one with a particle missed and grown ones, one empty on which something is found."""
    return {
        "a": score_micrograph(field(20, 20), field(20, 20), pixel_size_nm=(0.1, 0.1), mask=field(20) > 0),
        "b": score_micrograph(field(22, 22, 0, 11), field(20, 20, 20), pixel_size_nm=(0.2, 0.2)),
        "c": score_micrograph(field(15), field(), pixel_size_nm=(0.1, 0.1)),
    }


def test_by_hand(three: dict[str, MicrographScores]) -> None:
    found = values(summarize_scores(*tables(three), n_resamples=20))
    assert (found["n_micrographs"], found["n_empty"]) == (3, 1)
    dice_b = 2 * 800 / (2 * 800 + 2 * 84 + 121 + 400)
    assert found["dice_mean"] == pytest.approx((1 + dice_b) / 2)
    assert found["dice_pooled"] == pytest.approx(2 * 1600 / (2 * 1600 + 2 * 84 + 121 + 400))
    assert found["mask_dice_pooled"] == pytest.approx(800 / 1200)  # of the one that has a mask
    assert found["object_precision"] == pytest.approx(4 / 5)
    assert found["object_recall"] == pytest.approx(4 / 5)
    assert found["count_bias_pooled"] == pytest.approx(0)
    assert found["size_bias_mean"] == pytest.approx(0.05)
    assert found["area_bias_median"] == pytest.approx((1.21 - 1) / 2)
    # in nm: true 2, 2, 4, 4, 4; found 2, 2, 4.4, 4.4, 2.2
    assert found["population_size_bias"] == pytest.approx(2.2 / 4 - 1)
    assert found["empty_clean_share"] == 0
    assert found["empty_false_area_nm2"] == pytest.approx(2.25)
    assert set(found) == set(STATISTICS)


def test_a_missing_pixel_size_leaves_pixels(three: dict[str, MicrographScores]) -> None:
    three["b"] = score_micrograph(field(22, 22, 0, 11), field(20, 20, 20), pixel_size_nm=None)
    found = values(summarize_scores(*tables(three), n_resamples=5))
    assert found["population_size_bias"] == pytest.approx(0)


def test_groups_are_their_micrographs_alone(three: dict[str, MicrographScores]) -> None:
    rows, objects = tables(three, material=["Au", "CdSe", None], dose=[1.0, 2.0, 2.0])
    whole = summarize_scores(rows, objects, groups=["material", "dose"], n_resamples=5)
    assert list(whole[["by", "group"]].drop_duplicates().itertuples(index=False, name=None)) == [
        ("all", "all"), ("material", "Au"), ("material", "CdSe"), ("dose", "1"), ("dose", "2"),
    ]  # fmt: skip
    alone = summarize_scores(rows.iloc[[1]], objects[objects["truth_id"] == "b"], n_resamples=5)
    np.testing.assert_equal(values(whole, "CdSe"), values(alone))
    shares = whole["statistic"].str.endswith("_share")
    assert whole.loc[~shares, "low"].isna().all()  # of fewer than five no bootstrap can say anything


def test_no_micrograph_at_all(three: dict[str, MicrographScores]) -> None:
    rows, objects = tables(three)
    found = values(summarize_scores(rows.iloc[:0], objects, n_resamples=2))
    assert (found.pop("n_micrographs"), found.pop("n_empty")) == (0, 0)
    assert all(np.isnan(v) for v in found.values())


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_neither_order_nor_names_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = {
        str(i): score_micrograph(
            field(*rng.integers(0, 30, 4)), field(*rng.integers(0, 30, 4)), pixel_size_nm=(0.1, 0.1)
        )
        for i in range(6)
    }
    one = values(summarize_scores(*tables(scores), n_resamples=2))
    order = rng.permutation(list(scores))
    two = values(summarize_scores(*tables({f"x{name}": scores[name] for name in order}), n_resamples=2))
    for name in STATISTICS:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_intervals_hold_the_value_and_repeat(rng: np.random.Generator) -> None:
    scores = {
        str(i): score_micrograph(field(*(20 + rng.integers(-4, 5, 4))), field(20, 20, 20, 20), pixel_size_nm=None)
        for i in range(12)
    }
    summary = summarize_scores(*tables(scores), seed=3)
    known = summary.dropna(subset=["low"])
    assert {"dice_mean", "dice_pooled", "object_f1", "size_bias_mean", "population_size_bias"} <= set(
        known["statistic"]
    )
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()
    dice = known.set_index("statistic").loc["dice_mean"]
    assert dice["high"] - dice["low"] > 0.005
    pd.testing.assert_frame_equal(summary, summarize_scores(*tables(scores), seed=3))
    assert not summary.equals(summarize_scores(*tables(scores), seed=4))


def test_one_micrograph_gives_no_interval_however_many_are_beside_it() -> None:
    scores = {str(i): score_micrograph(field(), field(20, 20), pixel_size_nm=None) for i in range(6)}
    scores["x"] = score_micrograph(field(22, 21), field(20, 20), pixel_size_nm=None)
    table = summarize_scores(*tables(scores), n_resamples=200).set_index("statistic")
    assert table.loc["size_bias_mean", "value"] == pytest.approx(0.075)
    assert table.loc[["size_bias_mean", "size_bias_median", "population_size_bias"], "low"].isna().all()
    assert table.loc["dice_mean", "low"] == 0


def test_thresholds_are_pooled(rng: np.random.Generator) -> None:
    truth = [field(20, 30), field(25)]
    guesses = [np.clip(0.5 * (t > 0) + rng.normal(0.3, 0.15, t.shape), 0, 1).astype(np.float32) for t in truth]
    scores = {
        str(i): score_micrograph(t, t, pixel_size_nm=None, probability=p)
        for i, (t, p) in enumerate(zip(truth, guesses, strict=True))
    }
    counts = {name: s.threshold_counts for name, s in scores.items() if s.threshold_counts is not None}
    found = values(summarize_scores(*tables(scores), counts, n_resamples=2))
    table = curve(counts["0"] + counts["1"])
    assert found["best_dice_pooled"] == pytest.approx(table["dice"].max())
    assert found["best_threshold"] == pytest.approx(table.loc[table["dice"].idxmax(), "threshold"])
    assert 0.5 < found["average_precision"] < 1


def test_the_error_of_a_predicted_dice(three: dict[str, MicrographScores]) -> None:
    rows, objects = tables(three, predicted_dice=[0.9, np.nan, 0.2])
    assert values(summarize_scores(rows, objects, n_resamples=2))["predicted_dice_error"] == pytest.approx(0.1)


def test_the_papers_rows_hold_together() -> None:
    rows = [p for p in PUBLISHED.values() if p.precision and p.recall]
    assert len(rows) == 3
    for row in rows:
        p, r = float(row.precision or "nan"), float(row.recall or "nan")
        # 0.95 and 0.84 give 0.892: to the printed digits, and 0.8 is printed with one
        assert 2 * p * r / (p + r) == pytest.approx(float(row.dice), abs=0.005)
