"""Size, shape and intensity of particles: descriptors, convex hulls, perimeters, and the background around them."""
