"""Size, shape and intensity of particles."""
