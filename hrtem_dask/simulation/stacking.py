"""The sequence of layers in a close-packed crystal: perfect, faulted and twinned.

Each layer is at one of three positions A, B, C; a step of +1 goes A → B → C → A. Face-centered crystals step
+ + + …, hexagonal ones + - + - …; a fault is a change of the steps.

References
----------
[1] Hirth & Lothe, Theory of Dislocations, 2nd ed., Wiley 1982, chapters 10 and 11: faults as stacking sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hrtem_dask.simulation.crystals import Crystal

__all__ = ["Fault", "FaultKind", "fault_middle", "lasting_faults", "stacking"]

FaultKind = Literal["intrinsic", "extrinsic", "twin", "layer"]
OTHER_STACKING_LAYERS = 5
"""Number of layers with the other stacking in a fault of the kind "layer"."""


@dataclass(frozen=True)
class Fault:
    """A fault in the stacking."""

    kind: FaultKind
    """Kind of the fault."""
    layer: int
    """Number of the first layer at a changed position."""


def stacking(crystal: Crystal, n_layers: int, faults: Sequence[Fault] = ()) -> np.ndarray:
    """Return the position of each layer.

    Parameters
    ----------
    crystal : Crystal
        Determines the perfect sequence: ABCABC… or ABAB….
    n_layers : int
        Number of layers.
    faults : sequence of Fault
        Faults, introduced one after the other. In AB stacking a fault removes those above it that were introduced
        earlier (`lasting_faults`). In ABC stacking *intrinsic* is one reversed step (ABC|BCA), *extrinsic* two, *twin*
        reverses all steps from there on, *layer* is five hexagonal layers. In AB stacking *intrinsic* is I2 (three
        equal steps, ABAB|CACA), *extrinsic* is E (four), *twin* is I1 (two: everything after it is mirrored), *layer*
        is five cubic layers. See reference [1] of the module.

    Returns
    -------
    numpy.ndarray
        Shape (n_layers,), int: 0, 1, 2 for A, B, C.

    Examples
    --------
    >>> from hrtem_dask.simulation.crystals import find_crystal
    >>> "".join("ABC"[i] for i in stacking(find_crystal("Au"), 9, [Fault("intrinsic", 4)]))
    'ABCACABCA'
    """
    steps = np.ones(max(n_layers - 1, 0), int) if crystal.is_cubic else np.resize([1, -1], max(n_layers - 1, 0))
    for fault in faults:
        i = max(fault.layer - 1, 0)  # the step that leads to the first changed layer
        if i >= len(steps):
            continue
        if crystal.is_cubic:
            _fault_cubic(steps, i, fault.kind)
        else:
            _fault_hexagonal(steps, i, fault.kind)
    return np.concatenate([[0], np.cumsum(steps)])[:n_layers] % 3


def _fault_cubic(steps: np.ndarray, i: int, kind: FaultKind) -> None:
    """Reverse steps of ABC stacking, in place."""
    if kind == "twin":
        steps[i:] *= -1
    elif kind == "layer":
        steps[i : i + OTHER_STACKING_LAYERS] *= np.resize([-1, 1], len(steps[i : i + OTHER_STACKING_LAYERS]))
    else:
        steps[i : i + (1 if kind == "intrinsic" else 2)] *= -1


def _fault_hexagonal(steps: np.ndarray, i: int, kind: FaultKind) -> None:
    """Change steps of AB stacking, in place: `n` equal steps, after which the alternation continues."""
    n = {"twin": 2, "intrinsic": 3, "extrinsic": 4, "layer": OTHER_STACKING_LAYERS + 1}[kind]
    sign = steps[i - 1] if i else steps[0]
    start = max(i - 1, 0)
    steps[start : start + n] = sign
    rest = len(steps[start + n :])
    steps[start + n :] = np.resize([-sign, sign], rest)


def lasting_faults(crystal: Crystal, faults: Sequence[Fault]) -> list[Fault]:
    """Return the faults that remain after `stacking` has introduced all of them.

    Parameters
    ----------
    crystal : Crystal
        The crystal with the faults.
    faults : sequence of Fault
        As for `stacking`, too far apart to touch one another.

    Returns
    -------
    list of Fault
        In the given order. In ABC stacking all faults remain; in AB stacking those that lie below every later one.
    """
    if crystal.is_cubic:
        return list(faults)
    return [fault for i, fault in enumerate(faults) if all(later.layer > fault.layer for later in faults[i + 1 :])]


def fault_middle(crystal: Crystal, fault: Fault) -> float:
    """Return the position of the middle of a fault.

    Parameters
    ----------
    crystal : Crystal
        The crystal with the fault.
    fault : Fault
        The fault.

    Returns
    -------
    float
        In layers, numbered as in `stacking`: the mirror plane of a twin is a layer, an intrinsic fault lies between
        two layers.
    """
    layers_of_other = 1.5 if crystal.is_cubic else 1.0
    return fault.layer + {"twin": -1.0, "intrinsic": -0.5, "extrinsic": 0.0, "layer": layers_of_other}[fault.kind]
