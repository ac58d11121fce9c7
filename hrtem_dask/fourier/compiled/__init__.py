"""Loops over the pixels and bins of one particle, as machine code."""
