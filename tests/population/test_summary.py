import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.population import summarize


def particles(sizes: list[float | None], *, counted: bool = True, sample: str = "Au") -> pd.DataFrame:
    reason = None if counted else "edge"
    rows = [
        {"sample": sample, "counted": counted, "exclusion_reason": reason, "equivalent_diameter_nm": s} for s in sizes
    ]
    return tables.conform(pd.DataFrame(rows), tables.PARTICLES)


def test_only_counted_particles_enter() -> None:
    table = pd.concat([particles([4.0, 6.0, 8.0]), particles([100.0], counted=False)], ignore_index=True)
    summary = summarize(table)["samples"]["Au"]
    assert summary["n_particles"] == 4
    assert summary["excluded"] == {"edge": 1}
    assert summary["equivalent_diameter_nm"]["mean"] == pytest.approx(6.0)
    assert summary["equivalent_diameter_nm"]["sd"] == pytest.approx(2.0)


def test_samples_stay_apart() -> None:
    table = pd.concat([particles([4.0]), particles([9.0], sample="CdSe")], ignore_index=True)
    medians = {k: v["equivalent_diameter_nm"]["median"] for k, v in summarize(table)["samples"].items()}
    assert medians == {"Au": 4.0, "CdSe": 9.0}


def test_pixels_are_never_summed_up_as_nm() -> None:
    assert "equivalent_diameter_nm" not in summarize(particles([None, None]))["samples"]["Au"]


def test_no_particles_no_samples() -> None:
    assert summarize(tables.empty(tables.PARTICLES))["samples"] == {}


def test_quantiles_are_those_of_the_sizes(rng: np.random.Generator) -> None:
    sizes = rng.lognormal(2, 0.3, 501)
    summary = summarize(particles(list(sizes)))["samples"]["Au"]["equivalent_diameter_nm"]
    assert [summary["d10"], summary["d90"]] == pytest.approx(np.quantile(sizes, [0.1, 0.9], method="hazen").tolist())


def test_sizes_state_how_many_particles_lack_them() -> None:
    table = particles([3.0, 4.0, 6.0, 8.0]).assign(feret_min_nm=pd.array([None, 3.5, 5.0, 7.0], dtype="Float64"))
    summary = summarize(table)["samples"]["Au"]
    counts = {
        size: (summary[size]["n"], summary[size]["n_missing"]) for size in ("equivalent_diameter_nm", "feret_min_nm")
    }
    assert counts == {"equivalent_diameter_nm": (4, 0), "feret_min_nm": (3, 1)}
    assert summary["feret_min_nm"]["median"] == 5.0
