"""The sections of a preset as frozen dataclasses. No scientific field has a default: presets are complete.

Units are in the names: `_images` counts training images, `_steps` updates, `_fraction` is in [0, 1].
Ranges stand in the types (`Annotated`), and `config.read` checks them when a file or an override is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal


@dataclass(frozen=True)
class Range:
    """Allowed values of a number: `low <= x <= high`, strict where said."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    """Strict lower bound."""
    below: float | None = None
    """Strict upper bound."""


Count = Annotated[int, Range(low=1)]
"""1, 2, 3, ..."""
Natural = Annotated[int, Range(low=0)]
"""0, 1, 2, ..."""
Positive = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(low=0)]
Fraction = Annotated[float, Range(low=0, high=1)]
Share = Annotated[float, Range(above=0, high=1)]
"""A part of something, never nothing."""
Momentum = Annotated[float, Range(low=0, below=1)]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """`[run]`: what this is."""

    method: str
    preset: str
    seed: Natural


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """`[data]`: where the images come from."""

    name: str
    """A built-in source, a torchvision data set, or "folder"."""
    path: str
    """The folder, for "folder" and "frames"; "" otherwise."""
    size: Natural
    """Side of the square images in pixels; 0 keeps the source's own."""
    train_images: Natural
    """How many to train on; 0 takes all there are."""
    test_images: Natural
    """How many to hold out; 0 takes the source's own test split."""
    seed: Natural
    """Seed of procedural sources, and of splits that are drawn."""


@dataclass(frozen=True, kw_only=True)
class ClipConfig(DataConfig):
    """`[data]` of a video source ("sprites", "frames")."""

    frames: Count
    """Frames in a clip."""
    stride: Count
    """Frames from one frame of a clip to its next."""
    motion: Share
    """Share of the clips that are kept: those in which most moves, by the difference of their frames; 1 keeps all."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """`[train]`: how long, in what portions, in what arithmetic."""

    images: Count
    """Length of the training."""
    batch: Count
    """Images in an update, over all devices."""
    micro_batches: Count
    """Portions that a batch is cut into, to save memory; the result is the same."""
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    """"auto" takes bfloat16 where a short probe shows that it is faster."""
    compile: bool
    """torch.compile every loss that can be."""
    clip_norm: NonNegative
    """Largest gradient norm of an update; 0 leaves gradients as they are."""


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """`[watch]`: how often something is logged, drawn, evaluated and saved."""

    log_every_images: Count
    panels_every_images: Count
    evaluate_every_images: Count
    checkpoint_every_images: Count
    keep_checkpoints: Count
    """How many of the newest checkpoints stay on disk."""


@dataclass(frozen=True, kw_only=True)
class ConstantSchedule:
    name: Literal["constant"]
    warmup_images: Natural
    """The factor rises linearly from 0 over this many images."""


@dataclass(frozen=True, kw_only=True)
class LinearSchedule:
    name: Literal["linear"]
    warmup_images: Natural
    final_fraction: Fraction
    """The factor at the end."""


@dataclass(frozen=True, kw_only=True)
class CosineSchedule:
    name: Literal["cosine"]
    warmup_images: Natural
    final_fraction: Fraction


@dataclass(frozen=True, kw_only=True)
class StepSchedule:
    name: Literal["step"]
    warmup_images: Natural
    milestones_images: tuple[Count, ...]
    """Where the factor is multiplied by `gamma`."""
    gamma: Fraction


Schedule = ConstantSchedule | LinearSchedule | CosineSchedule | StepSchedule


@dataclass(frozen=True, kw_only=True)
class SGDConfig:
    name: Literal["sgd"]
    lr: Positive
    momentum: Momentum
    nesterov: bool
    weight_decay: NonNegative
    decay_biases_and_norms: bool
    """Whether weight decay reaches biases and normalization parameters (those of fewer than 2 dimensions)."""
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class AdamConfig:
    """Adam (L2 inside the gradient), AdamW (decoupled decay) and Adamax share their fields."""

    name: Literal["adam", "adamw", "adamax"]
    lr: Positive
    betas: tuple[Momentum, Momentum]
    eps: Positive
    weight_decay: NonNegative
    decay_biases_and_norms: bool
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class RMSPropConfig:
    name: Literal["rmsprop"]
    lr: Positive
    alpha: Momentum
    """Decay of the running mean of squares."""
    eps: Positive
    momentum: Momentum
    weight_decay: NonNegative
    decay_biases_and_norms: bool
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class LARSConfig:
    """LARS (You et al. 2017, arXiv:1708.03888), biases and norms excluded from adaptation and decay."""

    name: Literal["lars"]
    lr: Positive
    """Rate of the weights."""
    bias_lr: Positive
    """Rate of biases and normalization parameters."""
    momentum: Momentum
    trust: Positive
    """The trust coefficient, eta."""
    weight_decay: NonNegative
    schedule: Schedule


OptimConfig = SGDConfig | AdamConfig | RMSPropConfig | LARSConfig


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """`[augment.<view>]`: one random view of an image, after SimCLR's figure 4 (arXiv:2002.05709).

    Operations apply in the order of the fields; colour jitter shuffles its four parts for every image.
    A probability of 0 turns an operation off.
    """

    size: Natural
    """Side of the square view in pixels; 0 keeps the image's own (multi-crop takes smaller ones)."""
    crop: tuple[Positive, Positive]
    """Range of the crop's share of the area; [1, 1] keeps the whole image."""
    crop_ratio: tuple[Positive, Positive]
    """Range of the crop's aspect ratio, width / height."""
    flip: Fraction
    """Probability of a horizontal flip."""
    rotate: Fraction
    """Probability of a rotation by 90, 180 or 270 degrees (each as likely)."""
    jitter: Fraction
    """Probability of colour jitter."""
    brightness: NonNegative
    """Factors are drawn from [max(0, 1 - x), 1 + x]."""
    contrast: NonNegative
    saturation: NonNegative
    hue: Annotated[float, Range(low=0, high=0.5)]
    """HSV hue shift drawn from [-x, x], in turns."""
    grey: Fraction
    """Probability of dropping colour."""
    blur: Fraction
    """Probability of a Gaussian blur."""
    blur_sigma: tuple[Positive, Positive]
    """Range of its standard deviation, in pixels."""
    solarize: Fraction
    """Probability of inverting all values above 0.5."""
    cutout: Fraction
    """Probability of a grey square."""
    cutout_size: Fraction
    """Side of that square, as a share of the image's side."""
    noise: Fraction
    """Probability of Gaussian noise."""
    noise_std: NonNegative
    """Its standard deviation; images are in [0, 1]."""
    sobel: Fraction
    """Probability of replacing the image by its Sobel edges."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A resolved preset: everything a run needs, and the only input to `resume`."""

    run: RunConfig
    data: DataConfig
    train: TrainConfig
    watch: WatchConfig
    optim: Mapping[str, OptimConfig]
    """By parameter group of the method."""
    augment: Mapping[str, ViewConfig]
    """By view; empty for methods that augment nothing."""
    method: Mapping[str, Any]
    """The fields of the method's own `Config`, checked by it when it is built."""
