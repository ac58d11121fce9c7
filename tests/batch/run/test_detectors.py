"""A run with a detector: rows, masks as runs, labels and report agree, and the lazy tables are the same."""

from pathlib import Path

import numpy as np
import pandas.testing as pdt
import pytest
import tifffile
import torch
from distributed import Client

import hrtem_dask as hd
from hrtem_dask.detection.model_file import DetectorConfig, make_network, save_detector
from hrtem_dask.report import write_report
from hrtem_dask.settings import Settings

SETTINGS = Path(__file__).parents[3] / "pipelines" / "nanorods.toml"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a detector with random weights that is sure of whatever it proposes, so that many boxes overlap."""
    torch.manual_seed(0)
    config = DetectorConfig(kind="rotated_rcnn", class_names=("rod", "cube"), channels=16)
    network = make_network(config)
    with torch.no_grad():
        network.get_submodule("proposals.code").weight.mul_(20)  # type: ignore[operator, union-attr]
        network.get_submodule("proposals.score").bias.fill_(2.0)  # type: ignore[operator, union-attr]
        network.get_submodule("refinement.score").weight.zero_()  # type: ignore[operator, union-attr]
        network.get_submodule("refinement.score").bias.copy_(torch.tensor([0.0, 3.0, -3.0]))  # type: ignore[operator, union-attr]
    path = tmp_path_factory.mktemp("model") / "any.safetensors"
    save_detector(network, config, path)
    return path


def test_rows_masks_labels_and_report_agree(tmp_path: Path, model: Path, client: Client) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 255, (160, 192)).astype(np.uint8))
    settings = Settings.from_file(SETTINGS).updated(
        {"segmentation": {"model": str(model)}, "execution": {"device": "cpu"}, "loading": {"pixel_size_nm": 0.5}}
    )
    summary = hd.run(folder, tmp_path / "out", settings=settings, cluster=client)
    assert summary.counts == {"done": 2, "empty": 0, "set_aside": 0, "failed": 0}
    results = hd.open_results(tmp_path / "out")
    particles, runs = results.particles, results.instance_runs
    assert len(particles) > 10
    key = ["micrograph_id", "particle_id"]
    areas = runs.assign(n=runs["stop_px"] - runs["start_px"]).groupby(key)["n"].sum()
    pdt.assert_series_equal(
        areas.astype(int), particles.set_index(key)["area_px"].astype(int), check_names=False, check_index_type=False
    )
    assert (particles["overlap_fraction"] > 0).any()
    np.testing.assert_allclose(
        particles["box_length_nm"].astype(float), 0.5 * particles["box_length_px"].astype(float), rtol=1e-9
    )
    for name in results.micrographs["micrograph_id"]:
        labels = results.labels(name)
        mine = runs[runs["micrograph_id"] == name]
        union = np.zeros(labels.shape, bool)
        for row, start, stop in mine[["row_px", "start_px", "stop_px"]].to_numpy(int):
            union[row, start:stop] = True
        np.testing.assert_array_equal(labels > 0, union)
    assert hd.run(folder, tmp_path / "out", settings=settings, cluster=client).n_skipped == 2
    lazy = hd.label(hd.segment(hd.open_micrographs(folder, settings=settings)))
    pdt.assert_frame_equal(
        hd.measure(lazy, "instance_runs").compute().reset_index(drop=True)[list(runs.columns)], runs, check_dtype=False
    )
    write_report(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Nematic order parameter" in page
