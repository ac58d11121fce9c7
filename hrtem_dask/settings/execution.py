"""Settings of the execution: device, engine, tiles, memory; they do not decide what is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hrtem_dask.errors import SettingsError
from hrtem_dask.settings.ranges import require


@dataclass(frozen=True, kw_only=True)
class ExecutionSettings:
    """What decides how fast results come and what else is written, not what they are."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where images are processed."""
    engine: Literal["auto", "openvino", "torch"] = "auto"
    """What runs the U-Net, and the convolutions of a detector, on a CPU."""
    tile_px: int = 2048
    """Tile of the U-Net for images larger than `whole_px` on a side."""
    whole_px: int = 2048
    """Images up to this side go through the U-Net whole; its memory grows with it."""
    overlays: Literal["sample", "all", "none"] = "sample"
    """For which micrographs an overlay picture is written."""
    labels: Literal["auto", "folders", "packed"] = "auto"
    """How label images are stored: each in a folder of its own in ``labels.zarr``, which is seven files and folders, or
    many in one ZIP file in ``labels``; ``"auto"`` packs those of runs with more than 500 micrographs."""
    group_megapixels: float = 8.0
    """Small micrographs are grouped into tasks of at most about this size, some seconds of work. A worker that dies
    loses what it has of its group, and results are counted group by group."""
    timeout_per_file_s: float | None = None
    """A micrograph that takes longer (s) is ended with its worker, and failed; None sets no limit."""
    memory_plan: Literal["files", "refuse", "warn"] = "files"
    """What happens if a micrograph is planned to need more memory than a worker has: its arrays are kept in files
    (Linux; not with a detector, PyTorch or a GPU, where the run is refused), the run is refused, or it is tried in
    memory."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        require("execution.tile_px", self.tile_px, 16)
        require("execution.group_megapixels", self.group_megapixels, 0)
        if self.timeout_per_file_s is not None and not self.timeout_per_file_s > 0:
            raise SettingsError(
                f"execution.timeout_per_file_s must be above 0, got {self.timeout_per_file_s:g}: leave it out for no "
                "limit"
            )
