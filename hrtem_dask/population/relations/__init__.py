"""Relations between size, shape, defects and covariates, and comparisons of samples."""
