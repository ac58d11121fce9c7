"""One entry point for annotations of every format: the content of a file tells which it is, or its suffix."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hrtem_dask.storage.annotations.annotated_image import AnnotatedImage, AnnotationError
from hrtem_dask.storage.annotations.coco_instances import read_coco, write_coco
from hrtem_dask.storage.annotations.instance_labels import read_instance_labels, write_instance_labels
from hrtem_dask.storage.annotations.labelme import read_labelme, write_labelme
from hrtem_dask.storage.annotations.napari_shapes import read_napari_shapes, write_napari_shapes
from hrtem_dask.storage.annotations.pascal_voc import read_pascal_voc, write_pascal_voc
from hrtem_dask.storage.annotations.text_lines import read_lines, write_lines

__all__ = ["FORMATS", "read_annotations", "write_annotations"]

FORMATS = {
    "coco": ".json",
    "yolo": ".txt",
    "yolo_obb": ".txt",
    "pascal_voc": ".xml",
    "labelimg_rotated": ".txt",
    "labelme": ".json",
    "napari": ".csv",
    "labels": ".tif",
}
"""Format that can be written → suffix of its files."""
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
TEXT_SUFFIXES = (".json", ".txt", ".xml", ".csv")
NO_ANNOTATIONS = ("classes.txt", "license.txt", "readme.txt", "notes.json")


def read_annotations(
    path: str | Path,
    *,
    shape: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
) -> list[AnnotatedImage]:
    r"""Read annotations of any known format.

    Parameters
    ----------
    path : str or path-like
        A file, or a folder whose annotation files are all read: COCO, labelme (JSON), YOLO, YOLO-OBB, rotated boxes of
        LabelImg (text), PASCAL VOC (XML), shapes of napari (CSV), instance label images (PNG, TIFF, NPY).
    shape : tuple of int, optional
        (height, width) of images whose size neither the file states nor an image beside it.
    class_names : sequence of str, optional
        Names of the classes 0, 1, … of text files; the first one is the class where a format has none. By default
        ``classes.txt`` or ``data.yaml`` beside the file, and ``particle``.

    Returns
    -------
    list of AnnotatedImage
        One per image. Positions are in px, centers of pixels at whole numbers, whatever the format counts.

    Raises
    ------
    AnnotationError
        If a file is damaged or of no known format; the message names the file and the line or number in it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from hrtem_dask.storage.annotations import read_annotations
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a.txt"
    ...     _ = file.write_text("0 100.5 50.5 40 10 0.5236\n")
    ...     [image] = read_annotations(file, shape=(128, 256), class_names=["rod"])
    >>> image.instances.rotated_boxes.round(2).tolist()
    [[100.0, 50.0, 40.0, 10.0, -30.0]]
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, shape, class_names)
    if not path.is_file():
        raise AnnotationError(f"{path}: there is no such file")
    names = list(class_names) if class_names else []
    if path.suffix.lower() in LABEL_SUFFIXES:
        return read_instance_labels(path, class_name=names[0] if names else "particle")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: is no text that could be annotations: {error}") from error
    start = text.lstrip()[:1]
    if start in ("{", "["):
        return _read_json(path, text, shape)
    if start == "<":
        return read_pascal_voc(path, text, shape)
    if path.suffix.lower() == ".csv" or text.startswith("index,shape-type"):
        return read_napari_shapes(path, text, shape, class_name=names[0] if names else "particle")
    return read_lines(path, text, shape, class_names)


def _read_json(path: Path, text: str, shape: tuple[int, int] | None) -> list[AnnotatedImage]:
    """Read COCO or labelme."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}: line {error.lineno}: is no complete JSON: {error.msg}") from error
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return read_coco(path, content, shape)
    if isinstance(content, dict) and isinstance(content.get("shapes"), list):
        return read_labelme(path, content, shape)
    raise AnnotationError(f"{path}: line 1: is neither COCO (lists images and annotations) nor labelme (list shapes)")


def _read_folder(path: Path, shape: tuple[int, int] | None, class_names: Sequence[str] | None) -> list[AnnotatedImage]:
    """Read the annotation files of a folder, in the order of their names; label images only if there are no others."""
    files = [f for f in sorted(path.iterdir()) if f.is_file() and f.name.lower() not in NO_ANNOTATIONS]
    chosen = [f for f in files if f.suffix.lower() in TEXT_SUFFIXES]
    chosen = chosen or [f for f in files if f.suffix.lower() in LABEL_SUFFIXES]
    if not chosen:
        raise AnnotationError(f"{path}: holds no annotation file ({', '.join((*TEXT_SUFFIXES, *LABEL_SUFFIXES))})")
    return [image for file in chosen for image in read_annotations(file, shape=shape, class_names=class_names)]


def write_annotations(
    path: str | Path,
    images: AnnotatedImage | Sequence[AnnotatedImage],
    *,
    format: str,
    class_names: Sequence[str] | None = None,
    scores: bool = False,
) -> list[Path]:
    """Write annotations.

    Parameters
    ----------
    path : str or path-like
        ``coco``: one file for all images. Else a file for one image, or a folder, in which each image has a file of
        its name.
    images : AnnotatedImage or sequence of AnnotatedImage
        The images.
    format : str
        A name in `FORMATS`. All hold classes but ``napari`` and ``labels``; masks are held by ``coco``, ``labelme``,
        ``napari`` and ``labels``; rotated boxes by ``coco`` and ``yolo_obb``, ``labelimg_rotated``, and by ``labelme``
        and ``napari`` where there are no masks.
    class_names : sequence of str, optional
        Classes in the order of their numbers; by default those that occur, sorted.
    scores : bool
        Whether scores are written (``coco``, ``yolo``).

    Returns
    -------
    list of pathlib.Path
        The files.

    Raises
    ------
    AnnotationError
        If the format is unknown or cannot hold the instances.
    """
    path = Path(path)
    images = [images] if isinstance(images, AnnotatedImage) else list(images)
    if format not in FORMATS:
        raise AnnotationError(f"{path}: format {format!r} is unknown: choose one of {', '.join(FORMATS)}")
    names = list(class_names or sorted({str(n) for image in images for n in image.instances.class_names}))
    if format == "coco":
        write_coco(path, images, class_names=names, scores=scores)
        return [path]
    is_file = len(images) == 1 and path.suffix != "" and not path.is_dir()
    if not is_file:
        path.mkdir(parents=True, exist_ok=True)
    stems = [Path(image.name).stem for image in images]
    if len(set(stems)) < len(stems):
        raise AnnotationError(f"{path}: two images have the name {max(stems, key=stems.count)!r}: rename one")
    files = [path] if is_file else [path / f"{stem}{FORMATS[format]}" for stem in stems]
    for file, image in zip(files, images, strict=True):
        if format == "pascal_voc":
            write_pascal_voc(file, image)
        elif format == "labelme":
            write_labelme(file, image)
        elif format == "napari":
            write_napari_shapes(file, image)
        elif format == "labels":
            write_instance_labels(file, image)
        else:
            write_lines(file, image, kind=format, class_names=names, scores=scores)
    return files
