"""Training: labelled data sets, segmentation networks, and the forest that classifies regions."""
