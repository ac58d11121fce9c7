"""A member is the same whether its archive was listed in this process before, as workers have not."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from hrtem_dask.loading import archives
from hrtem_dask.loading.archives import member_names, open_member

CONTENT = {"a/one.bin": b"one" * 1000, "two.bin": b"two"}


def packed(path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in CONTENT.items():
                archive.writestr(name, content)
        return path
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in CONTENT.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    pack = {".tar": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[path.suffix]
    path.write_bytes(pack(buffer.getvalue()))
    return path


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_members_of_an_archive_that_was_not_listed_here(tmp_path: Path, ending: str) -> None:
    url = str(packed(tmp_path / f"archive{ending}"))
    for name, content in CONTENT.items():
        archives._cached_tar_index.cache_clear()
        archives._cached_zip_index.cache_clear()
        with open_member(url, name) as file:
            assert file.read() == content
    assert member_names(url) == list(CONTENT)
    with open_member(url, "two.bin") as file:
        assert file.read() == CONTENT["two.bin"]
