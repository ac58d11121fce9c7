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
