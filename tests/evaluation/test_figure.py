"""The figure of an evaluation."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd

from hrtem_dask.evaluation import curve
from hrtem_dask.evaluation.figure import draw_scores


def test_the_figure_shows_every_micrograph_that_is_not_empty() -> None:
    rows = pd.DataFrame({"method": "a <b>", "analysed": True, "dice": [0.9, 0.7, np.nan]})
    scores = {"recall_pooled": 0.8, "precision_pooled": 0.9, "mask_recall_pooled": 0.7, "mask_precision_pooled": 0.6}
    summary = pd.DataFrame({"method": "a <b>", "group": "all", "statistic": list(scores), "value": scores.values()})
    root = ET.fromstring(draw_scores(rows, summary, curve(np.ones((2, 101))).assign(method="a <b>")))
    svg = "{http://www.w3.org/2000/svg}"
    radii = [circle.get("r") for circle in root.iter(f"{svg}circle")]
    assert radii.count("2") == 2
    assert radii.count("4.5") == 1
    assert len(list(root.iter(f"{svg}polyline"))) == 1
    assert "a <b>" in [text.text for text in root.iter(f"{svg}text")]
