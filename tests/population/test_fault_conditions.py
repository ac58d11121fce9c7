"""What the end of a run says of the conditions that its fault states rest on."""

import pandas as pd

from hrtem_dask.population.fault_conditions import describe_fault_conditions, fault_condition_lines

RANGE_KV = (150.0, 350.0)


def micrographs(voltages: list[float | None], imaging: list[str | None]) -> pd.DataFrame:
    table = pd.DataFrame({"micrograph_id": list("abc"), "voltage_kv": voltages, "imaging": imaging})
    return table.assign(status="done", verdict=["doubtful", "trusted", "trusted"], quality_flags=None)


def test_micrographs_without_voltage_are_counted_where_they_have_fault_states() -> None:
    table = micrographs([None, None, 300.0], [None, "dark field (HAADF)", None])
    found = describe_fault_conditions(table, {"a": 2, "b": 0, "c": 5}, RANGE_KV)
    assert found == {
        "n_particles": 7, "n_micrographs": 2, "n_without_voltage": 1, "n_not_conventional": 0,
        "states_are_doubtful": False, "voltage_range_kv": [150.0, 350.0],
        "n_other_voltage": 0, "other_voltages_kv": [],
    }  # fmt: skip
    assert fault_condition_lines(found) == [
        "fault states of 7 counted particles on 2 micrographs: 1 of these micrographs states no voltage; "
        "150 to 350 kV is assumed",
        "at another voltage the classifier does not hold, and they would be wrong (defects.voltage_range_kv)",
    ]


def test_fault_states_are_doubtful_where_more_than_a_third_come_from_doubtful_micrographs() -> None:
    table = micrographs([200.0] * 3, [None] * 3)
    for n, is_doubtful in ((2, False), (3, True)):
        assert describe_fault_conditions(table, {"a": n, "c": 4}, RANGE_KV)["states_are_doubtful"] == is_doubtful
    assert not describe_fault_conditions(table, {}, RANGE_KV)["states_are_doubtful"]


def test_micrographs_of_another_voltage_are_named() -> None:
    """Volts written as kilovolts, or 80 kV: all fault states were unknown without a word at the end of the run."""
    table = micrographs([80.0, 0.2, 300.0], [None] * 3).assign(quality_flags=["blur,voltage", "voltage", None])
    assert fault_condition_lines(describe_fault_conditions(table, {"c": 4}, RANGE_KV)) == [
        "2 micrographs state a voltage outside of 150 to 350 kV (0.2 to 80 kV): their fault states are unknown"
    ]
    assert fault_condition_lines(describe_fault_conditions(table.iloc[:1], {}, RANGE_KV)) == [
        "1 micrograph states a voltage outside of 150 to 350 kV (80 kV): its fault states are unknown"
    ]


def test_a_dark_field_image_is_named_and_stated_voltages_need_no_word() -> None:
    stated = describe_fault_conditions(micrographs([200.0] * 3, [None] * 3), {"a": 1, "b": 1}, RANGE_KV)
    assert fault_condition_lines(stated) == []
    dark = micrographs([200.0] * 3, ["bright field (BF)", "dark field (HAADF)", "STEM"])
    lines = fault_condition_lines(describe_fault_conditions(dark, {"a": 1, "b": 1, "c": 1}, RANGE_KV))
    assert lines == [
        "fault states of 3 counted particles on 3 micrographs: 2 of these micrographs are dark-field or STEM images; "
        "the bundled classifier was trained on bright-field HRTEM alone"
    ]
    assert fault_condition_lines(describe_fault_conditions(dark, {}, RANGE_KV)) == []
    for known, whose in (({"b": 1}, "it is a dark"), ({"b": 1, "c": 1}, "all of these micrographs are dark")):
        assert (
            f": {whose}-field or STEM image"
            in fault_condition_lines(describe_fault_conditions(dark, known, RANGE_KV))[0]
        )
    assert fault_condition_lines({}) == []
