"""Tiles: an instance on a seam is found once, and whole."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hrtem_dask.detection import Instances
from hrtem_dask.detection.clipping import clip_boxes
from hrtem_dask.detection.rotated_boxes import canonical
from hrtem_dask.detection.rotated_iou import rotated_iou, rotated_nms
from hrtem_dask.detection.tiles import detect_in_tiles, tile_starts


@pytest.mark.parametrize(("side", "tile", "overlap"), [(100, 128, 32), (128, 128, 32), (129, 128, 32), (1000, 128, 40)])
def test_tiles_cover_the_image_and_overlap(side: int, tile: int, overlap: int) -> None:
    starts = tile_starts(side, tile, overlap)
    ends = [min(start + tile, side) for start in starts]
    assert starts[0] == 0
    assert ends[-1] == side
    assert all(end - start >= overlap for end, start in zip(ends, starts[1:], strict=False))


def _rods(rng: np.random.Generator) -> np.ndarray:
    """Return rods of up to 90 px, of which no two are nearly the same."""
    boxes = canonical(np.column_stack([rng.uniform(0, 400, 150), rng.uniform(0, 300, 150), rng.uniform(30, 90, 150),
                                       rng.uniform(6, 14, 150), rng.uniform(0, 180, 150)]))  # fmt: skip
    whole = clip_boxes(boxes, (300, 400))[1] == 1
    return boxes[whole][rotated_nms(boxes[whole], rng.random(int(whole.sum())), iou_threshold=0.2)]


@pytest.mark.parametrize("seed", range(5))
def test_every_rod_is_found_once_as_in_the_whole_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rods = _rods(rng)
    assert len(rods) > 40
    image = np.arange(300 * 400, dtype=np.float32).reshape(300, 400)  # so that a tile knows where it is

    def detect(tile: np.ndarray) -> Instances:
        """Find what lies in a tile as a detector does: cut at its border, a little wrong, most of the time sure."""
        y0, x0 = divmod(int(tile[0, 0]), 400)
        inside = (rods[:, 0] > x0) & (rods[:, 0] < x0 + 160) & (rods[:, 1] > y0) & (rods[:, 1] < y0 + 160)
        boxes, share = clip_boxes(rods[inside] - [x0, y0, 0, 0, 0], (160, 160))
        boxes = canonical(boxes + rng.normal(0, 0.3, boxes.shape))
        return Instances.from_rotated_boxes(boxes, shape=(160, 160), class_names="rod", scores=0.6 + 0.3 * share)

    found = detect_in_tiles(image, detect, tile_px=160, overlap_px=100)
    iou = rotated_iou(found.rotated_boxes, rods)
    assert len(found) == len(rods)
    assert iou.max(axis=0).min() > 0.6
    assert sorted(iou.argmax(axis=1)) == list(range(len(rods)))
    assert (np.diff(found.scores) <= 0).all()


def test_crossing_rods_of_one_tile_stay() -> None:
    boxes = np.array([[50, 50, 60, 10, 0], [50, 50, 60, 10, 20.0]])
    crossed = Instances.from_rotated_boxes(boxes, shape=(100, 100), class_names="rod")
    found = detect_in_tiles(np.zeros((100, 100)), lambda _: crossed, tile_px=128, overlap_px=32)
    assert len(found) == 2


def test_nothing_found() -> None:
    none = Instances.from_rotated_boxes(np.zeros((0, 5)), shape=(64, 64), class_names="rod")
    found = detect_in_tiles(np.zeros((100, 100)), lambda _: none, tile_px=64, overlap_px=16)
    assert len(found) == 0
    assert_allclose(found.shape, (100, 100))
