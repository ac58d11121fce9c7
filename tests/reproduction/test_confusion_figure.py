"""Confusion matrices drawn as SVG."""

from xml.etree import ElementTree

import numpy as np

from hrtem_dask.reproduction.confusion_figure import Matrix, draw_matrices


def test_the_figure_is_well_formed_and_shows_the_shares() -> None:
    shares = np.array([[0.25, 0.75], [np.nan, np.nan]])
    drawn = ElementTree.fromstring(draw_matrices([Matrix("a & <b>", ("x", "y_z"), shares)] * 2))
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("0.25") == texts.count("0.75") == 2
    assert texts.count("–") == 4
