"""The scores of Groschner et al. (2021), exactly as printed, for comparison.

C. K. Groschner, C. Choi, M. C. Scott, Machine Learning Pipeline for Segmentation and Defect Identification from
High-Resolution Transmission Electron Microscopy Data, Microscopy and Microanalysis 27 (2021) 549. They scored
43 real 512² images of Au and CdSe at a threshold of 0.5. None of the images is empty, because images without particles
were discarded. The paper does not state whether the scores are averaged or pooled. Each Dice coefficient equals
2PR/(P + R) of its row to the printed digits, as it does for pooled scores.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED", "PUBLISHED_FOREST", "Published", "PublishedForest"]


@dataclass(frozen=True)
class Published:
    """One row of Table 1, or a Dice coefficient of the text, as printed; None if it is not printed."""

    dice: str
    """Dice coefficient (equation 1 of the paper)."""
    precision: str | None = None
    """Precision."""
    recall: str | None = None
    """Recall."""


PUBLISHED: dict[tuple[str, str], Published] = {
    ("unet", "all"): Published("0.8", "0.82", "0.78"),
    ("unet", "CdSe"): Published("0.59", "0.56", "0.62"),
    ("unet", "Au"): Published("0.89", "0.95", "0.84"),
    ("otsu", "all"): Published("0.33"),
    ("otsu", "CdSe"): Published("0.21"),
    ("otsu", "Au"): Published("0.45"),
    ("fourier_pixels", "all"): Published("0.52"),
    ("fourier_pixels", "CdSe"): Published("0.33"),
    ("fourier_pixels", "Au"): Published("0.78"),
}
"""Scores by method and material: for the U-Net from Table 1, for the other methods from the text below it. The annulus
of the Fourier filter is defined in pixels of the spectrum, with an optimized radius. Figure 2 (confusion matrices of
the U-Net for CdSe and Au) is a picture without numbers in the text; its share of particle pixels found is the recall of
Table 1."""


@dataclass(frozen=True)
class PublishedForest:
    """Scores of the random forest in the text of the paper and in its notebook; Figure 5f is a picture, too."""

    accuracy_said: str = "86 %"
    """Accuracy in the text, which calls it class balanced. The name is a key of ``reproduction.json``."""
    frequency_weighted_accuracy: float = 0.8639
    """Accuracy in the notebook: ``score`` with each region weighted by the frequency of its class."""
    out_of_bag: float = 0.8507
    """Out-of-bag accuracy in the notebook, for the 335 regions of the training set."""
    oriented_predicted: float = 0.52
    """Share of the particles predicted to be oriented so that a fault is visible, in the text."""
    oriented_true: float = 0.49
    """Share of the particles oriented so that a fault is visible, by the labels of the experts, in the text."""
    faulted_predicted: float = 0.38
    """Share of the oriented particles predicted to have a stacking fault, in the text."""
    faulted_true: float = 0.35
    """Share of the oriented particles with a stacking fault, by the labels of the experts, in the text."""
    n_regions: int = 667
    """Number of regions in the notebook: 161 without and 150 with a fault, 143 misoriented, 116 agglomerations, and 97
    empty regions (22 pictures and 75 patches of carbon). The text has 329 regions for training and 163 for test and
    validation."""


PUBLISHED_FOREST = PublishedForest()
"""Scores of the random forest, as printed."""
