"""Recipes: the settings for training a network, as a frozen record that is stored as TOML."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from hrtem_dask.errors import SettingsError
from hrtem_dask.segmentation.networks.config import UNetConfig, groschner2021_config
from hrtem_dask.toml_records import check_types, parse_toml, read_record, record_to_dict, record_to_toml, update_record

__all__ = ["RECIPES", "Augmentation", "TrainingRecipe", "read_recipe"]

Range = tuple[float, float]
Schedule = Literal["one_cycle", "constant"]
Loss = Literal["dice_cross_entropy", "cross_entropy"]
Precision = Literal["auto", "float32", "bfloat16"]
DEFAULT_NETWORK = UNetConfig(
    widths=(16, 24, 32, 48), centre_width=64, block_px=2, pixel_size_nm=0.05, input_scaling="standard"
)
"""Small enough for a CPU. Fringes of 0.2 nm have a period of 4 px at its pixel size."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Settings for the random variation of crops. Each effect has a probability, 0 to 1; with 0 it is never applied."""

    turns: bool = True
    """Whether crops are rotated by quarter turns and mirrored; all eight orientations are equally frequent."""
    scale: float = 1.25
    """Largest factor s of the pixel size, 1 to 4: the factor is drawn log-uniformly from 1/s to s."""
    noise_probability: float = 0.5
    """Probability of added noise, which approximates a lower dose."""
    noise_to_spread: Range = (0.05, 1.0)
    """Standard deviation of the noise relative to that of the image, drawn log-uniformly."""
    noise_correlation_px: Range = (0.0, 0.8)
    """Gaussian sigma (px) of the correlation of the noise."""
    blur_probability: float = 0.2
    """Probability of a Gaussian blur."""
    blur_sigma_px: Range = (0.3, 1.2)
    """Standard deviation of the blur (px)."""
    band_probability: float = 0.15
    """Probability of mixing in a copy filtered by an oscillating transfer function, as with another defocus."""
    band_share: Range = (0.2, 0.8)
    """Weight of the filtered copy, 0 to 1."""
    band_turn_over_per_px: Range = (0.08, 0.3)
    """Spatial frequency (1/px) of the first half oscillation of the transfer function."""
    invert_probability: float = 0.05
    """Probability of inverting the contrast."""
    gamma_probability: float = 0.3
    """Probability of a power law on the gray values."""
    gamma: Range = (0.7, 1.4)
    """Exponent of the power law, drawn log-uniformly."""
    gain_probability: float = 0.3
    """Probability of a change of gain and offset, as in images with other statistics of the whole image."""
    gain: Range = (0.75, 1.33)
    """Gain, a factor drawn log-uniformly."""
    offset: Range = (-0.4, 0.4)
    """Offset, in standard deviations of the image."""
    gradient_probability: float = 0.3
    """Probability of an added plane, as by uneven illumination."""
    gradient_rise: Range = (0.1, 1.0)
    """Rise of the plane across the crop, in standard deviations of the image."""
    background_probability: float = 0.2
    """Probability of an added smooth random field, as by a support of varying thickness."""
    background_amplitude: Range = (0.1, 0.6)
    """Standard deviation of the field, in standard deviations of the image."""

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
    """Settings for training a network."""

    name: str = "default"
    """Name of the recipe in logs and model files."""
    network: UNetConfig = DEFAULT_NETWORK
    """Architecture of the network; in fine-tuning, the network of the initial model is used instead."""
    crop_px: int = 256
    """Side of the crops (px), at the pixel size of the network; a multiple of its total stride."""
    batch: int = 16
    """Number of crops per step, at least 1."""
    crops_per_epoch: int = 1600
    """Number of crops between two validations, at least 1."""
    epochs: int = 60
    """Largest number of epochs, at least 1."""
    optimiser: Literal["adamw", "adam"] = "adamw"
    """Optimizer: Adam with decoupled weight decay (``adamw``), or plain Adam."""
    learning_rate: float = 3e-3
    """Highest learning rate, above 0."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW, at least 0."""
    schedule: Schedule = "one_cycle"
    """Learning rate: linear warm-up, then half a cosine down to 0.001 of the highest rate; or constant."""
    warmup_share: float = 0.1
    """Share of the training in which the learning rate rises, at least 0 and below 1."""
    clip_norm: float = 1.0
    """Largest norm of the gradient, at least 0; 0 disables clipping."""
    loss: Loss = "dice_cross_entropy"
    """Loss: cross-entropy alone, or the sum of cross-entropy and one minus the soft Dice coefficient of the batch."""
    contact_weight: float = 0.5
    """Weight of the loss of the output for contacts, at least 0, where the network has one."""
    boundary_weight: float = 0.0
    """Additional weight of the cross-entropy on outlines, at least 0."""
    boundary_sigma_px: float = 3.0
    """Distance from the outline (px) at which the additional weight has fallen to 1/√e."""
    ema_decay: float = 0.998
    """Decay per step of the running average of weights that is validated and saved, at least 0 and below 1; 0 disables
    the averaging."""
    keep: Literal["best", "last"] = "best"
    """Epoch whose weights are saved: the best one on the validation set, or the last one. Only with the last one
    are the scores on the validation set unbiased, because they were not used to choose the epoch."""
    early_stop_on: Literal["dice", "loss"] = "dice"
    """Score on the validation set that must improve: the mean Dice coefficient or the loss."""
    early_stop_epochs: int = 0
    """Number of epochs without improvement after which training stops; 0 disables early stopping."""
    early_stop_delta: float = 0.001
    """Smallest change of the score that counts as an improvement."""
    validation_share: float = 0.1
    """Share of the micrographs outside the test set that validate, at least 0 and below 1."""
    validation_most: int = 60
    """Largest number of micrographs (or groups) that validate, which limits the time of an epoch; 0 sets no limit."""
    test_share: float = 0.0
    """Share of the micrographs that are held out and scored once after the training, at least 0 and below 1."""
    keep_empty: bool = True
    """Whether micrographs without particles are used."""
    centre_on_particle: float = 0.3
    """Share of crops that are centered on a pixel of a particle, 0 to 1."""
    freeze_encoder: bool = False
    """Whether the weights of the encoder stay unchanged, for fine-tuning."""
    freeze_norm: bool = False
    """Whether the statistics of batch normalization stay unchanged, for fine-tuning."""
    precision: Precision = "auto"
    """Precision of the computation. bfloat16 is about twice as fast; ``auto`` uses it if the processor supports it."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Settings for the random variation of crops."""

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
"""Rotation and mirroring only."""

RECIPES = {
    "default": TrainingRecipe(),
    # Groschner, Choi & Scott (2021), "Network Training". Here the images are split before they are rotated. The paper
    # splits rotated copies, so that copies of one image are in the training set and in the validation set.
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
    # few images and a trained network: a low learning rate, and unchanged statistics of batch normalization
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
    """Return a built-in recipe, or read one from a file.

    Parameters
    ----------
    name_or_file : str
        Name of a recipe in `RECIPES`, or path of a TOML file.

    Returns
    -------
    TrainingRecipe
        The recipe.

    Raises
    ------
    SettingsError
        If there is no such recipe, and the file cannot be read or is invalid.

    Examples
    --------
    >>> recipe = read_recipe("groschner2021")
    >>> recipe.optimiser, recipe.learning_rate, recipe.batch
    ('adam', 0.0001, 20)
    """
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    if not Path(name_or_file).is_file():
        raise SettingsError(f"{name_or_file!r} is neither a recipe ({', '.join(RECIPES)}) nor a file")
    return read_record(name_or_file, TrainingRecipe.from_toml, "the recipe")
