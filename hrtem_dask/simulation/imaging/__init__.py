"""From atoms to the recorded image: scattering, multislice, carbon film, lens and camera."""
