"""Masks of single instances: a crop and where it lies, so that instances may overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrtem_dask.detection.rotated_boxes import box_around_points, hulls

__all__ = ["InstanceMask", "mask_of_box"]


@dataclass(frozen=True)
class InstanceMask:
    """Mask of one instance, of the part that lies in the image."""

    crop: np.ndarray
    """Shape (height, width), bool: True on the instance."""
    y0_px: int
    """Row of the image that is row 0 of the crop."""
    x0_px: int
    """Column of the image that is column 0 of the crop."""

    @classmethod
    def from_image(cls, mask: np.ndarray, *, y0_px: int = 0, x0_px: int = 0) -> InstanceMask:
        """Cut a mask to its pixels.

        Parameters
        ----------
        mask : numpy.ndarray of bool
            Shape (y, x), of a whole image or a part of it.
        y0_px, x0_px : int
            Where that part begins in the image.

        Returns
        -------
        InstanceMask
            With the smallest crop; 0 × 0 px if the mask is empty.
        """
        mask = np.asarray(mask, dtype=bool)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return cls(np.zeros((0, 0), dtype=bool), y0_px, x0_px)
        window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        return cls(mask[window].copy(), y0_px + int(rows[0]), x0_px + int(columns[0]))

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(self.crop.sum())

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the crop lies: slices of rows and columns of the image."""
        height, width = self.crop.shape
        return slice(self.y0_px, self.y0_px + height), slice(self.x0_px, self.x0_px + width)

    def box(self) -> np.ndarray:
        """Return the axis-aligned box around the pixels.

        Returns
        -------
        numpy.ndarray of float64
            Shape (4,): x_min, y_min, x_max, y_max (px), as in `rotated_boxes`; NaN for an empty mask.
        """
        tight = InstanceMask.from_image(self.crop, y0_px=self.y0_px, x0_px=self.x0_px)
        if not tight.crop.size:
            return np.full(4, np.nan)
        height, width = tight.crop.shape
        x0, y0 = tight.x0_px - 0.5, tight.y0_px - 0.5
        return np.array([x0, y0, x0 + width, y0 + height])

    def rotated_box(self) -> np.ndarray:
        """Return the rotated box of least area around the pixels' corners.

        Where sides are oblique to the pixels it is up to 0.7 px larger than the object that was turned into pixels.

        Returns
        -------
        numpy.ndarray of float64
            Shape (5,), see `rotated_boxes`.

        Raises
        ------
        ValueError
            If the mask is empty.
        """
        rows = np.flatnonzero(self.crop.any(axis=1))
        if not rows.size:
            raise ValueError("an empty mask has no rotated box: leave the instance out")
        first = self.crop[rows].argmax(axis=1)
        last = self.crop.shape[1] - 1 - self.crop[rows, ::-1].argmax(axis=1)
        points = [np.stack([x + dx, rows + dy], axis=1) for x, dx in ((first, -0.5), (last, 0.5)) for dy in (-0.5, 0.5)]
        return box_around_points(np.concatenate(points) + np.array([self.x0_px, self.y0_px]))

    def paint(self, image: np.ndarray, value: float = 1) -> None:
        """Write a value on the instance's pixels of an image.

        Parameters
        ----------
        image : numpy.ndarray
            Shape (y, x); changed in place.
        value : float
            What to write.
        """
        image[self.window][self.crop] = value


def mask_of_box(box: np.ndarray, shape: tuple[int, int]) -> InstanceMask:
    """Return the pixels of an image whose centers lie in a rotated box.

    Parameters
    ----------
    box : numpy.ndarray
        Shape (5,), see `rotated_boxes`.
    shape : tuple of int
        (height, width) of the image.

    Returns
    -------
    InstanceMask
        The part in the image; 0 × 0 px if there is none.
    """
    x_min, y_min, x_max, y_max = hulls(np.asarray(box, dtype=np.float64))
    x0, y0 = max(int(np.ceil(x_min)), 0), max(int(np.ceil(y_min)), 0)
    x1, y1 = min(int(np.floor(x_max)), shape[1] - 1) + 1, min(int(np.floor(y_max)), shape[0] - 1) + 1
    if x1 <= x0 or y1 <= y0:
        return InstanceMask(np.zeros((0, 0), dtype=bool), y0, x0)
    y, x = np.mgrid[y0:y1, x0:x1]
    angle = np.deg2rad(box[4])
    u = (x - box[0]) * np.cos(angle) - (y - box[1]) * np.sin(angle)
    v = (x - box[0]) * np.sin(angle) + (y - box[1]) * np.cos(angle)
    inside = (np.abs(u) <= box[2] / 2) & (np.abs(v) <= box[3] / 2)
    return InstanceMask.from_image(inside, y0_px=y0, x0_px=x0)
