"""Table 1, and the false positive rate that it implies for Figure 2."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from hrtem_dask.evaluation.segmentation import Confusion
from hrtem_dask.reproduction.published_scores import PUBLISHED
from hrtem_dask.reproduction.segmentation_comparison import (
    SegmentationRow,
    figure_2,
    implied_false_positive_rate,
    table_1,
)

COUNTS = st.integers(1, 10**6)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_background_follows_from_precision_recall_and_particle_share(tp: int, fp: int, fn: int, tn: int) -> None:
    c = Confusion(tp, fp, fn, tn)
    share = (tp + fn) / (tp + fp + fn + tn)
    assert implied_false_positive_rate(c.precision, c.recall, share) == pytest.approx(fp / (fp + tn))


def test_published_precision_and_recall_imply_the_published_dice() -> None:
    for group in ("all", "CdSe", "Au"):
        paper = PUBLISHED["unet", group]
        p, r = float(paper.precision or "nan"), float(paper.recall or "nan")
        assert 2 * p * r / (p + r) == pytest.approx(float(paper.dice), abs=0.006)


def test_a_network_with_the_published_scores_has_the_same_row() -> None:
    """CdSe: recall 0.62 and precision 0.56, with particles on a tenth of the pixels."""
    tp, fn = 62_000, 38_000
    row = SegmentationRow(network="n", group="CdSe", images=(Confusion(tp, round(tp * (1 / 0.56 - 1)), fn, 851_286),))
    published, measured = (line[2:] for line in figure_2([row]).rows[:2])
    assert published == measured
    assert table_1([row]).rows[2][3:6] == ("0.588", "0.560", "0.620")


def test_dice_is_averaged_over_images_that_are_not_empty() -> None:
    row = SegmentationRow(
        network="n", group="Au", images=(Confusion(1, 1, 1, 0), Confusion(3, 0, 0, 0), Confusion(0, 5, 0, 9))
    )
    assert row.dice_mean == 0.75
    assert row.confusion == Confusion(4, 6, 1, 9)
