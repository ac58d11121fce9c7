"""Tables of fields that one crystal fills."""

from hrtem_dask.tables import FAULT_TRACES, PARTICLES, WINDOWS


def test_windows_name_what_they_share_with_particles_alike() -> None:
    particle = {c.name: (c.kind, c.unit) for c in PARTICLES}
    shared = [c for c in WINDOWS if c.name in particle]
    assert {"spacing_1_nm", "angle_12_deg", "zone_axis", "fault_trace_deg"} <= {c.name for c in shared}
    for column in shared:
        assert particle[column.name] == (column.kind, column.unit)


def test_a_window_names_its_fault() -> None:
    assert {c.name for c in WINDOWS} & {c.name for c in FAULT_TRACES} >= {"micrograph_id", "fault_id", "fault_kind"}
