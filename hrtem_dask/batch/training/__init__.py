"""Train the classifier of regions with its tasks on a cluster."""
