"""Results in napari: what the reader returns, the manifest by npe2, and a viewer where napari is installed."""

import importlib.metadata
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

import hrtem_dask as hd
from hrtem_dask.batch.example import write_example
from hrtem_dask.viewer import reader
from hrtem_dask.viewer.reader import get_reader, read_results

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_example(tmp_path_factory.mktemp("viewer"), n_particles=3)
    image = next((folder / "images").iterdir())
    for i in range(2):  # other fields, so that nothing is a copy
        pixels = np.roll(tifffile.imread(image), 40 * (i + 1), axis=0)[:, ::-1]
        tifffile.imwrite(image.with_name(f"other{i}.tif"), pixels)
    hd.run(folder / "images", folder / "results", method="otsu", pixel_size_nm=0.04, cluster="threads")
    return folder / "results"


def test_image_labels_and_particles_lie_over_one_another(results: Path) -> None:
    opened = hd.open_results(results)
    reads = get_reader(str(results))
    assert reads is not None
    layers = reads(str(results))
    assert [kind for _, _, kind in layers] == ["image", "labels"] * 3
    assert [options["visible"] for _, options, _ in layers] == [True, True] + [False] * 4
    for (image, of_image, _), (labels, of_labels, _) in zip(layers[::2], layers[1::2], strict=True):
        assert image.shape == labels.shape
        assert of_image["scale"] == of_labels["scale"] == pytest.approx((0.04, 0.04))
        name = of_image["name"]
        np.testing.assert_array_equal(labels, opened.labels(name))
        particles = opened.particles.query("micrograph_id == @name")
        features = of_labels["features"]
        assert len(particles) > 0
        assert features["index"].tolist() == particles["particle_id"].tolist()
        assert set(features["index"]) == set(np.unique(labels)) - {0}
        inside = [(labels == index).sum() for index in features["index"]]
        assert features["area_px"].tolist() == inside


def test_one_micrograph_is_opened_by_its_labels(results: Path) -> None:
    name = str(hd.open_results(results).micrographs["micrograph_id"].iloc[1])
    layers = read_results(str(results / "labels.zarr" / name))
    assert [options["name"] for _, options, _ in layers] == [name, f"{name} particles"]
    assert get_reader(str(results / "labels.zarr")) is read_results
    with pytest.raises(KeyError, match=f"no labels of micrograph '{name[:-1]}'.*{name}"):
        read_results(str(results / "labels.zarr" / name[:-1]))


def test_labels_in_zip_files_are_opened_too(results: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    images = results.parent / "images"
    settings = {"execution": {"labels": "packed"}}
    hd.run(images, packed, method="otsu", pixel_size_nm=0.04, cluster="threads", settings=settings)
    assert not (packed / "labels.zarr").exists()
    expected = {name: read_results(str(results / "labels.zarr" / name)) for name in _names(results)}
    shown = read_results(str(packed))
    assert [options["name"] for _, options, _ in shown[::2]] == list(expected)
    for name, part in json.loads((packed / "labels" / "index.json").read_text()).items():
        for path in (packed / "labels" / f"{part}.zarr.zip", packed / "overlays" / f"{name}.jpg"):
            assert path.is_file(), "napari opens no path that is not there"
            assert get_reader(str(path)) is not None
            layers = read_results(str(path))
            found = {layer[1]["name"]: layer for layer in layers}
            for data, options, _ in expected[name]:
                np.testing.assert_array_equal(found[options["name"]][0], data)
            features = found[f"{name} particles"][1]["features"]
            pd.testing.assert_frame_equal(features, expected[name][1][1]["features"])
    (packed / "labels" / "other.zarr.zip").touch()
    with pytest.raises(KeyError, match=r"no labels of micrograph 'other\.zarr\.zip'"):
        read_results(str(packed / "labels" / "other.zarr.zip"))


def _names(results: Path) -> list[str]:
    return hd.open_results(results).micrographs["micrograph_id"].astype(str).tolist()


def test_other_paths_are_left_to_other_readers(results: Path, tmp_path: Path) -> None:
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "image.tif")) is None
    assert get_reader([str(results), str(results)]) is None


def test_many_micrographs_are_not_opened_at_once(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_MICROGRAPHS", 2)
    with pytest.warns(UserWarning, match="3 analyzed micrographs; 1 are not shown"):
        assert len(read_results(str(results))) == 4


def test_without_its_file_a_micrograph_has_labels_alone(results: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(results, tmp_path / "results")
    table = pd.read_parquet(moved / "micrographs.parquet")
    table["source"] = table["source"].str.replace("images", "elsewhere")
    table.to_parquet(moved / "micrographs.parquet")
    with pytest.warns(UserWarning, match="shown without the image"):
        assert [kind for _, _, kind in read_results(str(moved))] == ["labels"] * 3


MANIFEST = ROOT / "hrtem_dask" / "viewer" / "napari.json"


def test_the_manifest_names_the_reader() -> None:
    manifest = json.loads(MANIFEST.read_text())
    [command], [opens] = manifest["contributions"]["commands"], manifest["contributions"]["readers"]
    assert command["python_name"] == f"{reader.__name__}:{get_reader.__name__}"
    assert (opens["command"], opens["accepts_directories"]) == (command["id"], True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["napari.manifest"] == {project["name"]: f"hrtem_dask.viewer:{MANIFEST.name}"}
    assert manifest["name"] == project["name"]


def test_the_manifest_is_one_of_npe2() -> None:
    # not among the packages of developers: it makes pytest load a plugin that warns when it is imported
    npe2 = pytest.importorskip("npe2")
    assert npe2.PluginManifest.from_file(MANIFEST).contributions.readers[0].filename_patterns == ["*"]


def test_napari_opens_a_folder_by_the_plugin(results: Path) -> None:
    components: Any = pytest.importorskip("napari.components")
    entry_points = importlib.metadata.entry_points(group="napari.manifest")
    if "hrtem-dask" not in entry_points.names:
        pytest.skip("the package is not installed here, so that napari cannot find its plugin")
    pytest.importorskip("npe2").PluginManager.instance().discover()  # which a window does when it opens
    viewer = components.ViewerModel()
    viewer.open(str(results), plugin="hrtem-dask")
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "Labels"] * 3
    assert len(viewer.layers[1].features) == viewer.layers[1].data.max()
