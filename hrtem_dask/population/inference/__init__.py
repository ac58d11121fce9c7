"""Statistical inference: clustered standard errors, studentized bootstrap, regression, ranks, multiple testing."""
