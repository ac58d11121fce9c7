"""Labels and tables in formats of other programs, read by other programs' libraries."""

import io
import json
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from ome_zarr_models.v05 import Image, ImageLabel
from ome_zarr_models.v05.bioformats2raw import BioFormats2RawAttrs

from hrtem_dask import loading, tables
from hrtem_dask.errors import HrtemDaskError
from hrtem_dask.particles import find_particles
from hrtem_dask.settings import ParticleSettings
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.exchange import coco, label_files, table_files
from hrtem_dask.storage.location import Location


def disk(shape, centre, radius):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


@pytest.fixture
def found():
    """A ring whose hole is open, a disk, a touching pair, an agglomerate."""
    shape = (150, 260)
    mask = disk(shape, (40, 40), 20) | disk(shape, (40, 110), 22) & ~disk(shape, (40, 110), 8)
    mask |= disk(shape, (40, 170), 16) | disk(shape, (40, 201), 16) | disk(shape, (110, 60), 33)
    mask |= disk(shape, (110, 70), 33)
    image = np.random.default_rng(0).normal(100, 5, shape) - 30 * mask
    rules = ParticleSettings(fill_holes=False, max_region_area_nm2=30.0)
    return find_particles(mask, image, rules, pixel_size_nm=(0.1, 0.1)), image


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside pycocotools
def test_pycocotools_reads_the_very_pixels(found, tmp_path):
    from pycocotools.coco import COCO

    particles, _ = found
    labels, table = particles.labels, particles.particles
    table.loc[0, "fault_state"] = "fault"
    annotations = coco.make_annotations("au-1", labels, table, particles.regions)
    image = {"micrograph_id": "au-1", "file_name": "images/au-1.png", "height": 150, "width": 260}
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(coco.make_coco([image], annotations)))
    read = COCO(path)
    assert [one["file_name"] for one in read.loadImgs(read.getImgIds())] == ["images/au-1.png"]
    back = np.zeros_like(labels)
    for one in read.loadAnns(read.getAnnIds(imgIds=[1])):
        mask = read.annToMask(one).astype(bool)
        np.testing.assert_array_equal(mask, labels == one["particle_id"])
        assert one["area"] == mask.sum()
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert one["bbox"] == [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
        # a crowd is a group whose members are not told apart: the agglomerate, and nothing else
        reason = table.set_index("particle_id").loc[one["particle_id"], "exclusion_reason"]
        assert one["iscrowd"] == (reason is not pd.NA and reason == "agglomerate")
        assert not one["iscrowd"] or isinstance(one["segmentation"], dict)
        coco.paint(back, one["segmentation"], one["particle_id"])
    np.testing.assert_array_equal(back, labels)
    assert len(read.getAnnIds(iscrowd=True)) == 1
    names = {one["id"]: one["name"] for one in read.loadCats(read.getCatIds())}
    assert [names[one["category_id"]] for one in annotations] == [
        "stacking_fault", "unsure", "agglomeration", "agglomeration", "agglomeration"
    ]  # fmt: skip
    kinds = [type(one["segmentation"]) for one in annotations]
    assert kinds == [dict, list, list, list, dict], "a polygon where that is all there is to say"


def test_ome_zarr_tools_find_the_labels_beside_the_image(found, tmp_path):
    particles, image = found
    store = Location.of(tmp_path / "micrographs.zarr")
    zarr_store.create_store(store)
    label_files.write_ngff(store, "au-1", image, particles.labels, pixel_size_nm=(0.02, 0.03))
    opened = Image.from_zarr(zarr.open_group(store.path("au-1"), mode="r"))
    assert opened.labels is not None
    assert list(opened.labels.ome_attributes.labels) == ["particles"]
    labels = ImageLabel.from_zarr(zarr.open_group(store.path("au-1/labels/particles"), mode="r"))
    for one in (opened, labels):
        (dataset,) = one.ome_attributes.multiscales[0].datasets
        assert list(dataset.coordinateTransformations[0].scale) == [0.02, 0.03]
        assert [axis.unit for axis in one.ome_attributes.multiscales[0].axes] == ["nanometer", "nanometer"]
    group = zarr.open_group(store.path("au-1"), mode="r")
    np.testing.assert_array_equal(group["intensity"][:], image)
    np.testing.assert_array_equal(group["labels/particles/0"][:], particles.labels)
    # and a run over the store takes the image for a micrograph, not the labels
    (source,) = loading.find_sources(store.url)
    (record,) = loading.list_micrographs(source)
    assert record.pixel_size_nm == (0.02, 0.03)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.int16])
def test_tiffs_carry_their_scale(dtype, tmp_path):
    image = (np.arange(600).reshape(20, 30) % 100).astype(dtype)
    path = tmp_path / "a.tif"
    path.write_bytes(label_files.tiff_bytes(image, pixel_size_nm=(0.02, 0.03)))
    (source,) = loading.find_sources(path)
    (record,) = loading.list_micrographs(source)
    np.testing.assert_allclose(record.pixel_size_nm, (0.02, 0.03), rtol=1e-6)
    np.testing.assert_array_equal(loading.read_image(record), image)
    with tifffile.TiffFile(path) as tif:
        assert tif.imagej_metadata["unit"] == "nm"
    bare = tifffile.TiffFile(io.BytesIO(label_files.tiff_bytes(image, pixel_size_nm=None)))
    assert "unit" not in (bare.imagej_metadata or {})


@pytest.mark.parametrize(
    "write", [label_files.png_bytes, lambda x: label_files.tiff_bytes(x, pixel_size_nm=None, labels=True)]
)
def test_labels_beyond_16_bits_are_refused(write, tmp_path):
    labels = np.array([[0, 65_535], [1, 0]], np.int32)
    path = tmp_path / "labels.png"
    path.write_bytes(write(labels))
    np.testing.assert_array_equal(loading.read_single_image(str(path)), labels)
    with pytest.raises(HrtemDaskError, match=r"65536 particles.*zarr"):
        write(labels + 1)


def test_geojson_outlines_have_the_particle_s_area(found):
    particles, _ = found
    collection = json.loads(json.dumps(label_files.make_geojson(particles.labels, particles.particles)))
    assert len(collection["features"]) == 5
    for feature in collection["features"]:
        rings = feature["geometry"]["coordinates"]
        areas = []
        for ring in rings:
            assert ring[0] == ring[-1]
            x, y = np.array(ring[:-1]).T
            areas.append(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)
        # outlines cut corners by an eighth of a pixel
        wanted = feature["properties"]["area_px"]
        assert areas[0] - sum(areas[1:]) == pytest.approx(wanted, rel=0.01)
        assert feature["properties"]["micrograph_id"] is None
    assert [len(f["geometry"]["coordinates"]) for f in collection["features"]] == [2, 1, 1, 1, 1]


def test_geojson_has_what_qupath_reads(found):
    particles, _ = found
    table = particles.particles.copy()
    table["micrograph_id"] = "au-1"
    table.loc[0, "fault_state"] = "fault"
    features = json.loads(json.dumps(label_files.make_geojson(particles.labels, table)))["features"]
    again = label_files.make_geojson(particles.labels, table)["features"]
    assert [f["id"] for f in features] == [f["id"] for f in again]
    assert len({str(uuid.UUID(f["id"])) for f in features}) == len(features)
    for feature, (_, row) in zip(features, table.iterrows(), strict=True):
        found_by_qupath = feature["properties"]
        assert found_by_qupath["objectType"] == "annotation"
        assert found_by_qupath["name"] == f"particle {row['particle_id']}"
        assert all(isinstance(value, int | float) for value in found_by_qupath["measurements"].values())
        assert found_by_qupath["measurements"]["area_px"] == row["area_px"]
        reason = row["exclusion_reason"]
        name = found_by_qupath["classification"]["name"]
        assert name == (
            "fault" if row["particle_id"] == 1 else "particle" if pd.isna(reason) else f"not counted: {reason}"
        )
        assert len(found_by_qupath["classification"]["color"]) == 3


def test_labels_of_a_run_are_an_ngff_label_image(found, tmp_path):
    particles, _ = found
    store = Location.of(tmp_path / "labels.zarr")
    zarr_store.create_store(store)
    zarr_store.write_labels(store, "au-1", particles.labels, pixel_size_nm=(0.02, 0.03))
    group = zarr.open_group(store.url, mode="r")["au-1"]
    (scales,) = ImageLabel.from_zarr(group).attributes.ome.multiscales
    assert scales.datasets[0].path == "0"
    np.testing.assert_array_equal(zarr_store.read_labels(store, "au-1"), particles.labels)


def test_the_root_of_a_store_lists_its_images(found, tmp_path):
    particles, image = found
    store = Location.of(tmp_path / "micrographs.zarr")
    zarr_store.create_store(store)
    for name in ("b-2", "a-1"):
        label_files.write_ngff(store, name, image, particles.labels, pixel_size_nm=(0.02, 0.03))
    for _ in range(2):  # a second run writes it again
        zarr_store.write_collection(store, ["b-2", "a-1"])
    root = zarr.open_group(store.url, mode="r")
    assert BioFormats2RawAttrs.model_validate(root.attrs.asdict()["ome"]).bioformats2raw_layout == 3
    assert root["OME"].attrs["ome"] == {"version": "0.5", "series": ["b-2", "a-1"]}
    for path in root["OME"].attrs["ome"]["series"]:
        assert Image.from_zarr(root[path]).attributes.ome.multiscales
    sources = loading.find_sources(store.url)
    assert [source.status for source in sources] == ["ok", "ok"], "the list itself is no micrograph"
    zarr_store.create_store(store)
    assert "OME" in zarr.open_group(store.url, mode="r")


def test_tables_come_back_from_csv_and_excel(found, tmp_path):
    particles, _ = found
    written = {"particles": particles.particles, "regions": particles.regions}
    place = Location.of(tmp_path)
    assert table_files.write_csv(place, written) == ["particles.csv", "regions.csv"]
    table_files.write_workbook(place, written)
    for name, table in written.items():
        for back in (pd.read_csv(tmp_path / f"{name}.csv"), pd.read_excel(tmp_path / "tables.xlsx", sheet_name=name)):
            known = tables.conform(back, tables.SCHEMAS[name])
            pd.testing.assert_frame_equal(known, table, check_exact=False, rtol=1e-12)
    columns = pd.read_excel(tmp_path / "tables.xlsx", sheet_name="columns").set_index(["table", "column"])
    assert columns.loc[("particles", "area_nm2"), "unit"] == "nm²"


def test_excel_without_openpyxl_names_the_remedy(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(table_files.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(HrtemDaskError, match="pip install openpyxl"):
        table_files.write_workbook(Location.of(tmp_path), {})
    assert not list(tmp_path.iterdir())
