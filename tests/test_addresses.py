"""Which kinds of addresses are known."""

import pytest

from hrtem_dask.addresses import check_address
from hrtem_dask.errors import SettingsError


@pytest.mark.parametrize(
    "address",
    ["results", "/data/a::b.tif", "s3://bucket/x", "memory://x", "simplecache::https://host/a.tif", "a:b", ""],
)
def test_known_addresses_stay_as_they_are(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize("address", ["foo://x", "zip://a.tif::b.zip", "zip://b.zip", "simplecache::bar://x", "s4://x"])
def test_others_are_refused_with_those_that_are_known(address: str) -> None:
    with pytest.raises(SettingsError, match=r"Known are paths of this machine, file://"):
        check_address(address)
