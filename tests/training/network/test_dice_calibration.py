"""The calibration of the predicted Dice coefficient, from a simulated store to the table of micrographs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner

from hrtem_dask import analysis
from hrtem_dask.cli import main
from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.segmentation.weights import load_dice_model, save_model, with_dice_model
from hrtem_dask.settings import Settings
from hrtem_dask.simulation.contrast import ContrastRanges, simulate_contrast_micrograph
from hrtem_dask.storage import simulated, simulated_writing
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.regimes import CONTRAST
from hrtem_dask.training.network.calibration_data import calibration_data
from hrtem_dask.training.network.dice_calibration import calibrate_dice_model, calibration_table
from hrtem_dask.training.network.dice_model_fit import fit_dice_model

CPU = {"execution": {"device": "cpu"}}


def dark_detector(path: Path) -> Path:
    """Write a network that predicts particles where the image is dark after three averages."""
    model = UNet(UNetConfig(widths=(1,), centre_width=1, encoder_convs=1)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
        model.encoders[0].convs[0].conv.weight[0, 0] = 1 / 9
        model.decoders[0].convs[0].conv.weight[0, 0] = 1 / 9
        model.decoders[0].convs[1].conv.weight[0, 0] = 1 / 9
        model.final.weight[1, 0] = -60.0
        model.final.bias[1] = 26.0
    save_model(model, path)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_toy: Callable[..., Any], toy_ranges: Any) -> Any:
    folder = Location.of(tmp_path_factory.mktemp("sim"))
    ranges = toy_ranges(n_particles=4)
    simulated_writing.create_simulated(folder, ranges={}, seed=0, code_version="1")
    for index in range(48):
        simulated_writing.write_simulated(folder, make_toy(ranges, 0, index))
    simulated_writing.gather_truth(folder)
    return simulated.open_simulated(folder)


def test_from_a_store_to_a_prediction_in_the_table(store: Any, tmp_path: Path) -> None:
    path = dark_detector(tmp_path / "dark.safetensors")
    settings = Settings().updated(CPU)
    table = calibration_table(store, path, settings=settings)
    assert list(table.index) == list(store.micrographs["micrograph_id"])
    empty = store.micrographs.set_index("micrograph_id")["n_particles"] == 0
    assert set(table["dice"][empty.to_numpy()]) <= {0.0, 1.0}
    calibrated = calibrate_dice_model(path, [store], familiar=[store], settings=settings)
    assert calibrated.errors["n"] == 24
    assert load_dice_model(path) == calibrated

    name = str(table.index[4])
    unet = settings.updated({"segmentation": {"model": str(path)}})
    found = analysis.analyse(
        store.image(name), pixel_size_nm=(0.05, 0.05), settings=unet,
        segmenter=make_segmenter(unet.segmentation, unet.execution),
    ).micrograph  # fmt: skip
    assert found["mask_agreement"] is None
    assert found["predicted_dice"] == pytest.approx(calibrated.predict(table.loc[name], table.loc[name]))
    asked = unet.updated({"segmentation": {"mask_agreement": True}})
    assert analysis.analyse(
        store.image(name), pixel_size_nm=(0.05, 0.05), settings=asked,
        segmenter=make_segmenter(asked.segmentation, asked.execution),
    ).micrograph["mask_agreement"] == table.loc[name, "mask_agreement"]  # fmt: skip
    off = unet.updated({"segmentation": {"predict_quality": False}})
    without = analysis.analyse(
        store.image(name), pixel_size_nm=(0.05, 0.05), settings=off,
        segmenter=make_segmenter(off.segmentation, off.execution),
    ).micrograph  # fmt: skip
    assert "predicted_dice" not in without
    with pytest.raises(ModelError, match="cannot contain a calibration"):
        calibrate_dice_model(tmp_path / "paper.h5", [store], familiar=[store])


def test_the_command_calibrates(store: Any, tmp_path: Path) -> None:
    path = dark_detector(tmp_path / "dark.safetensors")
    folder = str(store.folder.url)
    result = CliRunner().invoke(main, ["train", "quality", str(path), folder, "--familiar", folder])
    assert result.exit_code == 0, result.output
    fitted = load_dice_model(path)
    assert fitted is not None
    assert all(name in result.output for name in fitted.coefficients)
    missing = CliRunner().invoke(main, ["train", "quality", str(path), str(tmp_path / "no"), "--familiar", folder])
    assert missing.exit_code == 2, "a path that is not there is refused before anything is loaded"
    assert str(tmp_path / "no") in missing.output.replace("\n", "")


def test_a_contrast_store_calibrates_the_contrast_regime_alone(store: Any, tmp_path: Path) -> None:
    folder = Location.of(tmp_path / "con")
    ranges = ContrastRanges(size_px=96, median_diameter_px=(12.0, 30.0), empty_fraction=0.0)
    simulated_writing.create_simulated(folder, ranges={}, seed=0, code_version="1", regime=CONTRAST)
    for index in range(24):
        simulated_writing.write_simulated(folder, simulate_contrast_micrograph(ranges, seed=0, index=index), CONTRAST)
    simulated_writing.gather_truth(folder, CONTRAST)
    contrast = simulated.open_simulated(folder)
    path = tmp_path / "copy.safetensors"
    bundled = Path(Settings().segmentation.model_file or "")
    path.write_bytes(bundled.read_bytes())
    table = calibration_table(contrast, path, settings=Settings().updated(CPU))
    assert table["pixel_size_nm"].isna().all()
    assert table["dice"].between(0, 1).all()
    fitted = fit_dice_model(table, familiar=table)
    assert "distance_from_training" not in fitted.coefficients
    with_dice_model(path, fitted, path, regime="contrast")
    assert load_dice_model(path, "contrast") == fitted
    assert load_dice_model(path) == load_dice_model(bundled)
    unet = Settings().updated(CPU | {"segmentation": {"model": str(path)}, "loading": {"pixels": True}})
    segmenter = make_segmenter(unet.segmentation, unet.execution)
    name = str(table.index[0])
    found = analysis.analyse(contrast.image(name), pixel_size_nm=None, settings=unet, segmenter=segmenter).micrograph
    assert found["regime"] == "contrast"
    assert found["predicted_dice"] == pytest.approx(fitted.predict(table.loc[name], table.loc[name]))
    with pytest.raises(SettingsError, match="sources of one regime"):
        calibrate_dice_model(path, [contrast], familiar=[store])


def write_labeled(folder: Path, store: Any, *, pixel_size_nm: float | None = None) -> None:
    """Write the images and masks of a store as files, the first two as patches of one image."""
    for part in ("images", "masks", "unknown"):
        (folder / part).mkdir(parents=True)
    for i, name in enumerate(map(str, store.micrographs["micrograph_id"])):
        stem = f"field_patch{i}" if i < 2 else f"image{i:02}"
        resolution = None if pixel_size_nm is None else (1e7 / pixel_size_nm,) * 2
        kind = {} if resolution is None else {"resolution": resolution, "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(folder / "images" / f"{stem}.tif", store.image(name), **kind)
        tifffile.imwrite(folder / "masks" / f"{stem}.tif", (store.labels(name) > 0).astype(np.uint8))


def test_masks_drawn_by_hand_calibrate_as_a_store_does(store: Any, tmp_path: Path) -> None:
    write_labeled(tmp_path / "labeled", store, pixel_size_nm=0.05)
    path = dark_detector(tmp_path / "dark.safetensors")
    settings = Settings().updated(CPU)
    data = calibration_data(tmp_path / "labeled")
    assert data.regime == "lattice"
    by_hand = calibration_table(data, path, settings=settings)
    simulated_table = calibration_table(store, path, settings=settings)
    np.testing.assert_allclose(by_hand["dice"], simulated_table["dice"], atol=1e-12)
    np.testing.assert_allclose(by_hand["mask_confidence"], simulated_table["mask_confidence"], atol=1e-12)
    assert by_hand["fitted"].tolist()[:5] == [True, True, False, True, False], "patches of one image stay together"


def test_unknown_pixels_do_not_count(store: Any, tmp_path: Path) -> None:
    write_labeled(tmp_path / "labeled", store, pixel_size_nm=0.05)
    path = dark_detector(tmp_path / "dark.safetensors")
    before = calibration_table(calibration_data(tmp_path / "labeled"), path, settings=Settings().updated(CPU))
    stem = str(before.index[before["dice"].between(0.01, 0.99)][0])
    mask = tifffile.imread(tmp_path / "labeled" / "masks" / f"{stem}.tif")
    tifffile.imwrite(tmp_path / "labeled" / "unknown" / f"{stem}.tif", (mask == 0).astype(np.uint8))
    after = calibration_table(calibration_data(tmp_path / "labeled"), path, settings=Settings().updated(CPU))
    assert after["dice"][stem] > before["dice"][stem], "nothing outside of particles can be false any more"
    others = before.index != stem
    np.testing.assert_array_equal(after["dice"][others], before["dice"][others])


def test_unseen_sources_are_measured_and_not_fitted(store: Any, tmp_path: Path) -> None:
    write_labeled(tmp_path / "labeled", store, pixel_size_nm=0.05)
    path = dark_detector(tmp_path / "dark.safetensors")
    settings = Settings().updated(CPU)
    alone = calibrate_dice_model(path, [store], familiar=[store], settings=settings)
    data = calibration_data(tmp_path / "labeled")
    both = calibrate_dice_model(path, [store], familiar=[store], unseen=[data], settings=settings)
    assert both.coefficients == alone.coefficients
    assert both.errors["labeled: n"] == 48
    assert both.errors["mae"] == alone.errors["mae"]


def test_a_source_of_both_regimes_is_refused(store: Any, tmp_path: Path) -> None:
    write_labeled(tmp_path / "labeled", store)
    data = calibration_data(tmp_path / "labeled")
    assert data.regime == "contrast", "no pixel size is stated"
    write_labeled(tmp_path / "other", store, pixel_size_nm=0.05)
    (tmp_path / "other" / "images" / "image05.tif").write_bytes(
        (tmp_path / "labeled" / "images" / "image05.tif").read_bytes()
    )
    mixed = calibration_data(tmp_path / "other")
    mixed.micrographs["image04"]()
    with pytest.raises(SettingsError, match="image05 belongs to the other regime"):
        mixed.micrographs["image05"]()
