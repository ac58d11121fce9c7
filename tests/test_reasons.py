"""Reasons that images of one kind share."""

import pytest

from hrtem_dask.reasons import shared_reasons

SIZE = "implausible pixel size {} nm (file: {}): give one (--pixel-size)"


@pytest.mark.parametrize(
    ("reasons", "shared"),
    [
        (["no pixel size"] * 2, ["no pixel size"] * 2),
        ([SIZE.format(30, "a"), SIZE.format("2.6e+05", "a")], [SIZE.format("30 to 2.6e+05", "a")] * 2),
        ([SIZE.format(30, "TIFF ImageJ"), SIZE.format(30, "SER")], [SIZE.format(30, "TIFF ImageJ, SER")] * 2),
        (
            ["an image of 16×16 px: at least 32 px", "an image of 2×16 px: at least 32 px", "a spectrum"],
            ["an image of 16×16, 2×16 px: at least 32 px"] * 2 + ["a spectrum"],
        ),
        ([f"the label image of i/a_{n}.png" for n in "bcd"], ["the label image of i/a_b.png, i/a_c.png, …"] * 3),
        (["no 1-D data", "no 4-D data"], ["no 1-D data", "no 4-D data"]),
        (["f.tif: damaged at byte 12", "damaged at byte 7"], ["damaged at byte 7 to 12"] * 2),
        (["(file: a", "(file: b"], ["(file: a", "(file: b"]),
        ([], []),
    ],
)
def test_numbers_become_ranges_and_names_are_listed(reasons: list[str], shared: list[str]) -> None:
    assert shared_reasons(reasons, ["/data/f.tif"] * len(reasons)) == shared
