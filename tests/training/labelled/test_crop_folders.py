"""Folders of crops, cut out of simulated scenes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtem_dask import fourier
from hrtem_dask.errors import NothingToAnalyseError
from hrtem_dask.simulation import simulate_scene
from hrtem_dask.training.labelled.crop_folders import class_of, crop_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three crops of particles, and of carbon, of each of two scenes."""
    root = tmp_path_factory.mktemp("crops")
    for name in ("No Stacking-Fault", "empty", "notes"):
        (root / name).mkdir()
    for scene in range(2):
        made = simulate_scene(seed=scene, shape=(500, 500), n_particles=3, n_spikes=0)
        gray = cv2.normalize(made.image.astype(np.float32), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        for i in range(1, 4):
            rows, columns = np.nonzero(made.labels == i)
            crop = gray[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert cv2.imwrite(str(root / "No Stacking-Fault" / f"scene{scene}_{i}.png"), crop)
        bare = gray[:40, :40]
        assert cv2.imwrite(str(root / "empty" / f"scene{scene}_9.png"), bare)
    (root / "empty" / "broken_1.png").write_bytes(b"no picture")
    return root


def test_crops_are_measured(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    table = crop_table(folder, pixel_size_nm=0.03)
    assert table["region_class"].value_counts().to_dict() == {"no_stacking_fault": 6, "no_particle": 2}
    assert set(table["micrograph_id"]) == {"scene0", "scene1"}
    assert any(line.startswith("empty/broken_1.png is left out") for line in caplog.messages)
    assert any("not named after a class are left out: notes" in line for line in caplog.messages)
    crystal = table["region_class"] == "no_stacking_fault"
    assert table.loc[crystal, "row_1_snr"].min() > 3 * table.loc[~crystal, "row_1_snr"].max()
    file = folder / table["file"][0]
    known = fourier.groschner2021_features(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))
    assert {name: table[name][0] for name in known} == pytest.approx(known)


def test_without_a_pixel_size_only_features_in_pixels_are_measured(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = crop_table(folder, groups={"scene1_1.png": "other"})
    assert [c for c in table if c not in {"file", "micrograph_id", "region_class"}] == list(
        fourier.groschner2021_features(np.ones((4, 4)))
    )
    assert any("8 of 8 crops have no pixel size" in line for line in caplog.messages)
    assert "other" in set(table["micrograph_id"])


def test_names_of_classes() -> None:
    names = {
        "Agglomerate": "agglomeration", "no particle": "no_particle", "EMPTY": "no_particle", "SF": "stacking_fault",
        "no_sf": "no_stacking_fault", "off zone": "misoriented", "Misoriented": "misoriented", "yes": "stacking_fault",
        "no": "no_stacking_fault", "no_fringe": "misoriented", "other": None,
    }  # fmt: skip
    assert {name: class_of(name) for name in names} == names


def test_folders_without_classes(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(NothingToAnalyseError, match=r"no folder of a class.*it contains pictures"):
        crop_table(tmp_path)
    (tmp_path / "sf").mkdir()
    with pytest.raises(NothingToAnalyseError, match="no crop could be used"):
        crop_table(tmp_path)
