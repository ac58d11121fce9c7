"""Files of this machine's disk that are there with all their bytes or not at all."""
