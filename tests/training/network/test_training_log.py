"""The log and its curves against the rows that they show."""

import csv
import io
import xml.etree.ElementTree as ET

import pytest

from hrtem_dask.training.network.training_log import COLUMNS, curves_svg, log_csv

ROWS = [
    dict.fromkeys(COLUMNS, 0.25) | {"epoch": 1.0, "training_loss": 2.0, "dice_mean": 0.5},
    dict.fromkeys(COLUMNS, 0.75) | {"epoch": 2.0, "training_loss": 1.0, "recall": float("nan")},
]


def test_csv_holds_the_rows() -> None:
    first, second = csv.DictReader(io.StringIO(log_csv(ROWS)))
    assert (first["epoch"], first["training_loss"], first["dice_mean"]) == ("1", "2", "0.5")
    assert second["recall"] == ""
    assert tuple(first) == COLUMNS


def test_curves_are_where_the_numbers_are() -> None:
    picture = ET.fromstring(curves_svg(ROWS, title="a < b"))
    lines = picture.findall("{*}polyline")
    assert len(lines) == 6
    points = [[tuple(map(float, p.split(","))) for p in line.attrib["points"].split()] for line in lines]
    (x1, y1), (x2, y2) = points[0]  # training loss: falls from 2, the top, to 1
    assert x2 > x1
    bottom, top = 234.0, 66.0
    assert (y1, y2) == (pytest.approx(top), pytest.approx((top + bottom) / 2))
    assert len(points[5]) == 1  # one value of the recall is NaN
    assert "a < b" in [t.text for t in picture.findall("{*}text")]
    assert ET.fromstring(curves_svg([])).tag.endswith("svg")
