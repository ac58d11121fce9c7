"""The images of a collection as an xarray.DataTree: one node per image shape, one chunk per micrograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed

from hrtem_dask import loading

__all__ = ["add_variables", "node_name", "stack_images"]


def node_name(record: loading.MicrographRecord) -> str:
    """Return the name of the node that holds images of this shape.

    Parameters
    ----------
    record : loading.MicrographRecord
        Record of the listing.

    Returns
    -------
    str
        For instance ``1024x2048``: height and width in px.
    """
    return f"{record.height_px}x{record.width_px}"


def stack_images(
    records: Sequence[loading.MicrographRecord],
    stages: Mapping[str, Mapping[str, Delayed]],
    variable: str,
    dtype: np.dtype | None,
) -> xr.DataTree:
    """Stack the images of each shape, one chunk per micrograph.

    Parameters
    ----------
    records : sequence of loading.MicrographRecord
        The micrographs.
    stages : mapping
        `micrograph_id` → stage → its image, as a delayed array of shape (y, x).
    variable : str
        Stage to take, and name of the variable.
    dtype : numpy.dtype or None
        Type of the values; None for that of the files.

    Returns
    -------
    xarray.DataTree
        One node per shape, with the variable (micrograph, y, x) and the pixel sizes (nm).
    """
    shapes: dict[str, list[loading.MicrographRecord]] = {}
    for record in records:
        shapes.setdefault(node_name(record), []).append(record)
    nodes: dict[str, xr.Dataset] = {}
    for name, group in shapes.items():
        shape = (group[0].height_px, group[0].width_px)
        kind = dtype or np.result_type(*{str(r.dtype) for r in group})
        images = [
            da.from_delayed(stages[r.micrograph_id][variable], shape, dtype=dtype or np.dtype(str(r.dtype))).astype(
                kind
            )
            for r in group
        ]
        sizes = [r.pixel_size_nm or (np.nan, np.nan) for r in group]
        nodes[f"/{name}"] = xr.Dataset(
            {variable: (("micrograph", "y", "x"), da.stack(images))},
            coords={
                "micrograph": np.array([r.micrograph_id for r in group], dtype=object),
                "pixel_size_y_nm": ("micrograph", np.array([s[0] for s in sizes]), {"units": "nm"}),
                "pixel_size_x_nm": ("micrograph", np.array([s[1] for s in sizes]), {"units": "nm"}),
            },
        )
    return xr.DataTree.from_dict(nodes)


def add_variables(tree: xr.DataTree, added: xr.DataTree) -> xr.DataTree:
    """Add the variables of one tree to another of the same nodes.

    Parameters
    ----------
    tree, added : xarray.DataTree
        Trees of the same nodes.

    Returns
    -------
    xarray.DataTree
        A new tree with the variables of both.
    """
    merged = {name: node.to_dataset().assign(added[name].data_vars) for name, node in tree.children.items()}
    return xr.DataTree.from_dict({f"/{name}": dataset for name, dataset in merged.items()})
