"""Training of segmentation networks: crops, augmentation, losses, the training loop, validation, calibration."""
