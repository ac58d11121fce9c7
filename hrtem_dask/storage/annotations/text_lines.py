"""Annotations with one line per instance: YOLO, YOLO-OBB, YOLO polygons, and the rotated boxes of LabelImg for KITTI.

| fields of a line | kind |
|---|---|
| class x y width height | YOLO: center and size over those of the image |
| class x y width height score | YOLO, as found by a detector (all of the four numbers at most 1) |
| class x₁ y₁ … x₄ y₄ | YOLO-OBB: corners over the image's size |
| class x₁ y₁ … | YOLO polygon, six and more numbers |
| class x y w h rotation (note) | LabelImg for KITTI: px and rad, clockwise on the screen; w along the turned x axis |

All count from the upper left corner of the image. Classes are numbers, whose names stand in ``classes.txt`` beside the
file, one a line, or in ``names`` of ``data.yaml``; without either the numbers are the names.

LabelImg for KITTI computes w and h from the whole-numbered box around the rotated one, by an equation that has no
solution at 45°: there, where abs(cos 2θ) < 0.1, an error of 1 px of that box is one of 7 px and more of the sides.
Such boxes are ``doubtful``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hrtem_dask.detection.rotated_boxes import box_around_points, corners
from hrtem_dask.storage.annotations.annotated_image import (
    CORNER_TO_CENTER_PX,
    AnnotatedImage,
    AnnotationError,
    Outline,
    boxes_to_instances,
    outlines_to_instances,
)
from hrtem_dask.storage.annotations.image_files import find_image, image_shape

__all__ = ["LARGEST_DOUBTFUL", "read_lines", "write_lines"]

LARGEST_DOUBTFUL = 0.1
"""Boxes of LabelImg for KITTI with a smaller abs(cos 2θ) are doubtful."""
LARGEST_SHARE = 1.0 + 1e-6


def read_lines(
    path: Path, text: str, shape: tuple[int, int] | None = None, class_names: Sequence[str] | None = None
) -> list[AnnotatedImage]:
    """Read a file with one line per instance.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages and to find its image.
    text : str
        What it holds; an empty file is an image without instances.
    shape : tuple of int, optional
        (height, width) of the image; by default that of the image that is found.
    class_names : sequence of str, optional
        Names of the classes 0, 1, …

    Returns
    -------
    list of AnnotatedImage
        One image; with masks if all lines are polygons.

    Raises
    ------
    AnnotationError
        If a line is none of the kinds; the message names it.
    """
    image = find_image(path)
    size = image_shape(path, image) if shape is None else shape
    names = list(class_names) if class_names is not None else _class_names(path)
    parsed = [(n, _numbers(path, n, line)) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    kinds = {_kind(path, n, numbers) for n, numbers in parsed}
    if len(kinds) > 1 and kinds - {"polygon", "corners"}:
        raise AnnotationError(f"{path}: its lines are of several kinds: {', '.join(sorted(kinds))}")
    labels = [_name(path, n, numbers[0], names) for n, numbers in parsed]
    scale = np.array([size[1], size[0]], float)
    doubtful = np.zeros(len(parsed), bool)
    if "polygon" in kinds:
        outlines = [
            Outline(class_name=name, polygons=[np.reshape(v[1:], (-1, 2)) * scale - CORNER_TO_CENTER_PX])
            for name, (_, v) in zip(labels, parsed, strict=True)
        ]
        instances = outlines_to_instances(outlines, size)
    else:
        boxes, scores = [], []
        for k, (n, v) in enumerate(parsed):
            boxes.append(_box(v, scale, kinds))
            scores.append(v[5] if kinds == {"score"} else 1.0)
            doubtful[k] = kinds == {"kitti"} and abs(math.cos(2 * v[5])) < LARGEST_DOUBTFUL
            if not (np.array(boxes[-1][2:4]) > 0).all() or not 0 <= scores[-1] <= 1:
                raise AnnotationError(
                    f"{path}: line {n}: need sides above 0 and a score from 0 to 1, got sides of "
                    f"{boxes[-1][2]:g} and {boxes[-1][3]:g} px and a score of {scores[-1]:g}"
                )
        instances = boxes_to_instances(boxes, labels, size, scores=scores)
    name = path.stem if image is None else image.name
    return [AnnotatedImage(name=name, instances=instances, image_path=image, doubtful=doubtful)]


def _numbers(path: Path, n: int, line: str) -> list[float]:
    """Parse a line."""
    fields = line.split()
    if len(fields) == 7:  # LabelImg for KITTI adds a note, quoted so that it has no space
        try:
            float(fields[6])
        except ValueError:
            fields = fields[:6]
    try:
        numbers = [float(f) for f in fields]
    except ValueError as error:
        raise AnnotationError(f"{path}: line {n}: {line.strip()[:60]!r} has a field that is no number") from error
    if not np.isfinite(numbers).all():
        raise AnnotationError(f"{path}: line {n}: {line.strip()[:60]!r} has a number that is not finite")
    return numbers


def _kind(path: Path, n: int, numbers: Sequence[float]) -> str:
    """Tell what a line is."""
    shares = max(np.abs(numbers[1:])) <= LARGEST_SHARE if len(numbers) > 1 else False
    if len(numbers) == 5 and shares:
        return "box"
    if len(numbers) == 6:
        return "score" if shares and min(numbers[1:]) >= 0 and max(numbers[3:5]) <= 1 else "kitti"
    if len(numbers) == 9 and max(numbers[1:]) <= 2:
        return "corners"
    if len(numbers) >= 7 and len(numbers) % 2 == 1 and max(numbers[1:]) <= 2:
        return "polygon"
    raise AnnotationError(
        f"{path}: line {n}: {len(numbers)} numbers up to {max(numbers):g} are neither YOLO (class x y width height, "
        "from 0 to 1), nor YOLO-OBB or polygons (class x1 y1 x2 y2 …, from 0 to 1), nor rotated boxes in px "
        "(class x y w h rotation)"
    )


def _box(numbers: Sequence[float], scale: np.ndarray, kinds: set[str]) -> list[float]:
    """Return the rotated box of a line."""
    if kinds == {"kitti"}:
        x, y, width, height, rotation = numbers[1:6]
        return [x - CORNER_TO_CENTER_PX, y - CORNER_TO_CENTER_PX, width, height, -math.degrees(rotation)]
    if kinds == {"corners"}:
        box = box_around_points(np.reshape(numbers[1:], (4, 2)) * scale - CORNER_TO_CENTER_PX)
        return [float(v) for v in box]
    x, y = np.array(numbers[1:3]) * scale - CORNER_TO_CENTER_PX
    width, height = np.array(numbers[3:5]) * scale
    return [float(x), float(y), float(width), float(height), 0.0]


def _name(path: Path, n: int, number: float, names: Sequence[str]) -> str:
    """Return the name of a class."""
    if number != int(number) or number < 0:
        raise AnnotationError(f"{path}: line {n}: the class is {number:g}, need a whole number from 0")
    if names and number >= len(names):
        raise AnnotationError(f"{path}: line {n}: class {number:g} has no name: {len(names)} classes are named")
    return names[int(number)] if names else str(int(number))


def _class_names(path: Path) -> list[str]:
    """Return the names of the classes, where they are written down."""
    for folder in (path.parent, path.parent.parent):
        if (folder / "classes.txt").is_file():
            return [line.strip() for line in (folder / "classes.txt").read_text(encoding="utf-8").splitlines() if line]
        for name in ("data.yaml", "dataset.yaml"):
            if (folder / name).is_file():
                return _names_of_yaml((folder / name).read_text(encoding="utf-8"))
    return []


def _names_of_yaml(text: str) -> list[str]:
    """Return ``names`` of a YOLO data file: a list in brackets, lines with dashes, or numbered lines."""
    start = re.search(r"^names:[ \t]*(\[[^\]]*\])?", text, flags=re.MULTILINE)
    if start is None:
        return []
    if start.group(1):
        return [name.strip().strip("'\"") for name in start.group(1)[1:-1].split(",") if name.strip()]
    block = re.match(r"(?:[ \t]*(?:-|\d+:).*\n?)*", text[start.end() :].lstrip("\n"))
    lines = block.group(0).splitlines() if block else []
    return [re.sub(r"^[ \t]*(?:-|\d+:)[ \t]*", "", line).strip().strip("'\"") for line in lines]


def write_lines(
    path: Path, image: AnnotatedImage, *, kind: str, class_names: Sequence[str], scores: bool = False
) -> None:
    """Write one line per instance.

    Parameters
    ----------
    path : pathlib.Path
        The file; ``classes.txt`` is written beside it.
    image : AnnotatedImage
        The image.
    kind : str
        ``yolo``: axis-aligned boxes; ``yolo_obb``: corners; ``labelimg_rotated``: LabelImg for KITTI.
    class_names : sequence of str
        Names of the classes 0, 1, …
    scores : bool
        Whether scores are added, which only ``yolo`` can hold.

    Raises
    ------
    AnnotationError
        If an instance has a class that is not among `class_names`.
    """
    instances, names = image.instances, list(class_names)
    height, width = instances.shape
    lines = []
    for k in range(len(instances)):
        if str(instances.class_names[k]) not in names:
            raise AnnotationError(f"{path}: class {str(instances.class_names[k])!r} is not among {names}")
        box = instances.rotated_boxes[k]
        if kind == "yolo_obb":
            numbers = ((corners(box) + CORNER_TO_CENTER_PX) / [width, height]).ravel().tolist()
        elif kind == "labelimg_rotated":
            x, y = box[:2] + CORNER_TO_CENTER_PX
            numbers = [x, y, box[2], box[3], -math.radians(box[4])]
        else:
            x0, y0, x1, y1 = instances.boxes[k] + CORNER_TO_CENTER_PX
            numbers = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]
            numbers += [float(instances.scores[k])] if scores else []
        lines.append(" ".join([str(names.index(str(instances.class_names[k]))), *(f"{v:.9g}" for v in numbers)]))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (path.parent / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
