"""What a file says about the way of imaging decides whether particles are bright."""

from pathlib import Path

import pytest

from hrtem_dask import loading
from hrtem_dask.loading.imaging import stated_imaging


def named(title: str) -> loading.MicrographRecord:
    return loading.MicrographRecord(
        micrograph_id="a-1",
        source=loading.Source(url="/data/haadf/a.emd", relative="haadf/a.emd"),
        title=title,
        imaging=stated_imaging(title),
    )


@pytest.mark.parametrize(
    "title",
    [
        "HAADF",
        "HAADF Image",
        "Fei HAADF-DE_location",
        "adf",
        "STEM_LAADF_2",
        "DF4",
        "DF-S",
        "Dark Field",
        "darkfield 3",
    ],
)
def test_dark_field_detectors_show_bright_particles(title: str) -> None:
    assert loading.stated_polarity(named(title)) == "bright"


@pytest.mark.parametrize(
    "title", ["", "Ceta", "ABF", "BF-S", "STEM BF", "single", "system", "pdf 2", "adfilm", "DF", "gdf2"]
)
def test_other_names_state_nothing(title: str) -> None:
    assert loading.stated_polarity(named(title)) is None


def test_real_files_state_it(data: Path) -> None:
    source = loading.find_sources(data / "native" / "temul" / "example_Au_nanoparticle.emd")[0]
    assert [loading.stated_polarity(record) for record in loading.list_micrographs(source)] == ["bright"]
