"""Training: data sets, fitting of models, and what they know of themselves."""
