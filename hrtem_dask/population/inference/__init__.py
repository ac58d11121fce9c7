"""Statistical inference: clustered standard errors, jackknife, averages, regression, ranks, multiple testing."""
