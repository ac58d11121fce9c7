"""The public names: all of them there, and nothing else shown."""

from collections.abc import Callable

import pytest

import hrtem_dask


def test_dir_shows_the_public_names_alone() -> None:
    assert dir(hrtem_dask) == sorted(hrtem_dask.__all__)


@pytest.mark.parametrize("name", hrtem_dask.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    assert getattr(hrtem_dask, name).__doc__


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'analyze_everything'"):
        hrtem_dask.analyze_everything  # noqa: B018


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hrtem_dask.segment("folder"), r"open files with open_micrographs\(…\) first"),
        (lambda: hrtem_dask.open_micrographs(3), "need a path or the URL of a file or folder, got int"),
        (lambda: hrtem_dask.open_micrographs([None]), "got NoneType"),
        (lambda: hrtem_dask.open_results(3), "got int"),
        (lambda: hrtem_dask.crop(3, "a", 1), "got int"),
        (lambda: hrtem_dask.run("in", 4), "got int"),
        (lambda: hrtem_dask.summarize("out"), r"open_results\(folder\).particles is one"),
        (lambda: hrtem_dask.make_micrograph("a.tif", pixel_size_nm=None), "need an image as an array"),
    ],
)
def test_a_wrong_type_is_answered_with_what_to_pass(call: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()
