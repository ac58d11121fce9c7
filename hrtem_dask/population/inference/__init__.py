"""Statistical inference: bootstrap and clustered standard errors, regression, ranks, corrections for many tests."""
