"""Fields that one crystal fills: whether a field is one, its lattice and faults in windows, and the phase map."""
