"""What Groschner et al. 2021 reached, exactly as printed, to stand beside our own figures.

C. K. Groschner, C. Choi, M. C. Scott, Machine Learning Pipeline for Segmentation and Defect Identification from
High-Resolution Transmission Electron Microscopy Data, Microscopy and Microanalysis 27 (2021) 549. Their figures are of
43 real 512² images of Au and CdSe, none of them empty (images without a particle were discarded), thresholded at 0.5.
Whether they were averaged or pooled is not said; each Dice equals 2PR/(P + R) of its row to the printed digits, as
pooled scores do.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED", "PUBLISHED_FOREST", "Published", "PublishedForest"]


@dataclass(frozen=True)
class Published:
    """One row of Table 1, or a Dice of the text; as printed, null where it is not given."""

    dice: str
    """Dice coefficient, its equation 1."""
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
"""By method and material: the U-Net by Table 1, the others by the text below it. The paper's Fourier filter has its
annulus in pixels of the spectrum, its radius optimized. Figure 2 (confusion matrices of the U-Net for CdSe and for Au)
is a picture without printed figures in the text; the share of particle pixels found is Table 1's recall."""


@dataclass(frozen=True)
class PublishedForest:
    """What the paper says of its random forest, and what its notebook prints; Figure 5f is a picture too."""

    accuracy_said: str = "86 %"
    """The text, which calls it class balanced."""
    frequency_weighted_accuracy: float = 0.8639
    """The notebook: ``score`` with each region weighted by the share of its class."""
    out_of_bag: float = 0.8507
    """The notebook, of the 335 regions of the training set."""
    oriented_predicted: float = 0.52
    """Text: share of the particles predicted to be oriented so that a fault could be seen."""
    oriented_true: float = 0.49
    """Text: the same of the experts' labels."""
    faulted_predicted: float = 0.38
    """Text: share of those predicted to hold a stacking fault."""
    faulted_true: float = 0.35
    """Text: the same of the experts' labels."""
    n_regions: int = 667
    """The notebook: 161 without and 150 with a fault, 143 misoriented, 116 agglomerations, 97 empty, of which 22 are
    pictures and 75 patches of carbon. The text counts 329 for training and 163 for test and validation."""


PUBLISHED_FOREST = PublishedForest()
"""As printed."""
