"""Training of detectors: on simulated scenes made on the fly, and on annotated micrographs."""
