"""Tables of text as Markdown."""

from hrtem_dask.evaluation.segmentation import Confusion
from hrtem_dask.reproduction.segmentation_comparison import SegmentationRow, table_1
from hrtem_dask.reproduction.text_table import to_markdown


def test_markdown_has_as_many_cells_in_each_row() -> None:
    row = SegmentationRow(network="a|b <c>", group="Au", images=(Confusion(1, 2, 3, 4),))
    text = to_markdown([table_1([row])])
    widths = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1
