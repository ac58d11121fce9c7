"""Masks judged without labels: exact on networks whose symmetry is known, and empty masks agree."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hrtem_dask.segmentation.quality.agreement import COPIES, judge_mask, mask_agreement, turned, turned_back
from hrtem_dask.segmentation.quality.dice_model import DiceModel
from hrtem_dask.segmentation.weights import load_dice_model, model_metadata, save_model, with_dice_model


def probability(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def judged(image: np.ndarray, network: Callable[[Any], Any], **options: Any) -> dict[str, float]:
    p = probability(network(image[None])[0])
    terms = judge_mask(image, p, network, **({"threshold": 0.5, "stride_px": 4} | options))
    assert terms is not None
    return terms


def symmetric(images: np.ndarray) -> np.ndarray:
    """Particle where dark: the same in every direction."""
    return np.asarray(20 * (0.5 - images), np.float32)


def leaning(images: np.ndarray) -> np.ndarray:
    """Particle in the upper half, whatever there is."""
    y = np.arange(images.shape[1])[None, :, None]
    return np.broadcast_to(np.where(y < images.shape[1] // 2, 9.0, -9.0), images.shape).astype(np.float32)


def test_turns_are_turns_and_undone() -> None:
    image = np.arange(12).reshape(3, 4)
    seen = set()
    for quarters in range(4):
        for mirrored in (False, True):
            copy = turned(image, quarters, mirrored)
            np.testing.assert_array_equal(turned_back(copy, quarters, mirrored), image)
            seen.add((copy.shape, tuple(copy.flatten().tolist())))
    assert len(seen) == 8
    assert len({tuple(turned(image, *how).flatten().tolist()) for how in COPIES}) == len(COPIES)


def test_agreement_is_the_mean_dice_of_pairs() -> None:
    masks = np.zeros((3, 4, 5), bool)
    masks[0, 0], masks[1, :2], masks[2, 3] = True, True, True
    assert mask_agreement(masks) == pytest.approx((2 * 5 / 15 + 0 + 0) / 3)
    empty = np.zeros((3, 4, 5), bool)
    assert mask_agreement(empty) == 1
    empty[0, 0, 0] = True
    assert mask_agreement(empty) == pytest.approx(1 / 3)  # one pair of three agrees: that of the empty ones


@pytest.mark.parametrize("shape", [(64, 64), (61, 83), (200, 90)])
def test_a_symmetric_network_agrees_and_a_leaning_one_does_not(shape: tuple[int, int], xp_array: Any) -> None:
    image = xp_array(np.random.default_rng(0).random(shape, dtype=np.float32))
    assert judged(image, symmetric)["mask_agreement"] == 1
    # of the upper half, the left, the lower and the right one, four of six pairs share a half of themselves
    square = xp_array(np.random.default_rng(0).random((64, 64), dtype=np.float32))
    halves = judged(square, leaning)["mask_agreement"]
    sets = [np.zeros((2, 2), bool) for _ in range(4)]
    sets[0][0], sets[1][:, 1], sets[2][0], sets[3][:, 0] = True, True, True, True
    pairs = [(a, b) for i, a in enumerate(sets) for b in sets[i + 1 :]]
    assert halves == pytest.approx(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))


def test_the_window_is_the_doubtful_one_and_begins_on_a_block() -> None:
    image = np.zeros((150, 230), np.float32)  # no particle, surely
    image[80:110, 160:190] = 0.5  # p = 0.5
    sizes, first = [], []

    def network(images: np.ndarray) -> np.ndarray:
        sizes.append(images.shape)
        first.append(images[0].copy())
        return np.asarray(40 * (images - 0.5), np.float32)

    judged(image, network, window_px=66, stride_px=8)
    assert (
        sizes[1:] == [(1, 64, 64)] * 4
    )  # the window itself, since the whole image has no such border, and three copies
    assert (first[1] > 0).sum() == 30 * 30
    rows, columns = np.nonzero(first[1])
    assert (80 - rows.min()) % 8 == 0
    assert (160 - columns.min()) % 8 == 0
    assert judge_mask(image[:7], image[:7], network, threshold=0.5, stride_px=8) is None


def test_confidence_is_the_expected_dice_and_of_nothing_how_sure_it_is() -> None:
    rng = np.random.default_rng(1)
    image = np.clip(rng.normal(0.6, 0.15, (96, 96)), 0, 1).astype(np.float32)
    p = 1 / (1 + np.exp(-symmetric(image).astype(float)))
    truths = rng.random((4000, 40, 40)) < p[None, :40, :40]
    mask = p[:40, :40] >= 0.5
    drawn = np.mean([2 * (mask & t).sum() / (mask.sum() + t.sum()) for t in truths])
    assert judged(image[:40, :40], symmetric)["mask_confidence"] == pytest.approx(drawn, abs=2e-3)
    empty = judged(np.full((32, 32), 0.9, np.float32), symmetric)
    p_max = 1 / (1 + np.exp(20 * 0.4))
    assert empty == {
        "mask_confidence": pytest.approx(1 - p_max),
        "mask_fraction": 0.0,
        "outline_entropy": 0.0,
        "mask_agreement": 1.0,
    }


def test_the_network_is_not_asked_again_where_nobody_wants_to_know() -> None:
    image = np.random.default_rng(0).random((32, 32), dtype=np.float32)

    def never(_: Any) -> Any:
        raise AssertionError("asked again")

    terms = judge_mask(image, image, never, threshold=0.5, stride_px=4, turn=False)
    assert terms is not None
    assert terms["mask_fraction"] == (image >= 0.5).mean()
    assert "mask_agreement" not in terms


def test_entropy_is_that_of_the_outline_only() -> None:
    image = np.full((64, 64), 1.0, np.float32)
    image[20:40, 20:40] = 0.0

    def blurred(width: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda images: np.asarray((0.5 - images) * width, np.float32)

    sharp, soft = (judged(image, blurred(width))["outline_entropy"] for width in (40.0, 2.0))
    p = 1 / (1 + np.exp(-1.0))
    assert soft == pytest.approx(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)), rel=1e-4)
    assert sharp < 1e-5
    image[5, 5] = image[60, 2] = 0.51  # doubtful, far from any outline
    assert judged(image, blurred(2.0))["outline_entropy"] == pytest.approx(soft)


MODEL = DiceModel(
    intercept=1.0,
    coefficients={"mask_agreement": 2.0, "mask_confidence": 1.0, "outline_entropy": -1.0, "distance_from_training": -1},
    centres={"mask_agreement": 0.0, "mask_confidence": 0.0, "outline_entropy": 0.3, "distance_from_training": 0.0},
    scales={"mask_agreement": 0.2, "mask_confidence": 2.0, "outline_entropy": 0.1, "distance_from_training": 0.5},
    empty_dice=0.7,
    ranges={"log_pixel_size": (float(np.log(0.02)), float(np.log(0.06))), "sharpness": (0.2, 0.8)},
)
TERMS = {"mask_agreement": 0.5, "mask_confidence": 0.5, "outline_entropy": 1 - np.exp(-0.3), "mask_fraction": 0.2}


def test_the_guess_is_monotone_and_between_0_and_1() -> None:
    inside = {"pixel_size_nm": 0.03, "sharpness": 0.5}
    assert MODEL.predict(TERMS, inside) == pytest.approx(1 / (1 + np.exp(-1)))
    for name, sign in (("mask_agreement", 1), ("mask_confidence", 1), ("outline_entropy", -1)):
        guesses = [MODEL.predict({**TERMS, name: v}, inside) for v in np.linspace(0, 1, 20)]
        assert (np.diff(guesses) * sign >= 0).all()
        assert guesses[0] != guesses[-1]
        assert 0 <= min(guesses) <= max(guesses) <= 1
    assert MODEL.predict({**TERMS, "mask_fraction": 0.0}, inside) == 0.7
    assert MODEL.predict({**TERMS, "mask_agreement": -1e9}, inside) > 0  # beyond four deviations nothing was fitted


def test_distance_is_counted_beyond_the_range_and_unknown_is_none() -> None:
    distance = MODEL.distance_from_training
    assert distance({"pixel_size_nm": 0.03, "sharpness": 0.5}) == 0
    assert distance({"pixel_size_nm": None, "sharpness": float("nan")}) == 0
    assert distance({}) == 0
    assert distance({"sharpness": 1.1}) == pytest.approx(1.0)
    assert distance({"sharpness": 1.1, "pixel_size_nm": 0.06 * 3}) == pytest.approx(np.log(3) / (np.log(3) / 2))
    assert distance({"pixel_size_nm": 1e6}) == 5
    far = MODEL.predict(TERMS, {"sharpness": 1.1})
    assert far < MODEL.predict(TERMS, {})


def test_a_pixel_size_near_those_of_training_has_been_seen() -> None:
    inside, outside = (0.02, 0.05, 0.1), (0.008, 0.12, 1.0, None)
    assert [MODEL.has_seen_pixel_size(size) for size in (*inside, *outside)] == [True] * 3 + [False] * 4
    without = dataclasses.replace(MODEL, ranges={})
    assert [without.has_seen_pixel_size(size) for size in (0.05, None)] == [None, None]


def test_it_travels_in_the_networks_file(tmp_path: Any, random_unet: Any) -> None:
    net = tmp_path / "net.safetensors"
    save_model(random_unet(widths=(2,), centre=2), net, metadata={"licence": "GPL"})
    assert load_dice_model(net) is None
    with_dice_model(net, MODEL, net)
    assert load_dice_model(net) == MODEL
    assert model_metadata(net)["licence"] == "GPL"
    for damaged in ("{", '{"intercept": 1}', MODEL.to_json().replace("0.3", "NaN", 1), '{"a":1}', "[]",
                    MODEL.to_json().replace("mask_agreement", "luck")):  # fmt: skip
        with pytest.raises(ValueError):  # noqa: PT011 - of whichever kind, it becomes one ModelError
            DiceModel.from_json(damaged)


@pytest.mark.gpu_arrays
def test_terms_on_cuda_equal_those_on_the_cpu() -> None:
    import cupy

    image = np.random.default_rng(0).random((200, 130), dtype=np.float32)
    p = probability(symmetric(image))

    def on_device(images: Any) -> Any:
        return (20 * (0.5 - images)).astype(np.float32)

    options: dict[str, Any] = {"threshold": 0.5, "stride_px": 8, "window_px": 64}
    cpu = judge_mask(image, p, symmetric, **options)
    cuda = judge_mask(cupy.asarray(image), cupy.asarray(p), on_device, **options)
    assert cuda == pytest.approx(cpu, abs=1e-5)
