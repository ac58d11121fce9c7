"""The image that an annotation file belongs to: where it lies, and how large it is."""

from __future__ import annotations

from pathlib import Path

from hrtem_dask.loading import read_single_image
from hrtem_dask.storage.annotations.annotated_image import AnnotationError

__all__ = ["find_image", "image_shape"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dm3", ".dm4", ".emd", ".mrc", ".ser", ".npy")
FOLDERS = ("", "images", "../images", "../Images", "../JPEGImages")
"""Where images lie, seen from the annotations."""


def find_image(annotation: Path, name: str | None = None) -> Path | None:
    """Find the image of an annotation file.

    Parameters
    ----------
    annotation : pathlib.Path
        The annotation file.
    name : str, optional
        Name of the image as the annotations state it; its folders count only where they exist.

    Returns
    -------
    pathlib.Path or None
        An image of that name, or of the name of the annotation file, in the same folder, in its subfolder ``images``
        or in the folder ``images`` beside it.
    """
    names = [name, Path(name.replace("\\", "/")).name] if name else []
    stem = Path(names[-1]).stem if names else annotation.stem
    for folder in FOLDERS:
        for candidate in [*names, *(stem + suffix for suffix in SUFFIXES)]:
            path = annotation.parent / folder / candidate
            if path.is_file() and path != annotation:
                return path.resolve()
    return None


def image_shape(annotation: Path, image: Path | None) -> tuple[int, int]:
    """Return the size of an image.

    Parameters
    ----------
    annotation : pathlib.Path
        The annotation file, for the message.
    image : pathlib.Path or None
        The image.

    Returns
    -------
    tuple of int
        (height, width) in px.

    Raises
    ------
    AnnotationError
        If there is no image, or it cannot be read.
    """
    if image is None:
        raise AnnotationError(
            f"{annotation}: does not state the size of its image, and no image of its name lies beside it, "
            "in images/ or in ../images/: pass shape=(height, width)"
        )
    pixels = read_single_image(str(image))
    return pixels.shape[0], pixels.shape[1]
