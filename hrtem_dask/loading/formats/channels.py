"""Channels: frames of one signal that show the same field, such as the detectors of one scan."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hrtem_dask.loading.detectors import detector_in

__all__ = ["fields_of_axes", "fields_of_labels"]


def fields_of_axes(axes: str, shape: Sequence[int], names: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """Return which field each frame of a signal shows, from its axis of channels.

    Parameters
    ----------
    axes : str
        One letter per axis but y and x, upper case; ``C`` is the axis of channels.
    shape : sequence of int
        Length of each of these axes.
    names : sequence of str
        Names of the channels, as far as they are known.

    Returns
    -------
    tuple of tuple
        For each frame, counted over all axes in order, the field and the name of the channel; empty where there is no
        axis of channels, or one channel.

    Examples
    --------
    >>> fields_of_axes("TC", (2, 2), ("HAADF", "BF"))
    (('0', 'HAADF'), ('0', 'BF'), ('1', 'HAADF'), ('1', 'BF'))
    """
    at = axes.find("C")
    if at < 0 or shape[at] < 2 or axes.count("C") > 1:
        return ()
    found = []
    for frame in range(math.prod(shape)):
        index = [int(n) for n in np.unravel_index(frame, tuple(shape))]
        channel = index.pop(at)
        name = names[channel] if channel < len(names) and names[channel] else str(channel + 1)
        found.append((" ".join(map(str, index)), name))
    return tuple(found)


def fields_of_labels(labels: Sequence[object], n_frames: int) -> tuple[tuple[str, str], ...]:
    """Return which field each frame of a stack shows, where the labels of its frames name detectors.

    Parameters
    ----------
    labels : sequence
        Label of each frame, as ImageJ writes it.
    n_frames : int
        Number of frames.

    Returns
    -------
    tuple of tuple
        For each frame the label without the detector, and the detector; empty unless every label names one, and no two
        frames of one field the same.

    Examples
    --------
    >>> fields_of_labels(["gold_1_HAADF", "gold_1_BF"], 2)
    (('gold_1_', 'haadf'), ('gold_1_', 'bf'))
    >>> fields_of_labels(["0 s", "10 s"], 2)
    ()
    """
    first_lines = [str(label or "").split("\n")[0] for label in labels]
    detectors = [detector_in(label.rsplit(".", 1)[0] if label[-5:].count(".") else label) for label in first_lines]
    found = [(one[1], one[0]) for one in detectors if one is not None]
    complete = len(found) == len(detectors) == n_frames and len(set(found)) == len(found)
    return tuple(found) if complete and len({field for field, _ in found}) < len(found) else ()
