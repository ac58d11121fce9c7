import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05 import Image

from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.packing.label_bytes import encode_labels

SIZE_NM = (0.02, 0.03)


@pytest.fixture
def labels(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: rng.integers(0, 5, (40, 50 + i)).astype(np.int32) for i, name in enumerate(("au-1", "au-10", "b"))}


@pytest.fixture(params=["disk", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: Path, labels: dict[str, np.ndarray]) -> Location:
    place = Location.of(tmp_path if request.param == "disk" else f"memory://{request.node.name}")
    files = {name: encode_labels(name, one, pixel_size_nm=SIZE_NM) for name, one in labels.items()}
    place.write_bytes(label_packs.pack_file("p"), label_packs.pack_labels(files))
    label_packs.write_index(place, dict.fromkeys(files, "p"))
    return place


def test_labels_come_back_as_they_went(place: Location, labels: dict[str, np.ndarray]) -> None:
    for name, expected in labels.items():
        np.testing.assert_array_equal(label_packs.read_labels(place, name), expected)
        opened = label_packs.open_labels(place, name, SIZE_NM, part="p")
        np.testing.assert_array_equal(opened, expected)
        assert float(opened.x[1]) == pytest.approx(0.03)
    with pytest.raises(KeyError):
        label_packs.read_labels(place, "au", part="p")
    label_packs.write_index(place, {})
    assert label_packs.packed_ids(place) == {}
    with pytest.raises(KeyError):
        label_packs.read_labels(place, "b")


def test_other_ome_zarr_tools_read_a_pack_and_what_it_unpacks_into(
    tmp_path: Path, labels: dict[str, np.ndarray]
) -> None:
    files = {name: encode_labels(name, one, pixel_size_nm=SIZE_NM) for name, one in labels.items()}
    pack = tmp_path / "p.zarr.zip"
    pack.write_bytes(label_packs.pack_labels(files))
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(tmp_path / "unpacked")
    with zarr.storage.ZipStore(pack, mode="r") as packed:
        for store in (packed, tmp_path / "unpacked"):
            root = zarr.open_group(store, mode="r")
            assert root["OME"].attrs["ome"]["series"] == list(labels)  # type: ignore[index]
            image = Image.from_zarr(root["au-10"])  # type: ignore[arg-type]
            assert list(image.ome_attributes.multiscales[0].datasets[0].coordinateTransformations[0].scale) == [
                0.02,
                0.03,
            ]
            np.testing.assert_array_equal(root["au-10/0"][:], labels["au-10"])  # type: ignore[index]


def test_one_damaged_file_leaves_the_others(labels: dict[str, np.ndarray]) -> None:
    files = {name: encode_labels(name, one, pixel_size_nm=SIZE_NM) for name, one in labels.items()}
    content = bytearray(label_packs.pack_labels(files))
    content[content.index(files["au-10"]["0/c/0/0"]) + 9] ^= 0xFF
    found = label_packs.unpack_labels(bytes(content))
    assert {name: found[name] == files[name] for name in files} == {"au-1": True, "au-10": False, "b": True}


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive" * 99])
def test_what_is_no_pack_is_an_error_of_files(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no pack of labels"):
        label_packs.unpack_labels(content)
    place = Location.of(tmp_path)
    place.write_bytes(label_packs.pack_file("p"), content)
    with pytest.raises(OSError, match="no pack of labels"):
        label_packs.read_files(place, "p", "a")
    place.write_bytes(label_packs.INDEX, content)
    with pytest.raises(OSError, match="damaged: run again"):
        label_packs.read_labels(place, "a")


def test_members_that_could_expand_without_limit_are_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zarr.json", b" " * 10_000_000)
    with pytest.raises(OSError, match="is compressed"):
        label_packs.unpack_labels((tmp_path / "bomb.zip").read_bytes())
