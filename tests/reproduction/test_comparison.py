"""What Table 1 implies of Figure 2, and tables and figures of text."""

from xml.etree import ElementTree

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from hrtem_dask.evaluation.region_classes import compare_classes
from hrtem_dask.evaluation.segmentation import Confusion
from hrtem_dask.reproduction.comparison import (
    ForestRow,
    SegmentationRow,
    figure_2,
    forest_scores,
    implied_false_positive_rate,
    table_1,
    to_markdown,
)
from hrtem_dask.reproduction.confusion_figure import Matrix, draw_matrices
from hrtem_dask.reproduction.published_scores import PUBLISHED

COUNTS = st.integers(1, 10**6)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_background_follows_from_precision_recall_and_particle_share(tp: int, fp: int, fn: int, tn: int) -> None:
    c = Confusion(tp, fp, fn, tn)
    share = (tp + fn) / (tp + fp + fn + tn)
    assert implied_false_positive_rate(c.precision, c.recall, share) == pytest.approx(fp / (fp + tn))


def test_the_papers_row_implies_its_own_dice() -> None:
    for group in ("all", "CdSe", "Au"):
        paper = PUBLISHED["unet", group]
        p, r = float(paper.precision or "nan"), float(paper.recall or "nan")
        assert 2 * p * r / (p + r) == pytest.approx(float(paper.dice), abs=0.006)


def test_a_row_that_is_the_papers_stands_beside_the_same_numbers() -> None:
    """CdSe: 0.62 found, precision 0.56, of a tenth of the pixels."""
    tp, fn = 62_000, 38_000
    row = SegmentationRow(
        network="ours", group="CdSe", images=(Confusion(tp, round(tp * (1 / 0.56 - 1)), fn, 851_286),)
    )
    theirs, ours = (line[2:] for line in figure_2([row]).rows[:2])
    assert theirs == ours
    assert table_1([row]).rows[2][3:6] == ("0.588", "0.560", "0.620")


def test_dice_is_averaged_over_images_that_are_not_empty() -> None:
    row = SegmentationRow(
        network="n", group="Au", images=(Confusion(1, 1, 1, 0), Confusion(3, 0, 0, 0), Confusion(0, 5, 0, 9))
    )
    assert row.dice_mean == 0.75
    assert row.confusion == Confusion(4, 6, 1, 9)


def test_the_spread_is_that_of_all_orders() -> None:
    orders = [
        compare_classes(["misoriented"] * 4, ["misoriented"] * k + ["agglomeration"] * (4 - k)) for k in (4, 2, 3)
    ]
    row = ForestRow(name="f", n_training=8, out_of_bag=0.5, confusion=orders[0], others=tuple(orders[1:]))
    cells = {line[0]: line[2] for line in forest_scores([row]).rows}
    assert cells["accuracy"] == f"1.000 (mean 0.750 ± {np.std([1, 0.5, 0.75], ddof=1):.3f})"


def test_markdown_and_svg_are_well_formed() -> None:
    row = SegmentationRow(network="a|b <c>", group="Au", images=(Confusion(1, 2, 3, 4),))
    text = to_markdown([table_1([row])])
    widths = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1
    shares = np.array([[0.25, 0.75], [np.nan, np.nan]])
    drawn = ElementTree.fromstring(draw_matrices([Matrix("a & <b>", ("x", "y_z"), shares)] * 2))
    said = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert said.count("0.25") == said.count("0.75") == 2
    assert said.count("–") == 4
