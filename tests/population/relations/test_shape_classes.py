import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.particles import measure_particles
from hrtem_dask.population.relations.shape_classes import ShapeRule, classify_shapes, shape_classes, shape_distributions


def outline(kind: str, area_px: float, rng: np.random.Generator) -> np.ndarray:
    """Pixels whose centre lies in a shape of this area, turned and shifted at random."""
    side = int(6 * np.sqrt(area_px)) + 8
    y, x = np.mgrid[:side, :side] - side / 2 + rng.uniform(-0.5, 0.5, 2)[:, None, None]
    angle = rng.uniform(0, 2 * np.pi)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    name, _, number = kind.partition(" ")
    if name == "ellipse":
        minor = np.sqrt(area_px / np.pi / float(number))
        return np.asarray((u / float(number)) ** 2 + v**2 <= minor**2)
    if name == "polygon":
        corners = int(number)
        inner = np.sqrt(area_px / (corners * np.tan(np.pi / corners)))
        normals = 2 * np.pi * np.arange(corners) / corners
        return np.all([np.cos(a) * u + np.sin(a) * v <= inner for a in normals], axis=0)
    if name == "rod":
        radius = np.sqrt(area_px / (4 * (float(number) - 1) + np.pi))
        return np.asarray(np.hypot(np.maximum(np.abs(u) - radius * (float(number) - 1), 0), v) <= radius)
    half = np.sqrt(area_px / 3)  # an L: three quarters of a square
    return np.asarray((np.abs(u) <= half) & (np.abs(v) <= half) & ~((u > 0) & (v > 0)))


def measured(kind: str, area_px: float, rng: np.random.Generator, *, n: int = 40) -> pd.DataFrame:
    masks = [outline(kind, area_px, rng).astype(np.int32) for _ in range(n)]
    rows = [measure_particles(m, m.astype(float), pixel_size_nm=(0.05, 0.05)) for m in masks]
    table = pd.concat(rows, ignore_index=True).assign(counted=True, sample="Au")
    table["micrograph_id"] = [f"m{i % 10}" for i in range(n)]
    return tables.conform(table, tables.PARTICLES)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ellipse 1", "near_spherical"),
        ("ellipse 1.1", "near_spherical"),
        ("polygon 8", "near_spherical"),
        ("polygon 3", "faceted"),
        ("polygon 4", "faceted"),
        ("ellipse 1.35", "elongated"),
        ("ellipse 2", "elongated"),
        ("rod 2", "elongated"),
        ("rod 4", "rod_like"),
        ("L", "irregular"),
    ],
)
@pytest.mark.parametrize("area_px", [240, 1000])
def test_shapes_are_known_by_their_outlines(kind: str, name: str, area_px: int, rng: np.random.Generator) -> None:
    right = (classify_shapes(measured(kind, area_px, rng)) == name).mean()
    assert right >= (0.9 if area_px == 240 else 1.0)


def test_a_hexagon_is_distinguished_from_a_disk_only_with_many_pixels(rng: np.random.Generator) -> None:
    """The limit lies close to it: the docs say so."""
    large = (classify_shapes(measured("polygon 6", 5000, rng)) == "faceted").mean()
    small = (classify_shapes(measured("polygon 6", 300, rng)) == "faceted").mean()
    assert large > 0.85 > 0.6 > small


def test_too_few_pixels_have_no_shape(rng: np.random.Generator) -> None:
    table = measured("ellipse 1", 150, rng)
    assert (classify_shapes(table) == "too_few_pixels").all()
    assert (classify_shapes(table, rule=ShapeRule(min_area_px=100)) == "near_spherical").all()
    # small particles have no shape descriptors, for which their size is the reason
    assert (classify_shapes(table.assign(circularity=np.nan)) == "too_few_pixels").all()
    large = measured("ellipse 1", 1000, rng)
    assert (classify_shapes(large.assign(circularity=np.nan)) == "not_measured").all()


def test_fractions_are_of_what_could_be_classed(rng: np.random.Generator) -> None:
    kinds = [("ellipse 1", 400), ("polygon 4", 400), ("ellipse 1", 100)]
    table = pd.concat([measured(kind, area, rng) for kind, area in kinds], ignore_index=True)
    result = shape_classes(table)
    classes = result["classes"]
    assert sum(c["count"] for c in classes.values()) == result["n_counted"] == 120
    assert classes["too_few_pixels"] == {"count": 40, "fraction": None}
    assert classes["near_spherical"]["fraction"]["estimate"] == classes["faceted"]["fraction"]["estimate"] == 0.5
    assert classes["rod_like"]["fraction"]["estimate"] == 0


def test_a_mean_of_two_shapes_is_no_particle(rng: np.random.Generator) -> None:
    """Disks and rods: no particle has the mean aspect ratio, and the quantiles say so."""
    table = pd.concat([measured("ellipse 1", 1000, rng), measured("rod 4", 1000, rng)], ignore_index=True)
    row = shape_distributions(table)["aspect_ratio"]
    assert row["quantiles"]["0.25"] < 1.1
    assert row["quantiles"]["0.75"] > 3.5
    edges, weights = np.array(row["histogram"]["edges"]), np.array(row["histogram"]["weights"])
    mean = table["aspect_ratio"].mean()
    assert weights[np.searchsorted(edges, mean) - 1] == 0


def test_histograms_hold_every_particle(rng: np.random.Generator) -> None:
    table = measured("ellipse 1", 100, rng)  # circularity of small disks exceeds 1
    for row in shape_distributions(table).values():
        histogram = row["histogram"]
        assert sum(histogram["weights"]) + histogram["below"] + histogram["above"] == row["n"] == 40
    assert shape_distributions(table)["circularity"]["histogram"]["above"] > 0


def test_no_particle_no_distribution() -> None:
    rows = shape_distributions(tables.empty(tables.PARTICLES))
    assert all(row["quantiles"] is None and row["reason"] for row in rows.values())
    assert shape_classes(tables.empty(tables.PARTICLES))["classes"]["faceted"]["fraction"]["reason"] == "no particles"


def test_particles_counted_by_size_alone_have_no_class_and_are_stated(rng: np.random.Generator) -> None:
    large, small = measured("ellipse 1", 400, rng), measured("ellipse 1", 60, rng)
    shapes = ["aspect_ratio", "circularity", "roundness", "compactness", "solidity", "convexity", "eccentricity"]
    table = pd.concat([large, small.assign(**dict.fromkeys(shapes, np.nan))], ignore_index=True)
    assert classify_shapes(table).tolist() == ["near_spherical"] * len(large) + ["too_few_pixels"] * len(small)
    alone, both = shape_classes(large)["classes"], shape_classes(table)["classes"]
    assert both["too_few_pixels"]["count"] == len(small)
    assert both["near_spherical"] == alone["near_spherical"]
    for name, row in shape_distributions(table).items():
        assert row == shape_distributions(large)[name] | {"n_missing": len(small)}
