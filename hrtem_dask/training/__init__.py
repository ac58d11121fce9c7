"""Training: labeled data sets, segmentation networks, and the forest that classifies regions."""
