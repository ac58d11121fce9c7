"""How good a mask is, predicted without labels: from the output of the network, by a calibrated model."""
