"""Zone-axis patterns of close-packed crystals with stacking faults.

References
----------
[1] Warren, X-ray Diffraction, Addison-Wesley 1969, chapter 13: rows with h − k not a multiple of 3 streak.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from hrtem_dask.crystals.zone_patterns import MIN_WEIGHT, ZonePattern

__all__ = ["faulted_pattern"]


@functools.lru_cache(maxsize=512)
def faulted_pattern(pattern: ZonePattern) -> ZonePattern | None:
    """Return the pattern of a close-packed crystal with stacking faults.

    Planes normal to the stacking direction are edge-on along [110] of face-centered and [11-20] of hexagonal crystals.
    Rows of reflections along their normal stay sharp if the number of the row is a multiple of 3. On the other rows
    faults move the strength along the row, to the positions of the twin and of the other stacking [1].

    Parameters
    ----------
    pattern : ZonePattern
        Pattern of the perfect crystal.

    Returns
    -------
    ZonePattern or None
        Pattern of the faulted crystal along the same axis; None along other axes and for other crystals.

    Examples
    --------
    >>> from hrtem_dask.crystals import zone_pattern
    >>> gold = faulted_pattern(zone_pattern("Au", "[110]"))
    >>> bool(gold.streak.any()), faulted_pattern(zone_pattern("Au", "[100]")) is None
    (True, True)
    """
    normal_hkl = {"[110]": (1, -1, 1), "[11-20]": (0, 0, 2)}.get(pattern.zone_axis)
    hkl = pattern.hkl.tolist()
    if normal_hkl is None or list(normal_hkl) not in hkl:
        return None
    position = pattern.frequency_per_nm @ [1, 1j]
    normal = position[hkl.index(list(normal_hkl))]
    if not pattern.weight[hkl.index(list(normal_hkl))] > 0:
        return None  # body-centered crystals are not close-packed
    unit = normal / abs(normal)
    turned = position / unit  # the real part is along the normal
    across = np.abs(turned.imag)
    step = across[across > 1e-6].min()
    row = np.round(turned.imag / step).astype(int)
    spread = row % 3 != 0
    reach = 6 * int(np.abs(turned).max() / abs(normal)) + 6
    steps = np.arange(-reach, reach + 1)
    # positions along the normal in sixths: 2 and 4 are the crystal and its twin, 0 and 3 the other stacking
    x = abs(normal) / 6 * steps[(steps % 3 == 0) | (steps % 2 == 0)]
    new_position, new_weight = [turned[~spread]], [pattern.weight[~spread]]
    for k in np.unique(np.abs(row[spread])):
        in_row = np.abs(row) == k
        perfect_x = turned[in_row].real * np.sign(turned[in_row].imag)
        total = pattern.weight[in_row].sum()
        near = np.exp(-0.5 * np.square((x[:, None] - np.concatenate([perfect_x, -perfect_x])) / (abs(normal) / 4)))
        share = near @ np.tile(pattern.weight[in_row], 2)
        if total > 0:
            new_position.append(x + 1j * k * step)
            new_weight.append(share / share.sum() * total)
    z, weight = np.concatenate(new_position) * unit, np.concatenate(new_weight)
    streak = np.arange(len(z)) >= (~spread).sum()
    kept = ~streak | (weight > MIN_WEIGHT)
    z, weight, streak = z[kept], weight[kept], streak[kept]
    rows = np.round((z / unit).imag / step).astype(int)
    ring = np.concatenate([pattern.ring[~spread], 10_000 + rows[streak]])
    return dataclasses.replace(
        pattern,
        hkl=np.concatenate([pattern.hkl[~spread], np.zeros((int(streak.sum()), 3), int)]),
        frequency_per_nm=np.stack([z.real, z.imag], axis=1),
        weight=weight / weight.sum(),
        ring=ring,
        streak=streak,
        has_mirror=False,
    )
