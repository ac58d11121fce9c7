"""The two halves give what the whole gives, and a GPU's image comes to the host once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pandas.testing as pdt
import pytest

from hrtem_dask import analysis, backend, filtering
from hrtem_dask.analysis import verdict
from hrtem_dask.defects import make_classifier
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import ExecutionSettings, Settings
from hrtem_dask.simulation import Scene, SceneContrast, simulate_scene

PIXEL = (0.05, 0.05)
CPU = ExecutionSettings(device="cpu")
SETTINGS = Settings().updated({"segmentation": {"method": "otsu"}, "execution": {"device": "cpu"}})


@pytest.fixture(scope="module")
def scene() -> Scene:
    return simulate_scene(
        seed=3, shape=(128, 160), pixel_size_nm=0.05, n_particles=3, diameter_nm=(1.5, 2),
        contrast=SceneContrast(darkness=0.6, carbon=0.01),
    )  # fmt: skip


def analyse(image: np.ndarray, settings: Settings = SETTINGS) -> analysis.Analysis:
    return analysis.analyse(
        image,
        pixel_size_nm=PIXEL,
        settings=settings,
        segmenter=make_segmenter(settings.segmentation, settings.execution),
        classifier=make_classifier(settings.defects),
    )


def with_bar(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Burn a bar with its length into the lower left corner; return the image and the drawn pixels."""
    image = scene.image.copy()
    ink = float(image.max())
    drawn = np.zeros(image.shape, np.uint8)
    cv2.rectangle(drawn, (6, 116), (46, 122), 255, -1)
    cv2.putText(drawn, "2 nm", (8, 110), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    return np.where(drawn > 0, ink * 1.5, image).astype(np.float32), drawn > 0


def test_a_burnt_in_bar_is_no_particle_and_changes_no_other(scene: Scene) -> None:
    image, drawn = with_bar(scene)
    assert not (drawn & (scene.labels > 0)).any()
    bright = SETTINGS.updated({"segmentation": {"particles_are": "bright"}})
    for settings in (SETTINGS, bright):
        found = analyse(image, settings)
        assert not found.labels[drawn].any()
        assert found.micrograph["marked_fraction"] > drawn.mean()
        unmarked = analyse(image, settings.updated({"filtering": {"find_marks": False}}))
        assert unmarked.micrograph["marked_fraction"] == 0
        assert unmarked.micrograph["image_hash"] == found.micrograph["image_hash"]
        assert found.micrograph["saturated_fraction"] == 0
    assert unmarked.labels[118:121, 10:42].all()
    clean, found = analyse(scene.image), analyse(image)
    assert clean.micrograph["marked_fraction"] == 0
    assert len(found.particles) == len(clean.particles)
    sizes, expected = (t["equivalent_diameter_nm"].to_numpy(dtype=float) for t in (found.particles, clean.particles))
    np.testing.assert_allclose(sizes, expected, rtol=0.01)
    field_px = round(drawn.size * (1 - float(str(found.micrograph["marked_fraction"]))))
    assert found.micrograph["coverage"] == pytest.approx(np.count_nonzero(found.labels) / field_px)


class DeviceArray(np.ndarray):
    """Stands in for an array of the GPU."""


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What came from the device to the host."""
    arrived: list[np.ndarray] = []
    to_numpy: Callable[[Any], np.ndarray] = backend.to_numpy

    def counting(array: Any) -> np.ndarray:
        if not isinstance(array, DeviceArray):
            return to_numpy(array)
        arrived.append(array.view(np.ndarray))
        return arrived[-1]

    prepare = filtering.prepare

    def on_device(image: np.ndarray, **arguments: Any) -> tuple[np.ndarray, int]:
        prepared, n_nonfinite = prepare(image, **arguments)
        return prepared.view(DeviceArray), n_nonfinite

    monkeypatch.setattr(backend, "to_numpy", counting)
    monkeypatch.setattr(filtering, "prepare", on_device)
    return arrived


def test_the_prepared_image_comes_to_the_host_once(scene: Scene, transfers: list[np.ndarray]) -> None:
    found = analyse(scene.image)
    assert len(found.particles) == 3
    assert type(found.prepared) is np.ndarray
    same = [array for array in transfers if array.shape == found.prepared.shape and array.dtype == np.float32]
    assert sum(np.array_equal(array, found.prepared) for array in same) == 1


def test_nothing_more_comes_to_the_host_where_the_micrograph_is_set_aside(
    scene: Scene, transfers: list[np.ndarray]
) -> None:
    strict = SETTINGS.updated({"quality": {"max_gradient": -1.0, "set_aside": ["gradient"]}})
    found = analyse(scene.image, strict)
    assert found.status == "set_aside"
    assert found.reason == "quality: gradient (settings quality.set_aside)"
    assert len(transfers) == 1


def test_a_micrograph_set_aside_can_be_segmented_and_keeps_no_particle(scene: Scene) -> None:
    strict = SETTINGS.updated({"quality": {"max_gradient": -1.0, "set_aside": ["gradient"]}})
    segmenter = make_segmenter(strict.segmentation, strict.execution)
    skipped, looked_at = (
        analysis.segment_micrograph(
            scene.image, pixel_size_nm=PIXEL, settings=strict, segmenter=segmenter, always=always
        )
        for always in (False, True)
    )
    assert skipped.segmentation is None
    assert looked_at.segmentation is not None
    assert looked_at.segmentation.mask.any()
    for segmented in (skipped, looked_at):
        found = analysis.analyse_segmented(segmented, pixel_size_nm=PIXEL, settings=strict)
        assert (found.status, len(found.particles), found.labels.any()) == ("set_aside", 0, False)
        pdt.assert_frame_equal(found.particles, analyse(scene.image, strict).particles)


def test_the_seconds_of_all_stages_are_noted(scene: Scene) -> None:
    stages = ("filter", "segment", "particles", "fourier", "defects")
    assert [f"seconds_{stage}" for stage in stages] == [
        name for name in analyse(scene.image).execution if name.startswith("seconds")
    ]


def unet(image: np.ndarray, *, pixel_size_nm: tuple[float, float] | None, **options: object) -> analysis.Analysis:
    """Analyze with the bundled network."""
    settings = Settings().updated({"segmentation": {**options}, "execution": {"device": "cpu"}})
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    return analysis.analyse(image, pixel_size_nm=pixel_size_nm, settings=settings, segmenter=segmenter)


def test_a_method_that_predicts_no_quality_gets_no_verdict(scene: Scene) -> None:
    found = analyse(scene.image).micrograph
    assert (found["verdict"], found["doubt_reasons"], found["median_diameter_network_px"]) == (None, None, None)
    assert found["area_to_number_median"] >= 1
    silent = unet(scene.image, pixel_size_nm=PIXEL, predict_quality=False).micrograph
    assert (silent["verdict"], silent["regime"]) == (None, "lattice")


def test_an_empty_mask_has_no_predicted_dice(rng: np.random.Generator) -> None:
    """White noise holds no particle, and its spectrum says so; a dark half plane is no empty field."""
    noise = rng.normal(1000, 30, (256, 256)).astype(np.float32)
    empty = unet(noise, pixel_size_nm=PIXEL)
    assert empty.status == "empty"
    assert empty.micrograph["quality_flags"] == "empty_field"
    assert (empty.micrograph["predicted_dice"], empty.micrograph["verdict"]) == (None, "trusted")
    unlike = analysis.segment_micrograph(
        noise, pixel_size_nm=PIXEL, settings=Settings(), segmenter=make_segmenter(Settings().segmentation, CPU)
    )
    contrasted = replace(unlike, micrograph={**unlike.micrograph, "quality_flags": None, "mass_contrast": 9.0})
    doubted = analysis.analyse_segmented(contrasted, pixel_size_nm=PIXEL, settings=Settings()).micrograph
    assert (doubted["verdict"], doubted["doubt_reasons"]) == ("doubtful", verdict.EMPTY_BUT_CONTRAST)


def test_a_forced_regime_is_doubted_and_corrected_labels_are_not(scene: Scene) -> None:
    forced = unet(scene.image, pixel_size_nm=None, regime="lattice").micrograph
    assert forced["pixel_size_in_training"] is False
    assert verdict.PIXEL_SIZE in str(forced["doubt_reasons"])
    settings = Settings().updated({"segmentation": {"regime": "lattice"}, "execution": {"device": "cpu"}})
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    corrected = analysis.analyse(
        scene.image, pixel_size_nm=None, settings=settings, segmenter=segmenter, corrected=scene.labels
    ).micrograph
    assert (corrected["verdict"], corrected["doubt_reasons"]) == ("trusted", None)
