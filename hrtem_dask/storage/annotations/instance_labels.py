"""Instance label images: each pixel has the number of its instance, 0 is background.

Where instances overlap, one image cannot hold them: layers are written, a stack (layer, y, x), in each of which no two
instances overlap. napari and Fiji open such a stack as an image with a slider.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import scipy.ndimage
import tifffile

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.storage.annotations.annotated_image import AnnotatedImage, AnnotationError
from hrtem_dask.storage.annotations.image_files import find_image

__all__ = ["instances_of_labels", "label_layers", "read_instance_labels", "write_instance_labels"]

LARGEST_16_BIT = 65_535


def instances_of_labels(labels: np.ndarray, *, class_name: str = "particle") -> Instances:
    """Make instances of a label image.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x) or (layer, y, x): number of each pixel's instance, 0 is background. One number in several layers
        is one instance.
    class_name : str
        Class of all instances.

    Returns
    -------
    Instances
        In the order of their numbers, with masks.
    """
    layers = labels[None] if labels.ndim == 2 else labels
    masks: dict[int, InstanceMask] = {}
    for layer in layers:
        # numbers may be far apart: only those that occur cost time
        numbers, compact = np.unique(layer, return_inverse=True)
        compact = compact.reshape(layer.shape) + (0 if numbers[0] == 0 else 1)
        present = numbers[numbers != 0]
        for number, window in zip(present.tolist(), scipy.ndimage.find_objects(compact), strict=True):
            crop = layer[window] == number
            mask = InstanceMask.from_image(crop, y0_px=window[0].start, x0_px=window[1].start)
            if number in masks:
                whole = np.zeros(layer.shape, bool)
                masks[number].paint(whole)
                mask.paint(whole)
                mask = InstanceMask.from_image(whole)
            masks[number] = mask
    shape = (labels.shape[-2], labels.shape[-1])
    return Instances.from_masks([masks[n] for n in sorted(masks)], shape=shape, class_names=class_name)


def label_layers(instances: Instances) -> np.ndarray:
    """Paint the numbers of instances, in as few layers as their order allows.

    Parameters
    ----------
    instances : Instances
        With masks.

    Returns
    -------
    numpy.ndarray of int32
        Shape (layers, y, x), at least one layer: instance k has the number k + 1 in the first layer in which it
        overlaps none before it.

    Raises
    ------
    ValueError
        If the instances have no masks.
    """
    if instances.masks is None:
        raise ValueError("the instances have no masks, so no label image can be made: write boxes")
    layers = [np.zeros(instances.shape, np.int32)]
    for number, mask in enumerate(instances.masks, 1):
        free = (layer for layer in layers if not layer[mask.window][mask.crop].any())
        layer = next(free, None)
        if layer is None:
            layer = np.zeros(instances.shape, np.int32)
            layers.append(layer)
        mask.paint(layer, number)
    return np.stack(layers)


def read_instance_labels(path: Path, *, class_name: str = "particle") -> list[AnnotatedImage]:
    """Read a label image.

    Parameters
    ----------
    path : pathlib.Path
        PNG, TIFF (also a stack of layers) or NPY, of whole numbers.
    class_name : str
        Class of all instances, which the file does not state.

    Returns
    -------
    list of AnnotatedImage
        One image, with masks.

    Raises
    ------
    AnnotationError
        If it cannot be read, or is no label image.
    """
    try:
        if path.suffix.lower() == ".npy":
            labels = np.load(path, allow_pickle=False)
        elif path.suffix.lower() in (".tif", ".tiff"):
            labels = tifffile.imread(path)
        else:
            labels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, ValueError, cv2.error, tifffile.TiffFileError) as error:
        raise AnnotationError(f"{path}: could not be read as a label image: {error}") from error
    if labels is None or labels.ndim not in (2, 3) or not np.issubdtype(labels.dtype, np.integer):
        what = "no image" if labels is None else f"{labels.ndim}-D {labels.dtype}"
        raise AnnotationError(f"{path}: a label image has whole numbers and 2 or 3 axes, this is {what}")
    if labels.ndim == 3 and labels.shape[-1] in (3, 4) and path.suffix.lower() == ".png":
        raise AnnotationError(f"{path}: is a color picture: numbers of instances need one gray channel of 8 or 16 bits")
    if labels.size and labels.min() < 0:
        raise AnnotationError(f"{path}: the number {labels.min()} is negative: instances have numbers from 1")
    image = _image_of(path)
    instances = instances_of_labels(labels, class_name=class_name)
    name = path.name if image is None else image.name
    return [AnnotatedImage(name=name, instances=instances, image_path=image, doubtful=np.zeros(len(instances), bool))]


def _image_of(path: Path) -> Path | None:
    """Find the image that labels belong to, in the folder ``images`` beside theirs."""
    found = find_image(path)
    return found if found is not None and found.parent != path.parent.resolve() else None


def write_instance_labels(path: Path, image: AnnotatedImage) -> None:
    """Write a label image, in layers where instances overlap.

    Parameters
    ----------
    path : pathlib.Path
        ``.png`` (one layer), ``.tif``, ``.tiff`` or ``.npy``.
    image : AnnotatedImage
        The image; classes, scores and what is ignored are not written.

    Raises
    ------
    AnnotationError
        If there are no masks, instances overlap in a PNG, or there are more than 16 bits can number.
    """
    try:
        layers = label_layers(image.instances)
    except ValueError as error:
        raise AnnotationError(f"{path}: {error}") from error
    if len(image.instances) > LARGEST_16_BIT and path.suffix.lower() != ".npy":
        raise AnnotationError(f"{path}: {len(image.instances)} instances are more than 16 bits can number: write .npy")
    labels = layers[0] if len(layers) == 1 else layers
    if path.suffix.lower() == ".npy":
        np.save(path, labels)
    elif path.suffix.lower() in (".tif", ".tiff"):
        tifffile.imwrite(path, labels.astype(np.uint16), imagej=True, metadata={"axes": "ZYX"[-labels.ndim :]},
                         compression="zlib")  # fmt: skip
    elif labels.ndim == 3:
        raise AnnotationError(f"{path}: instances overlap, which needs {len(layers)} layers: write .tif or .npy")
    else:
        path.write_bytes(cv2.imencode(".png", labels.astype(np.uint16))[1].tobytes())
