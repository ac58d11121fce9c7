"""Recipes: how a network is trained, as one frozen record that TOML holds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from hrtem_dask.errors import SettingsError
from hrtem_dask.segmentation.unet import UNetConfig, groschner2021_config
from hrtem_dask.toml_records import check_types, parse_toml, read_record, record_to_dict, record_to_toml, update_record

__all__ = ["RECIPES", "Augmentation", "TrainingRecipe", "read_recipe"]

Range = tuple[float, float]
Schedule = Literal["one_cycle", "constant"]
Loss = Literal["dice_cross_entropy", "cross_entropy"]
Precision = Literal["auto", "float32", "bfloat16"]
DEFAULT_NETWORK = UNetConfig(
    widths=(16, 24, 32, 48), centre_width=64, block_px=2, pixel_size_nm=0.05, input_scaling="standard"
)
"""Small enough for a CPU; it sees 0.2 nm fringes as 4 px."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How crops are varied; each effect has a probability, 0 turns it off."""

    turns: bool = True
    """Quarter turns and mirroring, all eight alike."""
    scale: float = 1.25
    """The pixel size varies log-uniformly from that of the model divided by this to multiplied by it; 1 is off."""
    noise_probability: float = 0.5
    """Of added noise: a lower dose."""
    noise_to_spread: Range = (0.05, 1.0)
    """Standard deviation of the noise over that of the image, log-uniform."""
    noise_correlation_px: Range = (0.0, 0.8)
    """Gaussian sigma (px) by which it is correlated."""
    blur_probability: float = 0.2
    """Of a Gaussian blur."""
    blur_sigma_px: Range = (0.3, 1.2)
    """Its standard deviation (px)."""
    band_probability: float = 0.15
    """Of an oscillating transfer function mixed in: another defocus."""
    band_share: Range = (0.2, 0.8)
    """Its weight."""
    band_turn_over_per_px: Range = (0.08, 0.3)
    """Frequency (1/px) of its first half oscillation."""
    invert_probability: float = 0.05
    """Of exchanging bright and dark."""
    gamma_probability: float = 0.3
    """Of bending the grey scale."""
    gamma: Range = (0.7, 1.4)
    """Exponent, log-uniform."""
    gain_probability: float = 0.3
    """Of multiplying and shifting, as where the statistics of the whole image are others."""
    gain: Range = (0.75, 1.33)
    """Factor, log-uniform."""
    offset: Range = (-0.4, 0.4)
    """Shift, in standard deviations of the image."""
    gradient_probability: float = 0.3
    """Of a plane added."""
    gradient_rise: Range = (0.1, 1.0)
    """Its change across the crop, in standard deviations of the image."""
    background_probability: float = 0.2
    """Of a smooth random field added."""
    background_amplitude: Range = (0.1, 0.6)
    """Its standard deviation, in those of the image."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_types(self, "augmentation")
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if one.name.endswith("_probability") and not 0 <= value <= 1:
                raise SettingsError(f"need 0 <= augmentation.{one.name} <= 1, got {value:g}")
            if isinstance(value, tuple) and not (len(value) == 2 and value[0] <= value[1]):
                raise SettingsError(f"augmentation.{one.name} is a range [low, high], got {list(value)}")
        if not 1 <= self.scale <= 4:
            raise SettingsError(f"need 1 <= augmentation.scale <= 4, got {self.scale:g}")


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """How a network is trained."""

    name: str = "default"
    """What it is called in logs and models."""
    network: UNetConfig = DEFAULT_NETWORK
    """The network; when fine-tuning, that of the model is taken instead."""
    crop_px: int = 256
    """Side of the crops, at the model's pixel size; a multiple of the network's total stride."""
    batch: int = 16
    """Crops per step."""
    crops_per_epoch: int = 1600
    """Crops between two validations."""
    epochs: int = 60
    """Most epochs."""
    optimiser: Literal["adamw", "adam"] = "adamw"
    """Adam with decoupled weight decay, or plain."""
    learning_rate: float = 3e-3
    """The highest."""
    weight_decay: float = 1e-4
    """Of AdamW."""
    schedule: Schedule = "one_cycle"
    """Linear warm-up and then half a cosine down to nothing; or constant."""
    warmup_share: float = 0.1
    """Share of the training during which the learning rate rises."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 clips nothing."""
    loss: Loss = "dice_cross_entropy"
    """Cross-entropy alone, or plus one minus the soft Dice of the batch."""
    boundary_weight: float = 0.0
    """Added weight of cross-entropy on outlines."""
    boundary_sigma_px: float = 3.0
    """Distance (px) from the outline at which that weight has fallen to 1/√e."""
    ema_decay: float = 0.998
    """Decay per step of the running average of weights that is validated and saved; 0 saves the weights themselves."""
    keep: Literal["best", "last"] = "best"
    """Which weights are saved: of the epoch that was best on the validation set, or of the last one, so that the
    validation set has chosen nothing and its scores are honest."""
    early_stop_on: Literal["dice", "loss"] = "dice"
    """What must improve on the validation set: mean Dice upwards or loss downwards."""
    early_stop_epochs: int = 0
    """Epochs without improvement after which training stops; 0 never stops."""
    early_stop_delta: float = 0.001
    """What counts as improvement."""
    validation_share: float = 0.1
    """Share of the micrographs (without the test set) that validate."""
    validation_most: int = 60
    """Most micrographs (or groups of them) that validate, since each epoch takes their time; 0 is no limit."""
    test_share: float = 0.0
    """Share of the micrographs held out, scored once at the end."""
    keep_empty: bool = True
    """Whether micrographs without a particle are used."""
    centre_on_particle: float = 0.3
    """Share of crops that are centred on a pixel of a particle."""
    freeze_encoder: bool = False
    """Whether the encoder's weights stay as they are, in fine-tuning."""
    freeze_norm: bool = False
    """Whether the statistics of batch normalisation stay as they are, in fine-tuning."""
    precision: Precision = "auto"
    """bfloat16 computes gradients twice as fast; auto takes it where the processor has it."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How crops are varied."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_types(self)
        for one in ("crop_px", "batch", "crops_per_epoch", "epochs"):
            if getattr(self, one) < 1:
                raise SettingsError(f"recipe: need {one} >= 1, got {getattr(self, one)}")
        for one in ("warmup_share", "validation_share", "test_share", "centre_on_particle", "ema_decay"):
            if not 0 <= getattr(self, one) < 1.0 + (one == "centre_on_particle"):
                raise SettingsError(f"recipe: {one} must be at least 0 and below 1, got {getattr(self, one):g}")
        if self.crop_px % self.network.total_stride_px:
            raise SettingsError(
                f"recipe: crop_px must be a multiple of the network's total stride {self.network.total_stride_px}, "
                f"got {self.crop_px}"
            )
        if not self.learning_rate > 0:
            raise SettingsError(f"recipe: need learning_rate > 0, got {self.learning_rate:g}")

    def to_dict(self) -> dict[str, object]:
        """Return the recipe as TOML and JSON hold it.

        Returns
        -------
        dict
            Nested; fields that are None are left out.
        """
        return record_to_dict(self)

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
            TOML; what it does not name keeps the default recipe's value.

        Returns
        -------
        TrainingRecipe
            The recipe.

        Raises
        ------
        SettingsError
            If it is no TOML, or names something unknown or impossible.
        """
        values = parse_toml(text, "the recipe's values")
        start = cls()
        if "network" in values:  # TOML has no null: a network that names no pixel size has none
            start = dataclasses.replace(start, network=dataclasses.replace(start.network, pixel_size_nm=None))
        try:
            return update_record(start, values)
        except SettingsError:
            raise
        except ValueError as error:  # a network that cannot be
            raise SettingsError(f"recipe: {error}") from error


NO_AUGMENTATION = Augmentation(
    scale=1,
    noise_probability=0,
    blur_probability=0,
    band_probability=0,
    invert_probability=0,
    gamma_probability=0,
    gain_probability=0,
    gradient_probability=0,
    background_probability=0,
)
"""Turns and mirroring alone."""

RECIPES = {
    "default": TrainingRecipe(),
    # Groschner, Choi & Scott (2021), "Network Training"; what it holds out is split by image here, where the paper
    # splits images that were turned before, so that copies of one image validate what another copy trained
    "groschner2021": TrainingRecipe(
        name="groschner2021",
        network=groschner2021_config(),
        crop_px=512,
        batch=20,
        crops_per_epoch=800,
        epochs=10,
        optimiser="adam",
        learning_rate=1e-4,
        weight_decay=0.0,
        schedule="constant",
        clip_norm=0.0,
        loss="cross_entropy",
        ema_decay=0.0,
        early_stop_on="loss",
        early_stop_epochs=2,
        early_stop_delta=0.001,
        validation_share=0.2,
        test_share=0.25,
        keep_empty=False,
        centre_on_particle=0.0,
        augmentation=NO_AUGMENTATION,
    ),
    # few images, a network that knows particles already: small steps, its statistics of batch normalisation kept
    "fine_tune": TrainingRecipe(
        name="fine_tune",
        crops_per_epoch=64,
        batch=8,
        epochs=20,
        learning_rate=3e-4,
        clip_norm=1.0,
        ema_decay=0.95,
        keep="last",
        validation_share=0.25,
        centre_on_particle=0.5,
        freeze_norm=True,
    ),
}
"""Recipes by name."""


def read_recipe(name_or_file: str) -> TrainingRecipe:
    """Return a recipe of ours, or of a file.

    Parameters
    ----------
    name_or_file : str
        A name in `RECIPES`, or the path of a TOML file.

    Returns
    -------
    TrainingRecipe
        The recipe.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    if not Path(name_or_file).is_file():
        raise SettingsError(f"{name_or_file!r} is neither a recipe ({', '.join(RECIPES)}) nor a file")
    return read_record(name_or_file, TrainingRecipe.from_toml, "the recipe")
