"""What an image shows, judged by its pixels: patterns of reciprocal space and masks, and no false alarm."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtem_dask.loading import find_sources, list_micrographs, read_image
from hrtem_dask.loading.content import judge_content
from hrtem_dask.simulation import SceneContrast, simulate_scene


def radius_of(n: int, center: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, x = np.mgrid[:n, :n]
    return np.hypot(y - center[0], x - center[1]), y - center[0], x - center[1]


def spots(n: int, seed: int, *, dose: float = 100.0) -> np.ndarray:
    """Return a simulated pattern of a thin crystal: central beam, decaying spots, diffuse background, counts."""
    rng = np.random.default_rng(seed)
    radius, y, x = radius_of(n, n / 2 + rng.uniform(-20, 20, 2))
    image = dose * (0.6 * np.exp(-radius / (0.06 * n)) + 0.05 * np.exp(-radius / (0.25 * n)))
    length, angle = n * rng.uniform(0.06, 0.14), rng.uniform(0, np.pi)
    first, second = (length * np.array([np.cos(a), np.sin(a)]) for a in (angle, angle + np.pi / 3))
    for h in range(-8, 9):
        for k in range(-8, 9):
            place = h * first + k * second
            height = 60 if h == k == 0 else 6 * np.exp(-((np.hypot(*place) / (0.28 * n)) ** 2)) * rng.lognormal(0, 0.5)
            near = (np.abs(y - place[0]) < 15) & (np.abs(x - place[1]) < 15)
            image[near] += dose * height * np.exp(-((y[near] - place[0]) ** 2 + (x[near] - place[1]) ** 2) / 2 / 2.5**2)
    return rng.poisson(image + 2).astype(np.uint16)


def rings(n: int, seed: int) -> np.ndarray:
    """Return a simulated pattern of many small crystals (cubic face-centered) on carbon."""
    rng = np.random.default_rng(seed)
    radius, _, _ = radius_of(n, n / 2 + rng.uniform(-20, 20, 2))
    image = 300 * np.exp(-radius / (0.05 * n)) + 6000 * np.exp(-(radius**2) / 32) + 10 * np.exp(-radius / (0.3 * n))
    for q, height in zip(np.sqrt([3, 4, 8, 11, 12, 16, 19]) * n * 0.08, (50, 25, 20, 20, 5, 5, 10), strict=True):
        image += height * np.exp(-((radius - q) ** 2) / 2 / 2.5**2)
    return rng.poisson(image + 1).astype(np.uint16)


def crystal(n: int, seed: int, *, period_px: float) -> np.ndarray:
    """Return a field of strong lattice fringes in three directions, with counts."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n]
    angle = rng.uniform(0, np.pi)
    image = sum(
        np.cos(2 * np.pi * (y * np.sin(a) + x * np.cos(a)) / period_px) for a in angle + np.arange(3) * np.pi / 3
    )
    return rng.poisson(60 + 15 * image).astype(np.uint16)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("shown_as", ["counts", "logarithm", "8 bits", "off center"])
def test_spots_are_a_diffraction_pattern(seed: int, shown_as: str) -> None:
    image = spots(512, seed)
    if shown_as == "logarithm":
        image = np.log1p(image).astype(np.float32)
    elif shown_as == "8 bits":
        image = np.minimum(image, 255).astype(np.uint8)
    elif shown_as == "off center":
        image = image[40:, 60:]
    content = judge_content(image)
    assert (content.flag, content.is_certain) == ("diffraction", True)
    assert "spots" in content.reason


@pytest.mark.parametrize("seed", range(3))
def test_rings_are_a_diffraction_pattern(seed: int) -> None:
    for image in (rings(1024, seed), np.log1p(rings(1024, seed))):
        content = judge_content(image)
        assert (content.flag, content.is_certain) == ("diffraction", True)


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_stop_hides_no_rings(seed: int) -> None:
    """A stop from the border to the middle: the brightest place lies beside the center."""
    angle = np.random.default_rng(seed + 100).uniform(0, 2 * np.pi)
    center = 512 + np.random.default_rng(seed).uniform(-20, 20, 2)  # that of `rings`
    _, y, x = radius_of(1024, center)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    stopped = np.where((along > -24) & (np.abs(across) < 24), 2, rings(1024, seed))
    for image in (stopped.astype(np.uint16), np.log1p(stopped).astype(np.float32)):
        content = judge_content(image)
        assert (content.flag, content.is_certain) == ("diffraction", True), angle
        assert "rings" in content.reason


def test_a_core_and_two_shells_are_no_pattern() -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        radius, _, _ = radius_of(512, 256 + rng.uniform(-30, 30, 2))
        shells = sum(60 * np.exp(-((radius - r) ** 2) / 2 / 3**2) for r in (60, 90))
        assert judge_content(rng.poisson(5 + 80 * np.exp(-((radius / 50) ** 4)) + shells)).flag in ("", "diffraction")
        assert not judge_content(rng.poisson(5 + 80 * np.exp(-((radius / 50) ** 4)) + shells)).is_certain


@pytest.mark.parametrize("n", [255, 256, 600])
@pytest.mark.parametrize("shown_as", ["power", "logarithm", "jpeg", "smaller"])
def test_fourier_transforms(n: int, shown_as: str) -> None:
    scene = simulate_scene(seed=n, shape=(n, n), n_particles=2, pixel_size_nm=0.03).image
    power = np.abs(np.fft.fftshift(np.fft.fft2(scene))) ** 2
    if shown_as != "power":
        power = np.log(power + 1)
    if shown_as == "jpeg":
        scaled = (255 * (power - power.min()) / np.ptp(power)).astype(np.uint8)
        power = cv2.imdecode(cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_UNCHANGED)
    elif shown_as == "smaller":
        power = cv2.resize(power, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    content = judge_content(power)
    assert (content.flag, content.is_certain) == ("fourier_transform", True)


def test_a_ronchigram_and_few_rings_are_doubts() -> None:
    rng = np.random.default_rng(0)
    radius, _, _ = radius_of(512, np.array([250.0, 259.0]))
    shadow = 1 + 0.3 * cv2.GaussianBlur(rng.normal(size=(512, 512)), (0, 0), 5) / 0.056
    disk = rng.poisson(np.where(radius < 200, 100 * np.maximum(shadow, 0), 2))
    assert (judge_content(disk).flag, judge_content(disk).is_certain) == ("illuminated_disk", False)
    halo = (
        300 * np.exp(-radius / 25) + 40 * np.exp(-((radius - 92) ** 2) / 2 / 15**2) + 6000 * np.exp(-(radius**2) / 32)
    )
    content = judge_content(rng.poisson(halo + 20 * np.exp(-((radius - 160) ** 2) / 2 / 20**2) + 1))
    assert not content.is_certain


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_masks_and_labels(dtype: type) -> None:
    y, x = np.mgrid[:300, :400]
    labels = np.zeros((300, 400), np.uint16)
    for number, (cy, cx) in enumerate([(60, 60), (60, 200), (150, 330), (230, 100), (250, 300)], start=1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 30**2] = number
    mask = (labels > 0).astype(dtype) * (255 if dtype is np.uint8 else 1)
    for image in (labels, mask.astype(dtype)):
        assert (judge_content(image).flag, judge_content(image).is_certain) == ("mask", True)


@pytest.mark.parametrize("seed", range(3))
def test_micrographs_are_micrographs(seed: int) -> None:
    """Fringes, particles with fringes, few counts, few gray values, one big particle, and shapes without noise."""
    rng = np.random.default_rng(seed)
    radius, _, _ = radius_of(400, np.array([200.0, 200.0]))
    bright = rng.poisson(5 + 200 * np.sqrt(np.maximum(1 - (radius / 90) ** 2, 0)))
    contrast = SceneContrast(darkness=0.3)
    scene = simulate_scene(seed=seed, shape=(512, 512), n_particles=6, pixel_size_nm=0.03, contrast=contrast).image
    few = rng.poisson(0.1, (256, 256)).astype(np.uint8)
    coarse = (scene / scene.max() * 12).astype(np.uint8)
    smooth = (200 - 150 * np.exp(-(radius**2) / 2 / 60**2)).astype(np.uint8)
    y, x = np.mgrid[-200:200, -200:200]
    perfect = [np.cos(y * 2 * np.pi / p) + np.cos((x * 0.87 + y * 0.5) * 2 * np.pi / p) for p in (4.3, 7, 12, 31)]
    fringes = [crystal(512, seed, period_px=p) for p in (5, 9, 20, 43)]
    for image in (*perfect, *fringes, bright, scene, few, coarse, smooth):
        assert judge_content(image).flag == ""


def test_odd_images_are_no_trouble() -> None:
    for image in (np.zeros((64, 64)), np.full((100, 90), np.nan), np.ones((1, 5)), np.arange(9.0).reshape(3, 3)):
        assert judge_content(image).flag == ""
    holes = crystal(256, 0, period_px=9).astype(np.float32)
    holes[:40] = np.nan
    assert judge_content(holes).flag == ""


FOLDERS = (
    "gold_scalebar", "catalyst_boxes/images", "unlabelled", "cdte_stacking_fault", "native", "emps_tem/images",
    "tem_sintering/images", "dtsegnet/images", "dislocation_loops/images",
)  # fmt: skip


def false_alarms(data: Path, *, every: int) -> tuple[int, list[str]]:
    """Judge real micrographs; return how many, and what was said of those that are taken for something else."""
    sources = [source for folder in FOLDERS for source in find_sources(data / folder)][::every]
    n, wrong = 0, []
    for record in (r for source in sources for r in list_micrographs(source)[:3] if r.status == "ok"):
        n += 1
        content = judge_content(read_image(record))
        wrong += [f"{record.source.relative}: {content}"] if content.flag else []
    return n, wrong


def test_no_real_micrograph_is_refused(data: Path) -> None:
    n, wrong = false_alarms(data, every=6)
    assert n >= 30
    assert not wrong


@pytest.mark.slow
def test_not_one_of_all_real_micrographs_is_refused(data: Path) -> None:
    n, wrong = false_alarms(data, every=1)
    assert n > 200
    assert not wrong


def test_masks_drawn_by_hand(data: Path) -> None:
    for source in find_sources(data / "tem_sintering" / "masks")[::4]:
        assert judge_content(read_image(list_micrographs(source)[0])).flag == "mask"
