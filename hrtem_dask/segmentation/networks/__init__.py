"""U-Nets as plain values: architecture, weights, output, and how PyTorch runs them."""
