"""Image quality: blur, drift, saturation, gradient, empty fields."""
