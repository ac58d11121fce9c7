"""Close-packed crystals built layer by layer from their stacking: perfect, faulted and twinned.

The crystal's own frame: x along a close-packed row ([1-10] or [11-20]), y along [11-2] or [10-10], z along the stacking
normal ([111] or [0001]). Each layer is a triangular net at one of three positions A, B, C; a step of +1 goes A → B → C.
Face-centred crystals step + + + …, hexagonal ones + - + - …; a fault is a wrong step.

References
----------
[1] Hirth & Lothe, Theory of Dislocations, 2nd ed., Wiley 1982, chapters 10 and 11: faults as stacking sequences.
[2] Wyckoff, Crystal Structures, vol. 1, Wiley 1963; Madelung, Semiconductors: Data Handbook, Springer 2004: cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = [
    "CRYSTALS",
    "Crystal",
    "Fault",
    "FaultKind",
    "build_crystal",
    "cubic",
    "fault_middle",
    "find_crystal",
    "hexagonal",
    "lasting_faults",
    "layer_index",
    "stacking",
]

FaultKind = Literal["intrinsic", "extrinsic", "twin", "layer"]
OTHER_STACKING_LAYERS = 5
"""Layers of the other stacking in a fault of the kind "layer"."""


@dataclass(frozen=True)
class Crystal:
    """A close-packed crystal: its net, its layers, and what stands on each site of a layer."""

    name: str
    structure: Literal["fcc", "zinc_blende", "halite", "hcp", "wurtzite"]
    row_nm: float
    """Distance of neighbours in a close-packed row (nm): a/√2 of a cube, a of a hexagonal cell."""
    layer_nm: float
    """Distance of layers (nm): a/√3 of a cube, c/2 of a hexagonal cell."""
    basis: tuple[tuple[str, float, bool], ...]
    """Element, height in layer distances, and whether it stands at the layer's own position (else at the one that is
    neither the layer's nor the next one's), of every atom of a site."""
    displacement_nm: float
    """Thermal displacement, root mean square along one axis (nm)."""

    @property
    def is_cubic(self) -> bool:
        """Whether it steps + + +."""
        return self.structure in {"fcc", "zinc_blende", "halite"}


@dataclass(frozen=True)
class Fault:
    """A fault in the stacking."""

    kind: FaultKind
    layer: int
    """The first layer that stands wrong."""


_BASES = {
    "fcc": ((0, 0.0, True),),
    "hcp": ((0, 0.0, True),),
    "zinc_blende": ((0, 0.0, True), (1, 0.75, True)),
    "wurtzite": ((0, 0.0, True), (1, 0.75, True)),
    "halite": ((0, 0.0, True), (1, 0.5, False)),
}


def cubic(
    name: str,
    structure: Literal["fcc", "zinc_blende", "halite"],
    elements: Sequence[str],
    a_nm: float,
    displacement_nm: float = 0.09,
) -> Crystal:
    """Return a cubic crystal.

    Parameters
    ----------
    name : str
        What tables call it.
    structure : {"fcc", "zinc_blende", "halite"}
        Its structure.
    elements : sequence of str
        Chemical symbols: one for fcc, cation and anion for the others.
    a_nm : float
        Lattice parameter (nm).
    displacement_nm : float
        Thermal displacement, root mean square along one axis (nm).

    Returns
    -------
    Crystal
        The crystal, its layers along [111].
    """
    return Crystal(name, structure, a_nm / np.sqrt(2), a_nm / np.sqrt(3), _basis(structure, elements), displacement_nm)


def hexagonal(
    name: str,
    structure: Literal["hcp", "wurtzite"],
    elements: Sequence[str],
    a_nm: float,
    c_nm: float,
    displacement_nm: float = 0.09,
) -> Crystal:
    """Return a hexagonal crystal.

    Parameters
    ----------
    name : str
        What tables call it.
    structure : {"hcp", "wurtzite"}
        Its structure.
    elements : sequence of str
        Chemical symbols: one for hcp, cation and anion for wurtzite.
    a_nm, c_nm : float
        Lattice parameters (nm).
    displacement_nm : float
        Thermal displacement, root mean square along one axis (nm).

    Returns
    -------
    Crystal
        The crystal, its layers along [0001].
    """
    return Crystal(name, structure, a_nm, c_nm / 2, _basis(structure, elements), displacement_nm)


def _basis(structure: str, elements: Sequence[str]) -> tuple[tuple[str, float, bool], ...]:
    """Put elements on the sites of a structure."""
    sites = _BASES[structure]
    if len(elements) != len({number for number, _, _ in sites}):
        raise ValueError(f"{structure} has {len(sites)} kinds of site, got the elements {', '.join(elements)}")
    return tuple((elements[number], height, own) for number, height, own in sites)


# thermal displacements at room temperature: Au 8.7 pm; CdSe 13-14 pm, one value for both sublattices
CRYSTALS: dict[str, Crystal] = {
    crystal.name: crystal
    for crystal in (
        cubic("Au", "fcc", ["Au"], 0.40782, 0.0087),
        cubic("Ag", "fcc", ["Ag"], 0.40862, 0.0095),
        cubic("Pt", "fcc", ["Pt"], 0.39236, 0.0063),
        cubic("Pd", "fcc", ["Pd"], 0.38902, 0.0075),
        cubic("Cu", "fcc", ["Cu"], 0.36150, 0.0085),
        cubic("Ni", "fcc", ["Ni"], 0.35238, 0.0070),
        cubic("Al", "fcc", ["Al"], 0.40495, 0.0101),
        hexagonal("CdSe", "wurtzite", ["Cd", "Se"], 0.4299, 0.7010, 0.0135),
        cubic("CdSe-zb", "zinc_blende", ["Cd", "Se"], 0.6052, 0.0135),
        hexagonal("CdS", "wurtzite", ["Cd", "S"], 0.41362, 0.6714, 0.0130),
        cubic("CdTe", "zinc_blende", ["Cd", "Te"], 0.6482, 0.0140),
        hexagonal("ZnO", "wurtzite", ["Zn", "O"], 0.32501, 0.52071, 0.0090),
        cubic("PbS", "halite", ["Pb", "S"], 0.5936, 0.0130),
    )
}
"""Known crystals by name; `cubic` and `hexagonal` make others from their lattice parameters."""


def find_crystal(name: str) -> Crystal:
    """Return a known crystal.

    Parameters
    ----------
    name : str
        For instance ``"Au"``.

    Returns
    -------
    Crystal
        The crystal.

    Raises
    ------
    ValueError
        If it is not known.
    """
    try:
        return CRYSTALS[name]
    except KeyError:
        raise ValueError(f"unknown crystal {name!r}: known are {', '.join(CRYSTALS)}") from None


def stacking(crystal: Crystal, n_layers: int, faults: Sequence[Fault] = ()) -> np.ndarray:
    """Return the position of each layer.

    Parameters
    ----------
    crystal : Crystal
        Decides the perfect sequence: ABCABC… or ABAB….
    n_layers : int
        Number of layers.
    faults : sequence of Fault
        Put in one after the other; in AB stacking one wipes out those above it that were put in before it
        (`lasting_faults`). In ABC stacking *intrinsic* is one wrong step (ABC|BCA), *extrinsic* two, *twin* turns all
        steps from there on, *layer* is five hexagonal layers. In AB stacking *intrinsic* is I2 (three equal steps,
        ABAB|CACA), *extrinsic* E (four), *twin* I1 (two: all that follows is mirrored), *layer* five cubic layers.

    Returns
    -------
    numpy.ndarray
        Shape (n_layers,), int: 0, 1, 2 for A, B, C.
    """
    steps = np.ones(max(n_layers - 1, 0), int) if crystal.is_cubic else np.resize([1, -1], max(n_layers - 1, 0))
    for fault in faults:
        i = max(fault.layer - 1, 0)  # the step that leads to the first wrong layer
        if i >= len(steps):
            continue
        if crystal.is_cubic:
            _fault_cubic(steps, i, fault.kind)
        else:
            _fault_hexagonal(steps, i, fault.kind)
    return np.concatenate([[0], np.cumsum(steps)])[:n_layers] % 3


def _fault_cubic(steps: np.ndarray, i: int, kind: FaultKind) -> None:
    """Turn steps of ABC stacking, in place."""
    if kind == "twin":
        steps[i:] *= -1
    elif kind == "layer":
        steps[i : i + OTHER_STACKING_LAYERS] *= np.resize([-1, 1], len(steps[i : i + OTHER_STACKING_LAYERS]))
    else:
        steps[i : i + (1 if kind == "intrinsic" else 2)] *= -1


def _fault_hexagonal(steps: np.ndarray, i: int, kind: FaultKind) -> None:
    """Turn steps of AB stacking, in place: `n` equal steps, then alternation goes on."""
    n = {"twin": 2, "intrinsic": 3, "extrinsic": 4, "layer": OTHER_STACKING_LAYERS + 1}[kind]
    sign = steps[i - 1] if i else steps[0]
    start = max(i - 1, 0)
    steps[start : start + n] = sign
    rest = len(steps[start + n :])
    steps[start + n :] = np.resize([-sign, sign], rest)


def lasting_faults(crystal: Crystal, faults: Sequence[Fault]) -> list[Fault]:
    """Return the faults that are there once `stacking` has put in all of them.

    Parameters
    ----------
    crystal : Crystal
        What is built.
    faults : sequence of Fault
        As `stacking` takes them, too far apart to touch one another.

    Returns
    -------
    list of Fault
        In their order: all of them in ABC stacking; in AB stacking those above which lies every later one.
    """
    if crystal.is_cubic:
        return list(faults)
    return [fault for i, fault in enumerate(faults) if all(later.layer > fault.layer for later in faults[i + 1 :])]


def fault_middle(crystal: Crystal, fault: Fault) -> float:
    """Return where the middle of the layers that a fault touches is.

    Parameters
    ----------
    crystal : Crystal
        What is built.
    fault : Fault
        The fault.

    Returns
    -------
    float
        In layers, as they are numbered in `stacking`: a twin's mirror plane is a layer, an intrinsic fault lies
        between two.
    """
    layers_of_other = 1.5 if crystal.is_cubic else 1.0
    return fault.layer + {"twin": -1.0, "intrinsic": -0.5, "extrinsic": 0.0, "layer": layers_of_other}[fault.kind]


def build_crystal(
    crystal: Crystal, radius_nm: float, *, origin_nm: Sequence[float] = (0.0, 0.0, 0.0), faults: Sequence[Fault] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Fill a ball with atoms.

    Parameters
    ----------
    crystal : Crystal
        What to build.
    radius_nm : float
        Radius of the ball (nm) about (0, 0, 0).
    origin_nm : sequence of float
        Where the lattice's origin stands (x, y, z), nm.
    faults : sequence of Fault
        Layers are numbered from the lowest; `layer_index` tells which one passes a height.

    Returns
    -------
    positions_nm : numpy.ndarray
        Shape (n, 3), float64: x, y, z.
    elements : numpy.ndarray
        Shape (n,), int: index into ``sorted({e for e, _, _ in crystal.basis})``.
    """
    reach = radius_nm + 2 * crystal.row_nm
    n_layers = 2 * int(np.ceil(reach / crystal.layer_nm)) + 1
    positions = stacking(crystal, n_layers + 1, faults)
    net = _triangular_net(crystal.row_nm, reach)
    names = sorted({element for element, _, _ in crystal.basis})
    shift = crystal.row_nm / np.sqrt(3)
    out, kinds = [], []
    for layer, (position, after) in enumerate(itertools.pairwise(positions)):
        for element, height, own in crystal.basis:
            z = (layer - n_layers // 2 + height) * crystal.layer_nm + origin_nm[2]
            place = position if own else -(position + after) % 3
            x, y = net[:, 0] + origin_nm[0], net[:, 1] + shift * place + origin_nm[1]
            inside = x**2 + y**2 + z**2 <= radius_nm**2
            out.append(np.stack([x[inside], y[inside], np.full(inside.sum(), z)], 1))
            kinds.append(np.full(inside.sum(), names.index(element)))
    return np.concatenate(out), np.concatenate(kinds)


def _triangular_net(row_nm: float, reach_nm: float) -> np.ndarray:
    """Return the points (n, 2) of one layer within a distance of the origin and a little more."""
    across = row_nm * np.sqrt(3) / 2
    n = int(np.ceil(reach_nm / across)) + 2
    j, i = np.mgrid[-n : n + 1, -n : n + 1]
    net = np.stack([((i + 0.5 * (j % 2)) * row_nm).ravel(), (j * across).ravel()], 1)
    return np.asarray(net[np.hypot(net[:, 0], net[:, 1]) <= reach_nm + row_nm])


def layer_index(crystal: Crystal, radius_nm: float, height_nm: float, origin_z_nm: float = 0.0) -> int:
    """Return the number of the layer at a height in `build_crystal`.

    Parameters
    ----------
    crystal : Crystal
        What is built.
    radius_nm : float
        Radius of the ball (nm).
    height_nm : float
        Height (nm) above the ball's centre.
    origin_z_nm : float
        Height of the lattice's origin (nm).

    Returns
    -------
    int
        Number of the nearest layer.
    """
    n_layers = 2 * int(np.ceil((radius_nm + 2 * crystal.row_nm) / crystal.layer_nm)) + 1
    return round((height_nm - origin_z_nm) / crystal.layer_nm) + n_layers // 2
