"""Numbers of figures and tables."""

import re

from hrtem_dask.report.numbering import number_figures_and_tables

FIGURE = '<figure class="plot"><div></div>\n<figcaption>Sizes.</figcaption></figure>'


def test_numbers_follow_the_page_and_captions_are_kept() -> None:
    page = (
        f"<h2>A <b>bold</b> part</h2><table></table>{FIGURE}<h3>Next</h3>"
        f'<table class="x"><tr></tr></table><table><caption>own</caption></table>{FIGURE}'
        "<figure><figcaption>a thumbnail</figcaption></figure>"
    )
    numbered = number_figures_and_tables(page)
    assert re.findall(r"<caption>(.*?)</caption>", numbered) == ["Table 1. A bold part", "Table 2. Next", "own"]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", numbered) == [
        "<b>Figure 1.</b> Sizes.", "<b>Figure 2.</b> Sizes.", "a thumbnail"
    ]  # fmt: skip
    assert re.sub(r"<caption>Table.*?</caption>|<b>Figure \d.</b> ", "", numbered) == page
