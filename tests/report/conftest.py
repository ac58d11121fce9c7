"""A results folder like that of a run, with known sizes and faults; it is made without a segmentation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from hrtem_dask import loading, tables
from hrtem_dask.population import PopulationOptions, summarize
from hrtem_dask.settings import Settings
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.compaction import write_run_file
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import write_table

PIXEL_NM = 0.05
SIDE_PX = 640
N_MICROGRAPHS = 12


def draw(rng: np.random.Generator, sample: int) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """Draw ellipses at random cells of a grid; larger ones have a fault more often."""
    yy, xx = np.mgrid[:SIDE_PX, :SIDE_PX]
    image = rng.normal(100, 6, (SIDE_PX, SIDE_PX))
    labels = np.zeros((SIDE_PX, SIDE_PX), np.int32)
    rows = []
    for number, cell in enumerate(rng.permutation(16)[:13], start=1):
        cy, cx = 80 + 160 * (cell // 4) + rng.uniform(-8, 8), 80 + 160 * (cell % 4) + rng.uniform(-8, 8)
        ecd_px = min(rng.lognormal(np.log(80 + 15 * sample), 0.22), 135)
        aspect, turn = 1 + rng.gamma(2, 0.06), rng.uniform(0, np.pi)
        a, b = ecd_px / 2 * np.sqrt(aspect), ecd_px / 2 / np.sqrt(aspect)
        u, v = (xx - cx) * np.cos(turn) + (yy - cy) * np.sin(turn), (yy - cy) * np.cos(turn) - (xx - cx) * np.sin(turn)
        inside = (u / a) ** 2 + (v / b) ** 2 <= 1
        image[inside] -= 25 + 8 * np.cos(u[inside] / 4)
        labels[inside] = number
        rows.append(row(number, inside, a, b, faulted(rng, ecd_px * PIXEL_NM), rng))
    return image.astype(np.float32), labels, rows


def faulted(rng: np.random.Generator, ecd_nm: float) -> str:
    if rng.random() < 0.2:
        return "unknown"
    return "fault" if rng.random() < 1 / (1 + np.exp(-2 * (ecd_nm - 4.3))) else "no_fault"


def row(number: int, inside: np.ndarray, a: float, b: float, state: str, rng: np.random.Generator) -> dict:
    y, x = np.nonzero(inside)
    area = int(inside.sum())
    ecd = 2 * np.sqrt(area / np.pi)
    perimeter = np.pi * (3 * (a + b) - np.sqrt((3 * a + b) * (a + 3 * b)))
    lengths = {
        "centroid_y": y.mean(), "centroid_x": x.mean(), "equivalent_diameter": ecd, "feret_max": 2 * a,
        "feret_min": 2 * b, "perimeter": perimeter, "convex_perimeter": perimeter,
    }  # fmt: skip
    return {
        "particle_id": number,
        "region_id": number,
        "bbox_y0_px": y.min(), "bbox_x0_px": x.min(), "bbox_y1_px": y.max() + 1, "bbox_x1_px": x.max() + 1,
        "touches_edge": False,
        "counted": number != 1,
        "exclusion_reason": "agglomerate" if number == 1 else None,
        "split_confidence": 0.7 if number == 3 else None,
        "area_px": area,
        "area_nm2": area * PIXEL_NM**2,
        **{f"{k}_px": v for k, v in lengths.items()},
        **{f"{k}_nm": v * PIXEL_NM for k, v in lengths.items()},
        "aspect_ratio": a / b,
        "circularity": 4 * np.pi * area / perimeter**2,
        "roundness": area / (np.pi * a**2),
        "compactness": ecd / (2 * a),
        "solidity": 0.99 - 0.02 * rng.random(),
        "convexity": 0.98 + 0.02 * rng.random(),
        "eccentricity": np.sqrt(1 - (b / a) ** 2),
        "extent": inside.sum() / (np.ptp(y) + 1) / (np.ptp(x) + 1),
        "contrast": -4 + rng.normal(),
        "mean_probability": rng.uniform(0.8, 1),
        "fault_state": state,
        "fault_probability": {"fault": 0.9, "no_fault": 0.1}.get(state),
        "fault_trace_deg": 30.0 if state == "fault" else None,
        "fault_offset_nm": 0.2 if state == "fault" else None,
    }  # fmt: skip


def make_results(folder: Path) -> Path:
    """Write micrographs, labels and tables; one micrograph is set aside, and one has failed."""
    rng = np.random.default_rng(7)
    place = Location.of(folder / "results")
    store = Location.of(place.path("labels.zarr"))
    zarr_store.create_store(store)
    micrographs, particles = [], []
    for i in range(N_MICROGRAPHS):
        sample = "Au & <b>" if i % 2 else "Au 60/80.5"
        image, labels, rows = draw(rng, i % 2)
        path = folder / f"image_{i:02d}.tif"
        tifffile.imwrite(path, image)
        source = next(iter(loading.find_sources(str(path))))
        listed = loading.to_row(next(iter(loading.list_micrographs(source))))
        known = {
            "sample": sample, "status": "done", "reason": None, "pixel_size_y_nm": PIXEL_NM,
            "pixel_size_x_nm": PIXEL_NM,
            "pixel_size_source": "user", "calibration_flags": None, "voltage_kv": 300.0, "instrument": "simulated",
            "height_px": SIDE_PX, "width_px": SIDE_PX, "n_particles": len(rows), "n_counted": len(rows) - 1,
            "predicted_dice": rng.uniform(0.85, 0.98), "quality_flags": "blur" if i == 4 else None,
            "source_hash": loading.source_hash(source), "model_hash": "0123456789abcdef", "corrected": i == 2,
            "synthesis_temperature_c": 60.0 + 20 * (i % 2),
        }  # fmt: skip
        micrographs.append(listed | known)
        particles += [{"micrograph_id": listed["micrograph_id"], "sample": sample, **r} for r in rows]
        zarr_store.write_labels(store, listed["micrograph_id"], labels, pixel_size_nm=(PIXEL_NM, PIXEL_NM))
    for status, reason in (("set_aside", "no pixel size"), ("failed", "truncated <file>")):
        micrographs.append({"micrograph_id": status, "source": f"/data/{status}.dm4", "status": status,
                            "sample": "Au & <b>", "reason": reason})  # fmt: skip
    written = {"micrographs": micrographs, "particles": particles, "regions": [], "execution": []}
    tables_written = {}
    for name, content in written.items():
        schema = tables.SCHEMAS[name]
        table = tables.conform(pd.DataFrame(content), schema) if content else tables.empty(schema)
        if name == "micrographs":
            table = table.assign(synthesis_temperature_c=[m.get("synthesis_temperature_c") for m in content])
        tables_written[name] = table
        write_table(place, f"{name}.parquet", table, schema)
    options = PopulationOptions(n_resamples=100, n_fit_simulations=20)  # quick; a run takes more
    statistics = summarize(tables_written["particles"], tables_written["micrographs"], options)
    place.write_json("summary.json", {"micrographs": {"done": N_MICROGRAPHS}, "corrected": 1, **statistics})
    write_run_file(place, Settings(), models={"segmentation": "0123456789abcdef"})
    return folder / "results"


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("report"))
