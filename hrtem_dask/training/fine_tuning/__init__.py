"""Fine-tuning of a trained network with a few labeled micrographs, and what it gains and costs."""
