"""Training of the random forest that classifies regions."""
