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
    captions = [re.sub(r"<[^>]+>", "", text) for text in re.findall(r"<caption>(.*?)</caption>", numbered)]
    assert captions == ["Table 1. A bold part", "Table 2. Next", "own"]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", numbered) == [
        "<b>Figure 1.</b> Sizes.", "<b>Figure 2.</b> Sizes.", "a thumbnail"
    ]  # fmt: skip
    assert re.sub(r"<caption>Table.*?</caption>|<b>Figure \d.</b> ", "", numbered) == page


def test_a_title_is_not_shown_twice_and_long_tables_may_break() -> None:
    rows = "<tr></tr>"
    page = (
        f"<h3>Sizes</h3><p>words</p><table>{rows * 25}</table>{FIGURE}<table>{rows * 26}</table>"
        f'<h3>Shapes</h3>{FIGURE}<table class="x">{rows * 26}</table>'
    )
    numbered = number_figures_and_tables(page)
    assert re.findall(r"<table[^>]*><caption>.*?</caption>", numbered) == [
        '<table><caption>Table 1<span class="again">. Sizes</span></caption>',
        '<table class="long"><caption>Table 2. Sizes</caption>',
        '<table class="long x"><caption>Table 3. Shapes</caption>',
    ]
