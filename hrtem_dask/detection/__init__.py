"""Detection: image → instances that may overlap, such as crossed rods or vesicles, each with its own box and mask.

Importing this folder imports no torch; `rotated_boxes` and `instances` need NumPy and OpenCV alone, so that the
simulator and the scores use them too.
"""

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances

__all__ = ["InstanceMask", "Instances"]
