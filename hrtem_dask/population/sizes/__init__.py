"""Size distributions: statistics of one size, fitted families, precision, uncertainty budget."""
