"""The faults in a particle's truth against those in its atoms, found from their neighbors alone."""

import dataclasses
import functools

import numpy as np
import pytest
from scipy.spatial import cKDTree

from hrtem_dask.simulation import SimulationRanges, particles
from hrtem_dask.simulation.crystals import CRYSTALS
from hrtem_dask.simulation.particles import SimulatedParticle, draw_particle

FAULTED = SimulationRanges(shapes={"rod": 1}, misoriented_fraction=0.0, between_fraction=0.0, fault_fraction=1.0)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Atoms at rest, so that neighbors can be identified, and no tilt, so that layers are lines."""
    known = particles.find_crystal
    drawn = functools.partial(particles.draw_orientation, max_tilt_deg=0.0)
    monkeypatch.setattr(particles, "find_crystal", lambda n: dataclasses.replace(known(n), displacement_nm=0.0))
    monkeypatch.setattr(particles, "draw_orientation", drawn)


def distances_of_faulted_layers(particle: SimulatedParticle, material: str) -> np.ndarray:
    """Return the distances (nm) from the center of the layers that are stacked otherwise than their crystal, sorted.

    In ABC stacking every neighbor has an opposite one; in AB stacking those of the layers above and below do not.
    """
    crystal, truth = CRYSTALS[material], particle.truth
    atoms = particle.positions_nm[particle.kinds == 0]
    normal = np.deg2rad(truth["fault_trace_deg"] + 90)
    distance = atoms[:, 0] * np.cos(normal) - atoms[:, 1] * np.sin(normal)  # the screen's y points down
    tree = cKDTree(atoms)
    inner = np.flatnonzero(tree.query_ball_point(atoms, 1.2 * crystal.row_nm, return_length=True) == 13)
    near = tree.query(atoms[inner], k=13)[1]
    opposite = tree.query(2 * atoms[inner][:, None] - atoms[near])[0].max(axis=1) < 0.2 * crystal.row_nm
    layers = np.sort(distance[inner[opposite != crystal.is_cubic]])
    return np.array([part.mean() for part in np.split(layers, np.flatnonzero(np.diff(layers) > 0.1) + 1)])


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize(
    ("kind", "n_layers"),
    [("twin", {"Au": 1, "CdSe": 1}), ("intrinsic", {"Au": 2, "CdSe": 2}), ("extrinsic", {"Au": 2, "CdSe": 3}),
     ("layer", {"Au": 6, "CdSe": 5})],
)  # fmt: skip
@pytest.mark.parametrize("material", ["Au", "CdSe"])
def test_a_fault_lies_where_the_truth_says(
    material: str, kind: str, n_layers: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(particles, "FAULT_KINDS", {kind: 1.0})
    monkeypatch.setattr(particles, "N_FAULTS", {"1": 1.0})
    for seed in range(4):
        particle = draw_particle(np.random.default_rng(seed), FAULTED, material, 5.0)
        layers = distances_of_faulted_layers(particle, material)
        assert particle.truth["fault_visible"]
        assert len(layers) == n_layers[material]
        assert (layers[0] + layers[-1]) / 2 == pytest.approx(particle.truth["fault_offset_nm"], abs=1e-6)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("material", ["Au", "CdSe"])
def test_every_fault_of_the_truth_is_there(material: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(particles, "FAULT_KINDS", {"twin": 1.0})
    monkeypatch.setattr(particles, "N_FAULTS", {"3": 1.0})
    numbers = []
    for seed in range(8):
        particle = draw_particle(np.random.default_rng(seed), FAULTED, material, 9.0)
        layers = distances_of_faulted_layers(particle, material)
        assert len(layers) == particle.truth["n_faults"]
        assert np.abs(layers - particle.truth["fault_offset_nm"]).min() < 1e-6
        numbers.append(particle.truth["n_faults"])
    assert max(numbers) > 1
