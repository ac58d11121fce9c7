"""The quality gate: planted defects are flagged, good micrographs are not, and no image of any kind breaks it."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.loading import find_sources, list_micrographs, read_image
from hrtem_dask.loading.quality import quality_flags, quality_metrics
from hrtem_dask.simulation import simulate_scene

METRICS = {
    "sharpness", "anisotropy", "saturated_fraction", "gradient", "mass_contrast", "peak_snr", "image_hash",
}  # fmt: skip
DTYPES = ["?", "u1", "u2", ">u2", "u4", "i1", "i2", "i4", ">i4", "i8", "u8", "f2", "f4", ">f4", "f8", ">f8", "g"]


def expectation(seed: int, px_nm: float, n_particles: int, side: int = 384) -> np.ndarray:
    """Expected counts, mean 1: so many electrons that their noise is nothing beside what is added later."""
    scene = simulate_scene(
        seed=(7, seed), shape=(side, side), pixel_size_nm=px_nm, n_particles=n_particles, diameter_nm=(1.5, 2.5),
        dose_per_px=60_000, n_spikes=0,
    )  # fmt: skip
    return scene.image / 60_000


def draw(rng: np.random.Generator, expected: np.ndarray, dose: float) -> np.ndarray:
    """Counts with shot noise and four X-ray spikes."""
    counts = rng.poisson(dose * np.clip(expected, 0.01, None))
    counts.ravel()[rng.integers(0, counts.size, 4)] += int(20 * dose)
    return np.clip(counts, 0, 65535).astype(np.uint16)


def transfer(expected: np.ndarray, factor) -> np.ndarray:
    """Multiply the spectrum by a function of (fy, fx) in 1/px."""
    fy, fx = np.fft.fftfreq(expected.shape[0])[:, None], np.fft.rfftfreq(expected.shape[1])[None, :]
    return np.fft.irfft2(np.fft.rfft2(expected) * factor(fy, fx), s=expected.shape)


def drifted(expected: np.ndarray, length_px: float, angle: float) -> np.ndarray:
    return transfer(expected, lambda fy, fx: np.sinc(length_px * (fx * np.cos(angle) + fy * np.sin(angle))))


def blurred(expected: np.ndarray, sigma_px: float) -> np.ndarray:
    return transfer(expected, lambda fy, fx: np.exp(-2 * np.pi**2 * sigma_px**2 * (fy**2 + fx**2)))


def sloping(expected: np.ndarray, change: float, angle: float) -> np.ndarray:
    y, x = (np.linspace(-0.5, 0.5, n) for n in expected.shape)
    return expected * (1 + change * (x[None, :] * np.cos(angle) + y[:, None] * np.sin(angle)))


def flags_of(image: np.ndarray, px_nm: float | None) -> tuple[str, ...]:
    return quality_flags(quality_metrics(image, pixel_size_nm=None if px_nm is None else (px_nm, px_nm)))


def conditions(rng: np.random.Generator) -> tuple[float, float, float]:
    """Pixel size (nm), dose (e/px), an angle."""
    return rng.uniform(0.02, 0.05), float(np.exp(rng.uniform(np.log(200), np.log(2000)))), rng.uniform(0, np.pi)


def count_false(n: int) -> int:
    rng = np.random.default_rng(1)
    false = 0
    for i in range(n):
        px_nm, dose, _ = conditions(rng)
        n_particles = i % 2 * 6
        image = draw(rng, expectation(i, px_nm, n_particles, side=(256, 384, 512)[i % 3]), dose)
        found = set(flags_of(image, px_nm)) - (set() if n_particles else {"empty_field"})
        false += bool(found)
    return false


def shares_found(n: int) -> dict[str, float]:
    rng = np.random.default_rng(2)
    found = dict.fromkeys(("drift 0.15", "drift 0.3", "blur", "gradient", "saturation"), 0)
    for i in range(n):
        px_nm, dose, angle = conditions(rng)
        expected = expectation(i, px_nm, i % 2 * 6)
        for length in (0.15, 0.3):
            image = draw(rng, drifted(expected, length / px_nm, angle), dose)
            found[f"drift {length:g}"] += "drift" in flags_of(image, px_nm)
        # blur drowned in shot noise is no longer told from a low dose: enough electrons here
        found["blur"] += "blur" in flags_of(draw(rng, blurred(expected, 0.1 / px_nm), 2000), px_nm)
        image = draw(rng, sloping(expected, 0.6, angle), dose)
        found["gradient"] += "gradient" in flags_of(image, px_nm)
        image = np.minimum(draw(rng, expected, dose), np.uint16(dose * np.quantile(expected, 0.96)))
        found["saturation"] += "saturation" in flags_of(image, px_nm)
    return {name: count / n for name, count in found.items()}


def test_good_micrographs_are_not_flagged() -> None:
    assert count_false(50) <= 1


def test_planted_defects_are_flagged() -> None:
    found = shares_found(20)
    assert min(found["drift 0.3"], found["gradient"], found["saturation"]) == 1
    assert min(found["drift 0.15"], found["blur"]) >= 0.9, found


@pytest.mark.slow
def test_shares_over_many_micrographs() -> None:
    assert count_false(400) <= 8
    found = shares_found(150)
    assert min(found["drift 0.3"], found["gradient"], found["saturation"]) >= 0.99, found
    assert min(found["drift 0.15"], found["blur"]) >= 0.9, found


def test_empty_fields_are_told_from_full_ones() -> None:
    rng = np.random.default_rng(3)
    for i in range(6):
        px_nm, dose, _ = conditions(rng)
        assert "empty_field" in flags_of(draw(rng, expectation(i, px_nm, 0), dose), px_nm)
        assert "empty_field" not in flags_of(draw(rng, expectation(i, px_nm, 8), dose), px_nm)


def test_low_dose_and_low_magnification_are_no_blur(rng: np.random.Generator) -> None:
    for dose in (5, 20, 60):
        assert "blur" not in flags_of(draw(rng, expectation(dose, 0.04, 6), dose), 0.04)
    for seed in range(4):
        scene = simulate_scene(seed=seed, pixel_size_nm=0.2, diameter_nm=(4, 12), dose_per_px=400)
        assert flags_of(scene.image, 0.2) == ()


def test_anisotropy_grows_with_drift(rng: np.random.Generator) -> None:
    expected = expectation(1, 0.03, 6)
    rows = [draw(rng, drifted(expected, length / 0.03, 0.7), 2000) for length in (0, 0.1, 0.2)]
    found = [quality_metrics(image, pixel_size_nm=(0.03, 0.03))["anisotropy"] for image in rows]
    assert found[0] < found[1] < found[2]


def test_a_single_crystal_is_no_drift(rng: np.random.Generator) -> None:
    y, x = np.mgrid[:512, :512] * 0.03
    fringes = 0.3 * np.cos(2 * np.pi / 0.235 * (0.8 * x + 0.6 * y))
    image = draw(rng, expectation(2, 0.03, 0, side=512) + fringes, 1000)
    assert flags_of(image, 0.03) == ()


@pytest.mark.parametrize("change", [0.1, 0.4, 0.9])
def test_gradient_is_the_planted_change(change: float, rng: np.random.Generator) -> None:
    image = draw(rng, sloping(np.ones((300, 400)), change, 0.0), 500)
    assert quality_metrics(image, pixel_size_nm=None)["gradient"] == pytest.approx(change, abs=0.02)


def test_gradient_passes_over_particles(rng: np.random.Generator) -> None:
    expected = np.ones((400, 400))
    expected[:160, :160] = 0.6  # a large particle in a corner
    assert quality_metrics(draw(rng, expected, 500), pixel_size_nm=None)["gradient"] < 0.1


def test_gradient_about_an_arbitrary_zero(rng: np.random.Generator) -> None:
    flat = rng.normal(0, 1, (300, 300))
    assert quality_metrics(flat, pixel_size_nm=None)["gradient"] < 0.5
    assert quality_metrics(flat + np.linspace(-20, 20, 300), pixel_size_nm=None)["gradient"] > 0.5


def test_saturation_needs_a_spike_at_the_end(rng: np.random.Generator) -> None:
    def share(image: np.ndarray) -> float:
        return quality_metrics(image, pixel_size_nm=None)["saturated_fraction"]

    bright = rng.normal(200, 20, (400, 400))
    clipped = np.clip(bright, 0, 255).astype(np.uint8)
    assert share(clipped) == pytest.approx(np.mean(clipped == 255))
    both = np.clip(bright, 160, 240).astype(np.uint16)
    assert share(both) == pytest.approx(np.mean((both == 160) | (both == 240)))
    for dose in (0.05, 0.5, 3, 20, 1000):
        assert share(rng.poisson(dose, (400, 400)).astype(np.uint16)) == 0
    assert share(rng.random((400, 400)) > 0.5) == 0
    assert share(rng.random((400, 400))) == 0


@given(scale=st.floats(1e-6, 1e6), offset=st.floats(-10, 10))
@settings(max_examples=10)
def test_spectra_know_no_offset_and_scale(scale: float, offset: float) -> None:
    image = expectation(4, 0.04, 4, side=192) + np.random.default_rng(0).normal(0, 0.03, (192, 192))
    one = quality_metrics(image, pixel_size_nm=(0.04, 0.04))
    other = quality_metrics((image + offset) * scale, pixel_size_nm=(0.04, 0.04))
    for name in ("sharpness", "anisotropy", "mass_contrast", "peak_snr"):
        assert other[name] == pytest.approx(one[name], rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(dtype: str, xp_array, rng: np.random.Generator) -> None:
    counts = rng.poisson(60, (150, 170))
    image = xp_array(counts > 60 if dtype == "?" else counts.astype(dtype))
    before = image.tobytes()
    metrics = quality_metrics(image, pixel_size_nm=(0.03, 0.03))
    assert set(metrics) == METRICS
    assert image.tobytes() == before
    assert all(type(metrics[name]) is float for name in METRICS - {"image_hash"})
    assert "saturation" not in quality_flags(metrics)
    if dtype != "?":
        reference = quality_metrics(counts.astype(np.float64), pixel_size_nm=(0.03, 0.03))
        assert metrics["mass_contrast"] == pytest.approx(reference["mass_contrast"], rel=1e-2)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (3, 3), (1, 500), (500, 1), (95, 95), (20_000, 100)])
@pytest.mark.parametrize("content", ["constant", "noise", "nan", "infinite", "huge", "tiny"])
def test_every_shape_and_content(shape: tuple[int, int], content: str, rng: np.random.Generator) -> None:
    noise = rng.poisson(50, shape).astype(np.float64)
    image = {
        "constant": np.full(shape, 7.0),
        "noise": noise,
        "nan": np.full(shape, np.nan),
        "infinite": np.where(noise > 55, np.inf, noise),
        "huge": (noise - 50) * 1e306,
        "tiny": noise * 1e-310,
    }[content]
    metrics = quality_metrics(image, pixel_size_nm=(0.03, 0.05))
    assert set(metrics) == METRICS
    assert not {"drift", "blur", "saturation"} & set(quality_flags(metrics))
    for name in ("sharpness", "anisotropy", "saturated_fraction"):
        assert np.isnan(metrics[name]) or 0 <= metrics[name] <= 1
    if content == "constant" and image.size:
        assert quality_flags(metrics) == ("empty_field",)


def test_nan_pixels_are_ignored(rng: np.random.Generator) -> None:
    image = draw(rng, sloping(expectation(5, 0.03, 6), 0.6, 1.0), 1000).astype(np.float32)
    holed = image.copy()
    holed.ravel()[rng.integers(0, image.size, 200)] = np.nan
    assert quality_flags(quality_metrics(holed, pixel_size_nm=(0.03, 0.03))) == ("gradient",)


def test_hash_tells_pixels_shape_and_dtype_but_not_byte_order(rng: np.random.Generator) -> None:
    def name(image: np.ndarray) -> str:
        return quality_metrics(image, pixel_size_nm=None)["image_hash"]

    image = rng.integers(0, 1000, (20, 30)).astype("<u2")
    known = hashlib.blake2b(b"(20, 30)<u2" + image.tobytes(), digest_size=8).hexdigest()
    assert name(image) == name(image.astype(">u2")) == name(np.asfortranarray(image)) == known
    changed = image.copy()
    changed[3, 4] += 1
    assert len({known, name(changed), name(image.reshape(30, 20)), name(image.astype("<i2"))}) == 4


def test_flags_come_in_order_and_nan_is_no_flag() -> None:
    bad = {
        "sharpness": 0.0, "anisotropy": 1.0, "saturated_fraction": 1.0, "gradient": 9.0, "mass_contrast": 0.1,
        "peak_snr": 1.0,
    }  # fmt: skip
    assert quality_flags(bad) == ("blur", "drift", "empty_field", "saturation", "gradient")
    assert quality_flags(dict.fromkeys(bad, float("nan"))) == ()
    assert quality_flags(bad | {"peak_snr": float("nan")}) == ("blur", "drift", "saturation", "gradient")
    lenient = {"max_anisotropy": 1.0, "min_sharpness": 0.0, "max_saturated_fraction": 1.0, "max_gradient": 9.0}
    assert quality_flags(bad, **lenient, empty_mass_contrast=0) == ()


def test_no_micrograph_no_quality() -> None:
    for image in (np.zeros((2, 3, 4)), np.zeros((4, 4), complex)):
        with pytest.raises(ValueError, match="real image"):
            quality_metrics(image, pixel_size_nm=None)


def test_good_real_micrographs_are_not_flagged(data: Path) -> None:
    paths = [data / f"tem_sintering/images/image_{i}.png" for i in range(8)]
    paths += [data / f"pynanofind/images/{name}_dots_medfilt_445px.png" for name in ("au", "cdse")]
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        assert flags_of(image, None) == (), path.name


def test_scan_jitter_of_a_real_stem_image_is_flagged(data: Path) -> None:
    (source,) = find_sources(data / "native/openNCEM/16_STOimage.emi")
    (record,) = list_micrographs(source)
    image = np.asarray(read_image(record))
    assert quality_flags(quality_metrics(image, pixel_size_nm=record.pixel_size_nm)) == ("drift",)
