"""Simulated populations, as tables, whose truth is known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.population.sizes.size_sample import Sizes

Tables = tuple[pd.DataFrame, pd.DataFrame]


def cut_frames(
    rng: np.random.Generator,
    *,
    frames: int,
    per_frame: float,
    median_nm: float,
    log_sd: float,
    frame_px: int,
    px: float,
) -> Tables:
    """Disks of a lognormal population that fall at random on frames, with the edge rule of a run."""
    ids, boxes, sizes = [], [], []
    margin = 4 * median_nm / px
    area = ((frame_px + 2 * margin) / frame_px) ** 2
    for j in range(frames):
        n = rng.poisson(per_frame * area)
        d = median_nm * np.exp(log_sd * rng.standard_normal(n))
        y, x = rng.uniform(-margin, frame_px + margin, (2, n))
        r = d / px / 2
        box = np.stack([np.ceil(y - r), np.ceil(x - r), np.floor(y + r) + 1, np.floor(x + r) + 1], axis=1)
        meets = (box[:, 2:] > 0).all(axis=1) & (box[:, :2] < frame_px).all(axis=1)
        ids += [f"m{j:05d}"] * int(meets.sum())
        boxes.append(np.clip(box[meets], 0, frame_px))
        sizes.append(d[meets])
    box, size = np.concatenate(boxes), np.concatenate(sizes)
    edge = (box[:, :2] == 0).any(axis=1) | (box[:, 2:] == frame_px).any(axis=1)
    table = pd.DataFrame(box, columns=["bbox_y0_px", "bbox_x0_px", "bbox_y1_px", "bbox_x1_px"]).astype(int)
    table = table.assign(
        micrograph_id=ids,
        sample="Au",
        particle_id=np.arange(1, len(ids) + 1),
        counted=~edge,
        exclusion_reason=pd.array(["edge" if e else None for e in edge], dtype="string"),
        area_px=np.maximum(1, np.pi / 4 * (size / px) ** 2).astype(int),
        area_nm2=np.pi / 4 * size**2,
        equivalent_diameter_nm=size,
        feret_min_nm=size,
    )
    micrographs = pd.DataFrame({"micrograph_id": [f"m{j:05d}" for j in range(frames)]})
    micrographs = micrographs.assign(sample="Au", height_px=frame_px, width_px=frame_px, pixel_size_source="file: test")
    return tables.conform(table, tables.PARTICLES), tables.conform(micrographs, tables.MICROGRAPHS)


@pytest.fixture(scope="session")
def make_frames() -> Callable[..., Tables]:
    return cut_frames


def draw_sizes(
    rng: np.random.Generator, micrographs: int, *, per: float = 20, between: float = 0.1, within: float = 0.25
) -> Sizes:
    """Lognormal sizes whose logarithm differs between micrographs: median 8 nm."""
    n = np.maximum(rng.poisson(per, micrographs), 1)
    owners = np.repeat(np.arange(micrographs), n)
    log = between * rng.standard_normal(micrographs)[owners] + within * rng.standard_normal(n.sum())
    return Sizes(8 * np.exp(log), np.ones(len(owners)), owners, micrographs)


@pytest.fixture(scope="session")
def make_sizes() -> Callable[..., Sizes]:
    return draw_sizes
