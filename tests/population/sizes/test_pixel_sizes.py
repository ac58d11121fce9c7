"""Sizes in pixels are those in nm, over the size of a pixel."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask.population import PopulationOptions, summarize
from hrtem_dask.population.size_lines import size_lines

OPTIONS = PopulationOptions(n_resamples=200, n_fit_simulations=0)


def particles(n_micrographs: int) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    names = np.repeat([f"m{i}" for i in range(n_micrographs)], 12)
    sizes = rng.lognormal(3, 0.3, len(names)) * np.repeat(rng.normal(1, 0.05, n_micrographs), 12)
    return pd.DataFrame(
        {"sample": "A", "micrograph_id": names, "particle_id": range(len(names)), "counted": True,
         "equivalent_diameter_px": sizes, "area_px": np.pi / 4 * sizes**2,
         "bbox_y0_px": 10, "bbox_x0_px": 10, "bbox_y1_px": 10 + sizes, "bbox_x1_px": 10 + sizes}
    )  # fmt: skip


def frames(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"micrograph_id": table["micrograph_id"].unique(), "height_px": 200, "width_px": 150})


def test_without_a_pixel_size_the_statistics_are_those_of_one_nm_per_pixel() -> None:
    table = particles(7)
    without = summarize(table.assign(equivalent_diameter_nm=np.nan), frames(table), OPTIONS)["all"]
    known = table.assign(equivalent_diameter_nm=table["equivalent_diameter_px"], area_nm2=table["area_px"])
    in_nm = summarize(known, frames(table), OPTIONS)["all"]
    assert "equivalent_diameter_px" not in in_nm
    assert "equivalent_diameter_nm" not in without
    in_px = without["equivalent_diameter_px"]
    assert (in_px["n"], in_px["n_micrographs"], in_px["n_missing"]) == (84, 7, 0)
    assert len(in_px["number_weighted"]) == 9
    for name, row in in_px["number_weighted"].items():
        assert row == in_nm["equivalent_diameter_nm"]["number_weighted"][name.replace("_px", "_nm")], name
    assert in_px["number_weighted"]["median_px"]["low"] < in_px["number_weighted"]["median_px"]["high"]
    assert "standard deviation" not in str(in_px["interval_reason"])
    assert in_px["interval_reason"].startswith("no interval of sd, ")


def test_few_micrographs_have_no_interval_and_the_line_says_what_is_known() -> None:
    few, many = (summarize(particles(n).assign(equivalent_diameter_nm=np.nan), options=OPTIONS) for n in (3, 7))
    median = few["all"]["equivalent_diameter_px"]["number_weighted"]["median_px"]
    assert (median["low"], median["high"]) == (None, None)
    assert few["all"]["equivalent_diameter_px"]["interval_reason"].startswith("no intervals: 3 micrographs")
    assert size_lines(few) == [
        f"median diameter {median['value']:.3g} px (36 particles of 3 micrographs; no size in nm)"
    ]
    assert ", interval " in size_lines(many)[0]
    assert median["value"] == pytest.approx(particles(3)["equivalent_diameter_px"].median(), rel=0.02)
