"""The public names: all of them there, and nothing else shown."""

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
