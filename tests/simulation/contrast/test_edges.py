"""The truth is the geometric edge: where image and labels lie against each other, to a fraction of a pixel."""

import numpy as np
import pytest
from scipy import ndimage

from hrtem_dask.simulation.contrast.arrangement import Placed
from hrtem_dask.simulation.contrast.bodies import Body, ellipsoid, scaled
from hrtem_dask.simulation.contrast.lens import Lens, image_intensity
from hrtem_dask.simulation.contrast.painting import Canvas, Material, paint
from hrtem_dask.simulation.contrast.shapes import Habit, make_body

SIZE, MARGIN = 128, 16
EVEN = Material(depth_per_px=0.02, phase_per_depth=0.0, interiors={"plain": 1.0}, diffraction=1e-9)


def painted(*bodies: tuple[Body, float, float], material: Material = EVEN) -> Canvas:
    canvas = Canvas.empty(SIZE, MARGIN)
    placed = [Placed("disk", body, y, x) for body, y, x in bodies]
    kept, _ = paint(np.random.default_rng(0), canvas, placed, material)
    assert len(kept) == len(bodies)
    return canvas


def disk(diameter_px: float) -> Body:
    return scaled(ellipsoid(1, 1, 0.5, plate=True), diameter_px)


def radii_at_half(image: np.ndarray, y: float, x: float, radius: float) -> np.ndarray:
    """Radius at which the image passes half of the way from the middle to the outside, in 90 directions."""
    r = np.arange(radius - 8, radius + 8, 0.02)
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)[:, None]
    profile = ndimage.map_coordinates(image, [y + r * np.sin(angle), x + r * np.cos(angle)], order=3)
    half = (image[round(y), round(x)] + np.median(image)) / 2
    return np.asarray(r[np.argmax(profile > half, axis=1)])


@pytest.mark.parametrize("blur_px", [0.7, 1.5])
@pytest.mark.parametrize("depth", [0.01, 0.06])
@pytest.mark.parametrize(("y", "x"), [(64.0, 64.0), (63.3, 65.45)])
def test_half_level_of_a_blurred_disk_is_the_truth(y: float, x: float, depth: float, blur_px: float) -> None:
    material = Material(depth_per_px=depth, phase_per_depth=0.0, interiors={"plain": 1.0}, diffraction=1e-9)
    canvas = painted((disk(60.0), y, x), material=material)
    image = canvas.field(image_intensity(canvas.transmission, canvas.phase, Lens(blur_px=blur_px)))
    found = radii_at_half(image, y, x, 30.0)
    # the blur of a curved edge moves its half level inward by σ²/2R
    assert found + blur_px**2 / 60 == pytest.approx(30.0, abs=0.1)
    assert found.mean() + blur_px**2 / 60 == pytest.approx(30.0, abs=0.03)


def test_half_level_stays_at_the_truth_out_of_focus() -> None:
    material = Material(depth_per_px=0.005, phase_per_depth=0.8, interiors={"plain": 1.0}, diffraction=1e-9)
    canvas = painted((disk(60.0), 64.0, 64.0), material=material)
    for overfocus in (True, False):
        lens = Lens(fresnel_px=1.0, is_overfocus=overfocus, blur_px=1.2)
        image = canvas.field(image_intensity(canvas.transmission, canvas.phase, lens))
        assert radii_at_half(image, 64.0, 64.0, 30.0).mean() == pytest.approx(30.0, abs=0.15)


def test_underfocus_makes_the_outer_fringe_bright() -> None:
    material = Material(depth_per_px=0.01, phase_per_depth=1.0, interiors={"plain": 1.0}, diffraction=1e-9)
    canvas = painted((disk(50.0), 64.0, 64.0), material=material)
    for propagates in (True, False):
        under, over = (
            canvas.field(
                image_intensity(
                    canvas.transmission,
                    canvas.phase,
                    Lens(fresnel_px=1.5, is_overfocus=is_over, uses_propagator=propagates, blur_px=0.5),
                )
            )
            for is_over in (False, True)
        )
        assert under[64, 64 + 27] > 1.005 > 1.0 > over[64, 64 + 27]
        assert under[64, 64 + 26] - over[64, 64 + 26] > 0.03


@pytest.mark.parametrize("shape", ["sphere", "ellipsoid", "rod", "flat_rod", "disk", "rounded_cube", "cube"])
def test_nothing_is_shifted_between_image_and_labels(shape: str) -> None:
    body = make_body(np.random.default_rng(1), shape, Habit(roundness=0.6), 40.0, 0.3)
    lens = Lens(blur_px=1.0, drift_px=2.0, fresnel_px=1.0, astigmatism=0.3)
    differences = []
    for y, x in np.random.default_rng(2).uniform(60, 68, (24, 2)):
        canvas = painted((body, float(y), float(x)))
        dark = 1 - canvas.field(image_intensity(canvas.transmission, canvas.phase, lens))
        mask = canvas.field(canvas.labels) > 0
        contrast = ndimage.center_of_mass(np.where(ndimage.binary_dilation(mask, iterations=6), dark, 0))
        truth = np.array([y, x]) + body.moments.centroid_px
        assert contrast == pytest.approx(truth, abs=0.05)
        differences.append(np.array(ndimage.center_of_mass(mask)) - contrast)
    # one label's centroid hops with the pixels it takes in; on average it is where the contrast is
    assert np.abs(np.mean(differences, axis=0)).max() < 0.05
    assert np.abs(differences).max() < 0.2


def test_a_sphere_reaches_its_own_radius() -> None:
    canvas = painted((scaled(ellipsoid(1, 1, 1), 50.0), 64.2, 63.7))
    y, x = np.ogrid[:SIZE, :SIZE]
    np.testing.assert_array_equal(canvas.field(canvas.labels) > 0, np.hypot(y - 64.2, x - 63.7) < 25)


@pytest.mark.parametrize("gap", [1.5, 3.0])
def test_gaps_keep_particles_apart_and_touching_ones_keep_their_ids(gap: float) -> None:
    canvas = painted((disk(40.0), 64.0, 40.0), (disk(40.0), 64.0, 80.0 + gap))
    labels = canvas.field(canvas.labels)
    assert ndimage.label(labels > 0)[1] == 2
    touching = painted((disk(40.0), 64.0, 40.0), (disk(40.0), 64.0, 80.0))
    assert set(np.unique(touching.labels)) == {0, 1, 2}
    for k, x in ((1, 40), (2, 80 + gap)):
        area = (labels == k).sum()
        assert area == pytest.approx(400 * np.pi, abs=0.5 * 40 * np.pi)
        assert ndimage.center_of_mass(labels == k) == pytest.approx((64, x), abs=0.05)


def test_the_upper_particle_takes_the_overlap_and_both_absorb() -> None:
    canvas = painted((disk(40.0), 64.0, 50.0), (disk(40.0), 64.0, 75.0))
    labels, through = canvas.field(canvas.labels), canvas.field(canvas.transmission)
    assert labels[64, 62] == 2
    assert through[64, 62] == pytest.approx(through[64, 40] * through[64, 85], rel=1e-4)
