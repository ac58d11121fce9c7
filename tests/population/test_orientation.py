"""Alignment of rods: known order is found, random directions have none, and intervals cover the truth."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask.population.orientation import describe_instances, nematic_order


def _angles(rng: np.random.Generator, n: int, concentration: float) -> np.ndarray:
    """Return directions around a random one, °; doubled angles follow von Mises' distribution."""
    return np.rad2deg(rng.vonmises(rng.uniform(-np.pi, np.pi), concentration, n) / 2)


@pytest.mark.parametrize(("concentration", "order"), [(0.5, 0.2425), (2.0, 0.6978), (10.0, 0.9486)])
def test_known_order_is_found_and_covered(concentration: float, order: float) -> None:
    """The mean of cos 2θ of von Mises' distribution is I₁(κ) / I₀(κ)."""
    inside, estimates = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        micrographs = np.repeat(np.arange(15), 40)
        angles = np.concatenate([_angles(rng, 40, concentration) for _ in range(15)])
        found = nematic_order(angles, micrographs, seed=seed, n_resamples=300)
        estimates.append(found["estimate"])
        inside += found["low"] <= order <= found["high"]
    assert np.mean(estimates) == pytest.approx(order, abs=0.02)
    assert inside >= 51  # 95 % of 60 are 57; below 51 with a probability of 0.1 %


def test_random_directions_have_no_order() -> None:
    rng = np.random.default_rng(0)
    found = nematic_order(rng.uniform(-90, 90, 4000), np.repeat(np.arange(40), 100))
    assert found["estimate"] < 0.05
    assert found["low"] == 0


def test_order_does_not_depend_on_how_micrographs_lay() -> None:
    rng = np.random.default_rng(1)
    micrographs = np.repeat(np.arange(6), 20)
    angles = _angles(rng, 120, 2)
    turned = angles + rng.uniform(0, 180, 6)[micrographs]
    assert nematic_order(turned, micrographs)["estimate"] == pytest.approx(
        nematic_order(angles, micrographs)["estimate"]
    )


def test_few_micrographs_have_no_interval() -> None:
    assert nematic_order(np.zeros(4), np.array([0, 0, 1, 1]))["estimate"] == 1
    assert "at least 5" in nematic_order(np.zeros(4), np.array([0, 0, 1, 1]))["reason"]
    assert nematic_order(np.zeros(2), np.array([0, 1]))["estimate"] is None


def test_only_counted_and_elongated_instances_of_a_detector() -> None:
    table = pd.DataFrame(
        {
            "micrograph_id": ["a", "a", "a", "b", "b"],
            "counted": [True, True, True, True, False],
            "instance_class": ["rod", "rod", "cube", "rod", "rod"],
            "detection_score": [0.9, 0.8, 0.7, 0.9, 0.9],
            "box_length_px": [40.0, 60, 20, 50, 500],
            "box_width_px": [10.0, 10, 19, 10, 10],
            "box_aspect_ratio": [4.0, 6, 1.05, 5, 50],
            "box_angle_deg": [10.0, 12, 80, -90, 0],
            "box_length_nm": [np.nan] * 5,
            "box_width_nm": [np.nan] * 5,
        }
    )
    micrographs = pd.DataFrame({"micrograph_id": ["a", "b", "c"], "network_scale": [0.5, 0.5, 1.0]})
    found = describe_instances(table, micrographs)
    assert found is not None
    assert found["scales"] == [{"scale": 0.5, "n": 2}]
    assert found["classes"] == [{"name": "cube", "n": 1}, {"name": "rod", "n": 3}]
    assert found["sizes"]["box_length_px"]["median"] == 45
    assert "box_length_nm" not in found["sizes"]
    assert sum(found["histogram"]["n"]) == 3
    assert found["order"]["n"] == 3
    assert describe_instances(table.drop(columns="detection_score"), micrographs) is None
    assert describe_instances(table.assign(detection_score=np.nan), micrographs) is None
