"""The true instances of simulated scenes, from the store that `hrtem-dask simulate` wrote."""

from __future__ import annotations

import numpy as np

from hrtem_dask.detection.instances import Instances
from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.scenes.truth import mask_of_runs
from hrtem_dask.storage.annotations.annotated_image import AnnotatedImage
from hrtem_dask.storage.simulated import SimulatedStore

__all__ = ["simulated_instances"]


def simulated_instances(store: SimulatedStore) -> list[AnnotatedImage]:
    """Read the true instances of all scenes of a store.

    Parameters
    ----------
    store : SimulatedStore
        A store of the regime ``rods`` or ``vesicles``.

    Returns
    -------
    list of AnnotatedImage
        In the order of the store; ``name`` is the name of the micrograph, which ``store.image`` reads.

    Raises
    ------
    SettingsError
        If the store is of another regime.
    """
    if "mask_runs" not in {c.name for c in store.regime.truth_tables["particles"]}:
        raise SettingsError(
            f"{store.folder.url} is a store of the regime {store.regime.name}, which has label images, but no "
            "instances that overlap: give one of the regime rods or vesicles"
        )
    groups = {str(name): rows for name, rows in store.particles.groupby("micrograph_id")}
    made = []
    for name, height, width in store.micrographs[["micrograph_id", "height_px", "width_px"]].itertuples(index=False):
        rows = groups.get(str(name), store.particles.iloc[:0])
        shape = (int(height), int(width))
        columns = ["x_center_px", "y_center_px", "length_px", "width_px", "angle_deg"]
        instances = Instances.from_rotated_boxes(
            rows[columns].to_numpy(dtype=np.float64),
            shape=shape,
            class_names=rows["class_name"].to_numpy(dtype=str),
            ignored=rows["is_ignored"].to_numpy(dtype=bool),
            masks=[mask_of_runs([int(n) for n in str(runs).split()], shape) for runs in rows["mask_runs"]],
        )
        made.append(AnnotatedImage(name=str(name), instances=instances, doubtful=np.zeros(len(instances), bool)))
    return made
