"""Axis-aligned boxes in PASCAL VOC's XML, as LabelImg writes them.

Positions are whole numbers in LabelImg and count from the upper left corner of the image; numbers with decimals are
read and written too. ``difficult`` marks instances that need not be found.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from hrtem_dask.storage.annotations.annotated_image import (
    CORNER_TO_CENTER_PX,
    AnnotatedImage,
    AnnotationError,
    boxes_to_instances,
)
from hrtem_dask.storage.annotations.image_files import find_image, image_shape

__all__ = ["read_pascal_voc", "write_pascal_voc"]


def read_pascal_voc(path: Path, text: str, shape: tuple[int, int] | None = None) -> list[AnnotatedImage]:
    """Read a file of LabelImg.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages and to find its image.
    text : str
        What it holds.
    shape : tuple of int, optional
        (height, width) of the image, where the file does not state it.

    Returns
    -------
    list of AnnotatedImage
        One image, without masks.

    Raises
    ------
    AnnotationError
        If it is no such file; the message names the line or the object.
    """
    if "<!ENTITY" in text:
        raise AnnotationError(f"{path}: defines entities, which no annotation needs: remove them")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise AnnotationError(f"{path}: line {error.position[0]}: is no complete XML: {error}") from error
    if root.tag != "annotation":
        raise AnnotationError(f"{path}: line 1: its first element is <{root.tag}>, need <annotation> of PASCAL VOC")
    image = find_image(path, root.findtext("filename"))
    stated = [int(root.findtext(f"size/{name}") or 0) for name in ("height", "width")]
    size = (stated[0], stated[1]) if min(stated) > 0 else shape or image_shape(path, image)
    boxes, names, ignored = [], [], []
    for number, thing in enumerate(root.iter("object"), 1):
        try:
            x0, y0, x1, y1 = (float(thing.findtext(f"bndbox/{k}") or "") for k in ("xmin", "ymin", "xmax", "ymax"))
        except ValueError as error:
            raise AnnotationError(f"{path}: object {number}: its <bndbox> lacks a number") from error
        if not (x1 > x0 and y1 > y0):
            raise AnnotationError(
                f"{path}: object {number}: need xmin < xmax and ymin < ymax, got {x0:g}, {x1:g} and {y0:g}, {y1:g}"
            )
        x, y = (x0 + x1) / 2 - CORNER_TO_CENTER_PX, (y0 + y1) / 2 - CORNER_TO_CENTER_PX
        boxes.append([x, y, x1 - x0, y1 - y0, 0.0])
        names.append(thing.findtext("name") or "")
        ignored.append((thing.findtext("difficult") or "0").strip() not in ("0", ""))
    instances = boxes_to_instances(boxes, names, size, ignored=ignored)
    name = root.findtext("filename") or path.stem
    return [AnnotatedImage(name=name, instances=instances, image_path=image, doubtful=np.zeros(len(instances), bool))]


def write_pascal_voc(path: Path, image: AnnotatedImage) -> None:
    """Write a file that LabelImg opens.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    image : AnnotatedImage
        The image; of its instances only axis-aligned boxes, classes and what is ignored are written.
    """
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = image.name
    size = ElementTree.SubElement(root, "size")
    for name, value in zip(("width", "height", "depth"), (*image.instances.shape[::-1], 1), strict=True):
        ElementTree.SubElement(size, name).text = str(value)
    instances = image.instances
    for box, name, is_ignored in zip(instances.boxes, instances.class_names, instances.ignored, strict=True):
        thing = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(thing, "name").text = str(name)
        ElementTree.SubElement(thing, "difficult").text = str(int(is_ignored))
        bounds = ElementTree.SubElement(thing, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box + CORNER_TO_CENTER_PX, strict=True):
            ElementTree.SubElement(bounds, key).text = f"{value:.9g}"
    ElementTree.indent(root)
    path.write_text(ElementTree.tostring(root, encoding="unicode"), encoding="utf-8")
