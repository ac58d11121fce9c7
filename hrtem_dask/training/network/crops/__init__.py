"""Batches of crops: images as the network sees them, cut out, varied, and made ahead of time."""
