"""Recipes: the settings for training a detector, as a frozen record that is stored as TOML."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from hrtem_dask.detection.model_file import DetectorConfig, DetectorKind
from hrtem_dask.detection.networks.backbones import BackboneName
from hrtem_dask.errors import SettingsError
from hrtem_dask.toml_records import check_types, parse_toml, read_record, record_to_toml, update_record

__all__ = ["RECIPES", "DetectionRecipe", "Variation", "read_recipe"]

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Variation:
    """Random variation of annotated micrographs; simulated scenes vary by themselves."""

    turns: bool = True
    """Whether crops are mirrored and turned by any angle."""
    scale: float = 1.4
    """Largest factor s of the size: drawn log-uniformly from 1/s to s."""
    gamma: Range = (0.7, 1.4)
    """Exponent of a power law on the gray values, drawn log-uniformly."""
    noise: Range = (0.0, 0.5)
    """Standard deviation of added noise, in standard deviations of the image."""
    blur_px: Range = (0.0, 1.2)
    """Standard deviation of a Gaussian blur (px)."""
    gradient: Range = (0.0, 0.8)
    """Rise of an added plane across the crop, in standard deviations of the image."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_types(self, "variation")
        if not 1 <= self.scale <= 4:
            raise SettingsError(f"need 1 <= variation.scale <= 4, got {self.scale:g}")
        for name in ("gamma", "noise", "blur_px", "gradient"):
            low, high = getattr(self, name)
            if not 0 <= low <= high or (name == "gamma" and not low > 0):
                raise SettingsError(f"variation.{name} is a range [low, high] of positive numbers, got {[low, high]}")


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe:
    """Settings for training a detector."""

    kind: DetectorKind = "rotated_rcnn"
    """Faster R-CNN with rotated boxes, or Mask R-CNN."""
    scenes: Literal["rods", "vesicles"] = "rods"
    """Scenes that are simulated."""
    simulated_share: float = 1.0
    """Share of simulated scenes among the training images, 0 to 1; without annotated micrographs all are."""
    backbone: BackboneName = "efficientnet_lite0"
    """Network of ImageNet below the feature pyramid."""
    channels: int = 64
    """Channels of the feature pyramid."""
    crop_px: int = 320
    """Side of the training images (px), a multiple of 32."""
    batch: int = 4
    """Images per step."""
    images: int = 20000
    """Images in the whole training, which decide the learning rate on the way; `--minutes` may end it earlier."""
    images_per_epoch: int = 400
    """Images between two validations, each with a row of the log and a checkpoint."""
    learning_rate: float = 1e-3
    """Highest learning rate of AdamW."""
    backbone_factor: float = 0.4
    """Learning rate of the backbone over that of the other layers."""
    frozen: Literal["nothing", "early", "backbone"] = "nothing"
    """Which layers keep their weights: those of the backbone up to a stride of 4 px, which have most of the pixels and
    change little where a training goes on; or the whole backbone, which with very few images is more sure."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    warmup_share: float = 0.03
    """Share of the training in which the learning rate rises."""
    clip_norm: float = 5.0
    """Largest norm of the gradient."""
    average_decay: float = 0.998
    """Decay per step of the running average of weights that is validated and saved."""
    validation_scenes: int = 12
    """Simulated scenes that are scored after each epoch."""
    validation_px: int = 384
    """Side of these scenes (px)."""
    variation: Variation = field(default_factory=Variation)
    """Random variation of annotated micrographs."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_types(self)
        if self.crop_px < 64 or self.crop_px % 32 or self.validation_px < 64:
            raise SettingsError(f"recipe: crop_px must be a multiple of 32, and 64 or more, got {self.crop_px}")
        for name in ("batch", "images", "images_per_epoch", "channels"):
            if getattr(self, name) < 1:
                raise SettingsError(f"recipe: need {name} >= 1, got {getattr(self, name)}")
        for name in ("simulated_share", "warmup_share", "average_decay"):
            if not 0 <= getattr(self, name) <= 1 or (name == "average_decay" and self.average_decay == 1):
                raise SettingsError(f"recipe: {name} must be from 0 to 1, got {getattr(self, name):g}")
        if not (self.learning_rate > 0 and self.clip_norm > 0 and self.backbone_factor >= 0):
            raise SettingsError("recipe: learning_rate and clip_norm must be above 0, and backbone_factor not below it")

    def config(self, class_names: tuple[str, ...]) -> DetectorConfig:
        """Return the layers of the detector.

        Parameters
        ----------
        class_names : tuple of str
            Classes that it tells apart.

        Returns
        -------
        DetectorConfig
            Kind, classes, backbone, channels.
        """
        return DetectorConfig(kind=self.kind, class_names=class_names, backbone=self.backbone, channels=self.channels)

    def to_toml(self) -> str:
        """Write the recipe.

        Returns
        -------
        str
            TOML text that `from_toml` reads.
        """
        return record_to_toml(self)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read a recipe.

        Parameters
        ----------
        text : str
            TOML; what it does not name keeps the value of the recipe for rods.

        Returns
        -------
        DetectionRecipe
            The recipe.

        Raises
        ------
        SettingsError
            If a name is unknown or a value impossible.
        """
        return update_record(cls(), parse_toml(text, "the recipe"))


RECIPES = {
    "rods": DetectionRecipe(),
    "vesicles": DetectionRecipe(kind="mask_rcnn", scenes="vesicles", crop_px=448, batch=2, images=10000),
    "few_rods": DetectionRecipe(
        simulated_share=0.5, images=1500, images_per_epoch=300, learning_rate=3e-4, backbone_factor=0.2
    ),
    "few_vesicles": DetectionRecipe(
        kind="mask_rcnn", scenes="vesicles", crop_px=448, batch=2, simulated_share=0.5, images=1000,
        images_per_epoch=250, learning_rate=3e-4, backbone_factor=0.2,
    ),
}  # fmt: skip
"""Name → recipe: from simulated scenes, and from up to 20 annotated micrographs, best with ``--from`` a detector that
was trained on simulated scenes, some of which go on being shown so that little is forgotten."""


def read_recipe(name: str | Path) -> DetectionRecipe:
    """Return a recipe by its name or file.

    Parameters
    ----------
    name : str or path-like
        A name of `RECIPES`, or a TOML file.

    Returns
    -------
    DetectionRecipe
        The recipe.

    Raises
    ------
    SettingsError
        If there is neither.
    """
    if str(name) in RECIPES:
        return RECIPES[str(name)]
    if not Path(name).is_file():
        raise SettingsError(f"there is no recipe {str(name)!r}: give one of {', '.join(RECIPES)}, or a TOML file")
    return read_record(name, DetectionRecipe.from_toml, "the recipe")
