"""Words of a file that name the detector, STEM, and what is no image."""

import pytest

from hrtem_dask.loading.imaging import stated_imaging, stated_reciprocal


@pytest.mark.parametrize(
    ("title", "description", "name", "expected"),
    [
        ("HAADF", "", "", "dark field (HAADF)"),
        ("", "STEM nP SA Zoom Image", "", "STEM"),
        ("BF", "HAADF", "", "bright field (BF)"),
        ("image", "detectors BF, HAADF", "", ""),
        ("", "detectors BF, HAADF in STEM", "", "STEM"),
        ("", "modeBrightField", "", "bright field (BrightField)"),
        ("", "modeDarkField", "", "dark field (DarkField)"),
        ("", "", "Au_HAADF_12.tif", "dark field (HAADF in the name of the file)"),
        ("", "", "Au_BF_HAADF_12.tif", ""),
        ("", "", "stem_12.tif", ""),
        ("system", "", "", ""),
    ],
)
def test_the_most_certain_text_decides(title: str, description: str, name: str, expected: str) -> None:
    assert stated_imaging(title, description, name) == expected


@pytest.mark.parametrize(
    "title", ["FFT of a", "Live FFT", "SAED 3", "Ronchigram", "Diffraction", "CBED_2", "diffraction 4"]
)
def test_titles_of_reciprocal_space(title: str) -> None:
    assert stated_reciprocal(title)


@pytest.mark.parametrize(
    "title", ["HAADF", "IFFT of a", "Inverse FFT", "FFT filtered", "before diffraction", "area for diffraction", "fftg"]
)
def test_titles_of_images(title: str) -> None:
    assert not stated_reciprocal(title)
