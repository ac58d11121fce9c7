"""Annotations of every format: what is written returns, and positions are those of the pixels."""

import json
import math
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.detection.instance_masks import InstanceMask, mask_of_box
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_boxes import angle_difference_deg, canonical
from hrtem_dask.storage.annotations import FORMATS, AnnotatedImage, AnnotationError, read_annotations, write_annotations

SHAPE = (90, 130)
HOLDS_CLASSES = set(FORMATS) - {"napari", "labels"}
TURNS = {"coco", "yolo_obb", "labelimg_rotated", "labelme", "napari"}
POSITION_PX = {"yolo": 1e-5, "yolo_obb": 1e-4, "labelimg_rotated": 1e-5, "napari": 1e-4, "pascal_voc": 1e-5}

boxes = st.tuples(
    st.floats(15, 115), st.floats(15, 75), st.floats(3, 40), st.floats(2, 14), st.floats(-90, 89.9)
).map(lambda b: canonical(np.array([*b[:2], *sorted(b[2:4], reverse=True), b[4]])))  # fmt: skip


@st.composite
def images(draw: st.DrawFn, *, masks: bool) -> AnnotatedImage:
    """An image with up to six instances, which may overlap."""
    drawn = np.array(draw(st.lists(boxes, max_size=6))).reshape(-1, 5)
    n = len(drawn)
    instances = Instances.from_rotated_boxes(
        drawn,
        shape=SHAPE,
        class_names=np.array(
            draw(st.lists(st.sampled_from(["rod", "end_on_rod", "Würfel"]), min_size=n, max_size=n)), str
        ),
        ignored=np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool),
        masks=[mask_of_box(box, SHAPE) for box in drawn] if masks else None,
    )
    keep = np.array([m.area_px > 0 for m in instances.masks], bool) if instances.masks is not None else np.ones(n, bool)
    return AnnotatedImage(name="a.png", instances=instances.select(keep), doubtful=np.zeros(int(keep.sum()), bool))


def round_trip(image: AnnotatedImage, format: str, suffix: str | None = None) -> AnnotatedImage:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"a{suffix or FORMATS[format]}"
        names = ["end_on_rod", "rod", "Würfel"] if format in HOLDS_CLASSES else None
        write_annotations(file, image, format=format, class_names=names)
        [again] = read_annotations(file, shape=SHAPE)
    return again


@pytest.mark.parametrize("format", sorted(set(FORMATS) - {"labels"}))
@given(image=images(masks=False))
@settings(max_examples=25, deadline=None)
def test_boxes_return(format: str, image: AnnotatedImage) -> None:
    again = round_trip(image, format).instances
    before = image.instances
    assert len(again) == len(before)
    assert again.masks is None or not len(before)
    tolerance = POSITION_PX.get(format, 1e-9)
    assert again.boxes == pytest.approx(before.boxes, abs=tolerance) if len(before) else True
    if format in TURNS and len(before):
        assert again.rotated_boxes[:, :4] == pytest.approx(before.rotated_boxes[:, :4], abs=tolerance)
        # a square has no one direction
        nearly_square = before.rotated_boxes[:, 2] - before.rotated_boxes[:, 3] < 0.01
        turn = angle_difference_deg(again.rotated_boxes[:, 4], before.rotated_boxes[:, 4])
        assert np.abs(turn[~nearly_square]) == pytest.approx(0, abs=0.02)
    if format in HOLDS_CLASSES:
        assert again.class_names.tolist() == before.class_names.tolist()
    if format in ("coco", "pascal_voc", "labelme"):
        assert again.ignored.tolist() == before.ignored.tolist()


@pytest.mark.parametrize(("format", "suffix"), [("coco", ".json"), ("labelme", ".json"), ("labels", ".tif"),
                                                ("labels", ".npy"), ("napari", ".csv")])  # fmt: skip
@given(image=images(masks=True))
@settings(max_examples=20, deadline=None)
def test_masks_return_pixel_by_pixel(format: str, suffix: str, image: AnnotatedImage) -> None:
    again = round_trip(image, format, suffix).instances
    assert len(again) == len(image.instances)
    for before, after in zip(image.instances.masks or (), again.masks or (), strict=True):
        assert (after.y0_px, after.x0_px) == (before.y0_px, before.x0_px)
        assert np.array_equal(after.crop, before.crop)
    if format == "coco" and len(again):
        assert again.rotated_boxes == pytest.approx(image.instances.rotated_boxes)


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_a_bright_rectangle_is_where_the_file_says(format: str) -> None:
    """3 × 5 pixels from (row 20, column 40): each format's own numbers are written down here."""
    mask = np.zeros(SHAPE, bool)
    mask[20:23, 40:45] = True
    instances = Instances.from_masks([InstanceMask.from_image(mask)], shape=SHAPE, class_names="rod")
    image = AnnotatedImage(name="a.png", instances=instances, doubtful=np.zeros(1, bool))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"a{'.png' if format == 'labels' else FORMATS[format]}"
        write_annotations(file, image, format=format)
        if format == "labels":
            assert np.array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED) > 0, mask)
            return
        text = file.read_text()
    if format == "coco":
        [annotation] = json.loads(text)["annotations"]
        assert annotation["bbox"] == [40, 20, 5, 3]
        assert annotation["area"] == 15
        assert annotation["rotated_bbox"] == pytest.approx([42.5, 21.5, 5, 3, 0])
    elif format == "labelme":
        points = np.array(json.loads(text)["shapes"][0]["points"])
        assert [*points.min(axis=0), *points.max(axis=0)] == [40, 20, 45, 23]
    elif format == "napari":
        vertices = np.array([line.split(",")[3:] for line in text.splitlines()[1:]], float)
        assert [*vertices.min(axis=0), *vertices.max(axis=0)] == [19.5, 39.5, 22.5, 44.5]
    elif format == "pascal_voc":
        assert all(f"<{k}>{v}</{k}>" in text for k, v in (("xmin", 40), ("ymin", 20), ("xmax", 45), ("ymax", 23)))
    else:
        numbers = [float(v) for v in text.split()[1:]]
        expected = {
            "yolo": [42.5 / 130, 21.5 / 90, 5 / 130, 3 / 90],
            "labelimg_rotated": [42.5, 21.5, 5, 3, 0],
            "yolo_obb": [40 / 130, 23 / 90, 45 / 130, 23 / 90, 45 / 130, 20 / 90, 40 / 130, 20 / 90],
        }[format]
        assert sorted(numbers) == pytest.approx(sorted(expected), abs=1e-6)


@given(box=boxes)
@settings(max_examples=60, deadline=None)
def test_boxes_as_labelimg_for_kitti_computes_them(box: np.ndarray) -> None:
    """The sides come from a whole-numbered hull; where that is well-conditioned they return within its rounding."""
    rotation = -math.radians(box[4])  # clockwise on the screen
    c, s = abs(math.cos(rotation)), abs(math.sin(rotation))
    half = np.array([box[2] * c + box[3] * s, box[2] * s + box[3] * c]) / 2
    low, high = np.trunc(box[:2] + 0.5 - half), np.trunc(box[:2] + 0.5 + half)
    if abs(c * c - s * s) < 1e-9:
        return
    width, height = np.linalg.solve(np.array([[c, s], [s, c]]), high - low)
    x, y = (low + high) / 2
    line = f"0 {x:.6f} {y:.6f} {width:.6f} {height:.6f} {rotation:.6f} note%20here\n"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.txt"
        file.write_text(line)
        if min(width, height) <= 0:
            with pytest.raises(AnnotationError, match="line 1: need sides above 0"):
                read_annotations(file, shape=SHAPE, class_names=["rod"])
            return
        if max(x, y, width, height) <= 1:
            return
        [image] = read_annotations(file, shape=SHAPE, class_names=["rod"])
    doubtful = abs(math.cos(2 * rotation)) < 0.1
    assert image.doubtful.tolist() == [doubtful]
    read = image.instances.rotated_boxes[0]
    assert read[:2] == pytest.approx(box[:2], abs=1.01)
    if not doubtful:
        # both ends of the hull are cut off to whole numbers, beyond the image's border towards 0
        limit = 2.01 * (c + s) / abs(c * c - s * s)
        assert [width, height] == pytest.approx(box[2:4].tolist(), abs=limit)
        assert sorted(read[2:4]) == pytest.approx(sorted([width, height]), abs=1e-4)


def test_compressed_run_lengths_of_pycocotools() -> None:
    encode = pytest.importorskip("pycocotools.mask").encode
    mask = np.zeros(SHAPE, np.uint8, order="F")
    mask[10:40, 20:60] = 1
    mask[20:25, 30:35] = 0  # a hole
    packed = encode(mask)
    content = {
        "images": [{"id": 7, "file_name": "x.png", "height": 90, "width": 130}],
        "categories": [{"id": 3, "name": "vesicle"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [20, 10, 40, 30], "iscrowd": 0,
                         "segmentation": {"size": [90, 130], "counts": packed["counts"].decode()}}],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "coco.json"
        file.write_text(json.dumps(content))
        [image] = read_annotations(file)
        write_annotations(file, image, format="coco")
        [again] = read_annotations(file)
    for read in (image, again):
        painted = np.zeros(SHAPE, np.uint8)
        (read.instances.masks or ())[0].paint(painted)
        assert np.array_equal(painted, mask)
        assert read.instances.class_names.tolist() == ["vesicle"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "0 0.5 0.5 0.1 0.1\n0 0.5 x 0.1 0.1\n", r"a\.txt: line 2: .* no number"),
        ("a.txt", "0 0.5 0.5 0.1 0.1\n\n0 0.5 0.5 nan 0.1\n", r"a\.txt: line 3: .* not finite"),
        ("a.txt", "0 0.5 0.5 0.1\n", r"a\.txt: line 1: 4 numbers up to 0\.5 are neither YOLO"),
        ("a.txt", "0 0.5 0.5 0 0.1\n", r"a\.txt: line 1: need sides above 0"),
        ("a.txt", "5 0.5 0.5 0.1 0.1\n", r"a\.txt: line 1: class 5 has no name: 1 classes"),
        ("a.txt", "0 0.5 0.5 0.1 0.1\n0 50 50 20 9 0.1\n", r"a\.txt: its lines are of several kinds: box, kitti"),
        ("a.json", '{"images": [],\n "annotations": [}', r"a\.json: line 2: is no complete JSON"),
        ("a.json", "{}", r"a\.json: line 1: is neither COCO .* nor labelme"),
        ("a.json", '{"images": [], "annotations": [{"id": 4, "image_id": 9}]}', r"a\.json: annotation 4 is of image 9"),
        (
            "a.json",
            '{"images": [{"id": 1, "file_name": "x", "height": 9, "width": 9}], "annotations": '
            '[{"id": 8, "image_id": 1, "category_id": 1, "bbox": [0, 0, 3, 3], "segmentation": [[1, 2, 3, 4]]}]}',
            r"a\.json: annotation 8: a polygon needs at least 3 points",
        ),
        (
            "a.json",
            '{"shapes": [{"label": "r", "shape_type": "polygon", "points": [[1, 1], [2, 2]]}]}',
            r"a\.json: shape 1: a polygon needs at least 3",
        ),
        (
            "a.json",
            '{"shapes": [{"label": "r", "shape_type": "mask", "points": []}]}',
            r"a\.json: shape 1: type 'mask'",
        ),
        ("a.xml", "<annotation>\n<object>\n", r"a\.xml: line 3: is no complete XML"),
        ("a.xml", "<page></page>", r"a\.xml: line 1: its first element is <page>"),
        ("a.xml", "<annotation><object><name>r</name></object></annotation>", r"a\.xml: object 1: .* lacks a number"),
        ("a.csv", "index,x\n0,1\n", r"a\.csv: line 1: need the columns index,shape-type"),
        ("a.csv", "index,shape-type,vertex-index,axis-0,axis-1\n0,polygon,0,1\n", r"a\.csv: line 2: .* no vertex"),
        ("a.png", "not a picture", r"a\.png: a label image has whole numbers .* no image"),
    ],
)
def test_bad_files_give_one_error_that_names_file_and_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_annotations(file, shape=SHAPE, class_names=["rod"])


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    ring = np.zeros(SHAPE, bool)
    ring[10:30, 10:30] = True
    ring[15:25, 15:25] = False
    masks = [InstanceMask.from_image(ring), mask_of_box(np.array([20, 20, 30, 30, 0.0]), SHAPE)]
    instances = Instances.from_masks(masks, shape=SHAPE, class_names="rod")
    image = AnnotatedImage(name="a.png", instances=instances, doubtful=np.zeros(2, bool))
    for format, suffix, message in (
        ("labels", ".png", "instances overlap, which needs 2 layers"),
        ("labelme", ".json", "instance 1 has a hole"),
        ("napari", ".csv", "instance 1 has several pieces or a hole"),
        ("gif", ".gif", "format 'gif' is unknown"),
    ):
        with pytest.raises(AnnotationError, match=message):
            write_annotations(tmp_path / f"a{suffix}", image, format=format)
    with pytest.raises(AnnotationError, match="class 'rod' is not among"):
        write_annotations(tmp_path / "a.txt", image, format="yolo", class_names=["cube"])
    only_boxes = Instances.from_rotated_boxes(instances.rotated_boxes, shape=SHAPE, class_names="rod")
    with pytest.raises(AnnotationError, match="no masks"):
        write_annotations(tmp_path / "a.tif", AnnotatedImage(name="a", instances=only_boxes), format="labels")
    with pytest.raises(AnnotationError, match=r"pass shape=\(height, width\)"):
        read_annotations((tmp_path / "a.txt") if (tmp_path / "a.txt").write_text("0 .5 .5 .1 .1") else tmp_path)


@pytest.mark.parametrize("format", ["coco", "labelme", "labels"])
def test_a_mask_of_two_pieces_returns_as_one_instance(format: str) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[5:15, 5:20] = mask[30:50, 60:65] = True
    instances = Instances.from_masks([InstanceMask.from_image(mask)], shape=SHAPE, class_names="rod")
    again = round_trip(AnnotatedImage(name="a.png", instances=instances), format).instances
    painted = np.zeros(SHAPE, bool)
    (again.masks or ())[0].paint(painted)
    assert len(again) == 1
    assert np.array_equal(painted, mask)


def test_folders_images_beside_them_and_class_names(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for name in ("one", "two"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.zeros(SHAPE, np.uint8))
    (tmp_path / "labels" / "one.txt").write_text("1 0.5 0.5 0.1 0.2\n")
    (tmp_path / "labels" / "two.txt").write_text("")
    (tmp_path / "data.yaml").write_text("path: .\nnames:\n  0: rod\n  1: 'cube'\nnc: 2\n")
    one, two = read_annotations(tmp_path / "labels")
    assert (one.name, one.instances.class_names.tolist()) == ("one.png", ["cube"])
    assert one.instances.shape == SHAPE
    assert one.instances.boxes[0] == pytest.approx([64.5 - 6.5, 44.5 - 9, 64.5 + 6.5, 44.5 + 9])
    assert len(two.instances) == 0
    assert two.image_path == (tmp_path / "images" / "two.png").resolve()
    (tmp_path / "data.yaml").write_text("names: [rod, 'big cube']\n")
    assert read_annotations(tmp_path / "labels")[0].instances.class_names.tolist() == ["big cube"]
    found = write_annotations(tmp_path / "out", [one, two], format="labelimg_rotated")
    assert [f.name for f in found] == ["one.txt", "two.txt"]
    assert (tmp_path / "out" / "classes.txt").read_text() == "cube\n"


def test_scores_of_a_detector_return(tmp_path: Path) -> None:
    instances = Instances.from_rotated_boxes(
        np.array([[50.0, 40, 20, 10, 0]]), shape=SHAPE, class_names="rod", scores=np.array([0.25])
    )
    image = AnnotatedImage(name="a.png", instances=instances, doubtful=np.zeros(1, bool))
    for format in ("coco", "yolo"):
        file = tmp_path / f"{format}{FORMATS[format]}"
        write_annotations(file, image, format=format, scores=True)
        [again] = read_annotations(file, shape=SHAPE)
        assert again.instances.scores.tolist() == [0.25]
