import numpy as np
import pandas as pd
import pandas.testing as pdt
import pytest

from hrtem_dask import tables


@pytest.mark.parametrize("name", tables.SCHEMAS)
def test_an_empty_table_concatenates_without_changing_a_dtype(name: str) -> None:
    schema = tables.SCHEMAS[name]
    none = tables.empty(schema)
    one = tables.conform(pd.DataFrame({"micrograph_id": ["a"]}), schema)
    pdt.assert_series_equal(none.dtypes, one.dtypes)
    pdt.assert_series_equal(pd.concat([none, one]).dtypes, one.dtypes)


@pytest.mark.parametrize("name", tables.SCHEMAS)
def test_every_column_with_a_unit_says_it_in_its_name(name: str) -> None:
    endings = {"px": "_px", "nm": "_nm", "nm²": "_nm2", "°": "_deg", "kV": "_kv", "MiB": "_mib"}
    for column in tables.SCHEMAS[name]:
        assert column.meaning
        if column.unit in endings:
            assert column.name.endswith(endings[column.unit]), column
        for unit, ending in endings.items():
            if column.name.endswith(ending) and ending != "_px":
                assert column.unit == unit, column


@pytest.mark.parametrize("name", tables.SCHEMAS)
def test_column_names_are_unique(name: str) -> None:
    names = [c.name for c in tables.SCHEMAS[name]]
    assert len(names) == len(set(names))


def test_conform_keeps_covariates_and_nulls() -> None:
    given = pd.DataFrame({"anneal_c": [300], "area_px": [12.0], "micrograph_id": ["a"]})
    table = tables.conform(given, tables.PARTICLES)
    assert list(table.columns) == [*(c.name for c in tables.PARTICLES), "anneal_c"]
    assert table["area_nm2"].isna().all()
    assert list(given.columns) == ["anneal_c", "area_px", "micrograph_id"]


def test_units_and_formulas_are_in_the_file_schema() -> None:
    field = tables.arrow_schema(tables.PARTICLES).field("circularity")
    assert field.metadata[b"formula"].startswith("4πA/P²".encode())


def test_a_table_made_in_one_step_is_a_table_conformed() -> None:
    rng = np.random.default_rng(0)
    columns = {
        "micrograph_id": ["a", "b", None],
        "particle_id": np.array([1, 2, 3]),
        "area_nm2": np.array([1.0, np.nan, 3.0]),
        "counted": np.array([True, False, True]),
        "peak_snr": [4.0, None, 5.0],
        "centroid_x_px": rng.normal(size=3),
    }
    made = tables.assemble(columns, tables.PARTICLES, 3)
    pdt.assert_frame_equal(made, tables.conform(pd.DataFrame(columns), tables.PARTICLES))
    assert made["area_nm2"].isna().tolist() == [False, True, False]
    assert made["zone_axis"].isna().all()


def test_filling_a_table_changes_no_other_column_and_not_the_table() -> None:
    before = tables.conform(pd.DataFrame({"particle_id": [1, 2], "area_px": [5, 6]}), tables.PARTICLES)
    given = np.array([0.5, 0.6])
    after = tables.filled(before, {"area_nm2": given}, tables.PARTICLES)
    given[:] = -1
    after.loc[0, "area_px"] = 99
    assert after["area_nm2"].tolist() == [0.5, 0.6]
    assert before["area_px"].tolist() == [5, 6]
    pdt.assert_frame_equal(after.drop(columns=["area_nm2", "area_px"]), before.drop(columns=["area_nm2", "area_px"]))
