"""Training of the region classifier with its tasks on a cluster."""
