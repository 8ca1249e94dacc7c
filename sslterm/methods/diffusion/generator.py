"""What diffusion and flow matching share: a U-Net of time, its running average, classes with guidance, and pictures.

Shapes: B batch; images [B, C, H, W] in [0, 1]; x the same in [-1, 1]; label [B] int64.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from sslterm.config.schema import Count, Fraction, Momentum, NonNegative
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Stream, Update
from sslterm.nn.ema import follow
from sslterm.nn.unet import UNet, UNetShape
from sslterm.rows import rand
from sslterm.run.panels import Panel

Weights = Literal["ema", "raw"]
"""ema: the running average of the weights; raw: as the optimizer left them."""

LADDER_ROWS, LADDER_COLUMNS = 8, 10
OF_EACH_CLASS = 8
RAW_SAMPLES = 16


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """The fields that `[method]` of both has."""

    width: Count
    """Channels of the U-Net's largest maps."""
    multipliers: tuple[Count, ...]
    """Of the width, for each level; from one to the next the sides halve."""
    blocks: Count
    """Residual blocks of a level on the way down; one more on the way up."""
    attention: tuple[Count, ...]
    """Sides of the maps with self-attention; the smallest have it in any case, in the middle of the U."""
    heads: Count
    dropout: Momentum
    ema: Momentum
    """Of the running average of the weights; lower at first, min(ema, (1 + updates) / (10 + updates))."""
    conditional: bool
    """Whether the classes of images are given to it."""
    label_dropout: Fraction
    """Share of the training in which the class is withheld, for guidance and completion; 0 without classes."""
    guidance: NonNegative
    """How far samples of a class are driven from those of none; 0 without classes."""

    def __post_init__(self) -> None:
        if self.conditional and not 0 < self.label_dropout < 1:
            raise UsageError(
                f"method.label_dropout = {self.label_dropout}: it has to learn both with the class and without",
                "set method.label_dropout=0.1",
            )
        if not self.conditional and (self.label_dropout or self.guidance):
            raise UsageError(
                "method.label_dropout and method.guidance say nothing where method.conditional = false",
                "set both to 0, or method.conditional=true",
            )


class Generator(Method):
    """Subclasses define `sampling`, `draw`, and what a network's output means.

    Args:
        outputs: channels of the network's output.
    """

    sampling: Any
    """How samples are drawn: a frozen dataclass with `weights` and `guidance` among its fields."""
    latent_prior: ClassVar[Literal["normal"]] = "normal"

    def __init__(self, config: GeneratorConfig, inputs: Inputs, *, outputs: int) -> None:
        super().__init__()
        self.shape = inputs.shape
        self.latent_dim = inputs.values
        self.ema = config.ema
        self.classes = inputs.classes if config.conditional else 0
        self.label_dropout = config.label_dropout
        if config.conditional and not inputs.classes:
            raise UsageError(
                "method.conditional = true, and these images have no classes",
                "take a labelled data set, or set method.conditional=false with label_dropout and guidance 0",
            )
        shape = UNetShape(
            width=config.width, multipliers=config.multipliers, blocks=config.blocks,
            attention=config.attention, heads=config.heads, dropout=config.dropout,
        )  # fmt: skip
        check_sides(shape, inputs)
        self.network = UNet(
            shape, channels=inputs.channels, outputs=outputs, side=inputs.height, classes=self.classes
        )
        self.average = copy.deepcopy(self.network).requires_grad_(False)

    def step(self, data: Stream, update: Update) -> None:
        update("main", self.loss, next(data))
        self.move_average(update)

    def move_average(self, update: Update) -> None:
        follow(self.average, self.network, min(self.ema, (1 + update.step) / (10 + update.step)))

    def seen_labels(self, batch: Batch) -> Tensor | None:
        """What the network is told of the classes: some are withheld, and those that nobody knows."""
        if not self.classes:
            return None
        withheld = rand(len(batch), like=batch.images) < self.label_dropout
        return torch.where(withheld | (batch.label < 0), self.classes, batch.label)

    def refuse_idle(self, chosen: Collection[str]) -> None:
        """Raise UsageError where a chosen field of `sampling` does nothing."""
        if "guidance" in chosen and not self.classes:
            raise UsageError(
                "--guidance drives samples to a class, and this network was trained without classes",
                "leave it out",
            )

    def output(self, x: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        """The chosen network's output, guided where there is a label [B].

        (1 + w) of what it says of the class, less w of what it says of none (Ho & Salimans 2022, arXiv:2207.12598,
        Eq. 6), in the channels of an image; others, of a variance, are those of the class.
        """
        network = self.average if self.sampling.weights == "ema" else self.network
        if not self.classes:
            return network(x, time)  # type: ignore[no-any-return]
        none = torch.full((len(x),), self.classes, device=x.device)
        w = self.sampling.guidance
        if label is None or w == 0:
            return network(x, time, none if label is None else label)  # type: ignore[no-any-return]
        both = network(torch.cat((x, x)), torch.cat((time, time)), torch.cat((label, none)))
        of_class, of_none = both.chunk(2)
        c = self.shape[0]
        guided = (1 + w) * of_class[:, :c] - w * of_none[:, :c]
        return torch.cat((guided, of_class[:, c:]), dim=1)

    @property
    def onnx_lacks(self) -> str:
        return "images are drawn in many steps, each of which asks the whole network"

    def draw(self, x: Tensor, generator: torch.Generator | None, label: Tensor | None) -> Iterator[Tensor]:
        """From noise x [B, C, H, W] to images in [-1, 1], step by step, as `sampling` says.

        Without a generator nothing is drawn, and images are functions of the noise.
        """
        raise NotImplementedError

    # -- what can be asked of a trained network

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """Noise on its way to images; of `label` [n], or of classes drawn evenly."""
        if label is not None and not self.classes:
            raise UsageError(
                "this network was trained without classes: it cannot sample one",
                "leave --label out, or train with method.conditional=true, label_dropout=0.1 and guidance=1.0",
            )
        device = generator.device
        if self.classes and label is None:
            label = torch.randint(self.classes, (n,), generator=generator, device=device)
        noise = torch.randn(n, *self.shape, generator=generator, device=device)
        for x in self.draw(noise, generator, label):
            yield to_images(x)

    def decode(self, z: Tensor) -> Tensor:
        """Images of noise [B, C H W], by the sampler that draws nothing; of no class."""
        *_, x = self.draw(z.view(-1, *self.shape), None, None)
        return to_images(x)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        device = batch.images.device
        noise = torch.randn(LADDER_ROWS, *self.shape, device=device)
        yield ladder_panel(noise, list(self.draw(noise, seeded(device), None)))
        if self.classes:
            yield self.classes_panel(device)
        yield self.raw_panel(device)

    def classes_panel(self, device: torch.device) -> Panel:
        """A row for each class."""
        shown = min(self.classes, 10)
        label = torch.arange(shown, device=device).repeat_interleave(OF_EACH_CLASS)
        *_, x = self.draw(torch.randn(len(label), *self.shape, device=device), seeded(device), label)
        caption = f"{OF_EACH_CLASS} samples of each of {shown} classes, a row each; guidance {self.sampling.guidance:g}"
        return images_of("classes", to_images(x), caption, OF_EACH_CLASS)

    def raw_panel(self, device: torch.device) -> Panel:
        """The same noise, by the weights as they are and by their average."""
        noise, before = torch.randn(RAW_SAMPLES, *self.shape, device=device), self.sampling
        rows = []
        for weights in ("raw", "ema"):
            self.sampling = type(before)(**{**vars(before), "weights": weights})
            rows.append(to_images([*self.draw(noise, seeded(device), None)][-1]))
        self.sampling = before
        caption = f"{RAW_SAMPLES} samples of the same noise: raw weights above, their running average below"
        return images_of("raw-and-ema", torch.cat(rows), caption, RAW_SAMPLES)


def check_sides(shape: UNetShape, inputs: Inputs) -> None:
    """Raises UsageError where the images cannot be halved as often, or attention is asked for where no maps are."""
    halvings = len(shape.multipliers) - 1
    if inputs.height != inputs.width or inputs.height % 2**halvings:
        fitting = -(-max(inputs.height, inputs.width) // 2**halvings) * 2**halvings
        raise UsageError(
            f"method.multipliers has {halvings + 1} levels, and images of {inputs.height}x{inputs.width} cannot be "
            f"halved {halvings} times",
            f"set data.size={fitting}, or give fewer multipliers",
        )
    sides = shape.sides(inputs.height)
    if unknown := set(shape.attention) - set(sides):
        raise UsageError(
            f"method.attention: there are no maps of side {min(unknown)}",
            "the sides are " + ", ".join(map(str, sides)),
        )
    if shape.width % 2:
        raise UsageError(f"method.width = {shape.width} is odd", f"set method.width={shape.width + 1}")


def seeded(device: torch.device) -> torch.Generator:
    """The same draws every time."""
    return torch.Generator(device).manual_seed(0)


def to_images(x: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], cut off there."""
    return ((x + 1) / 2).clamp(0, 1)


def ladder_panel(noise: Tensor, way: list[Tensor]) -> Panel:
    """Some images on their way from noise, the end last."""
    columns = min(LADDER_COLUMNS, len(way) + 1)
    chosen = [round(number * len(way) / (columns - 1)) for number in range(columns)]
    stations = torch.stack([[noise, *way][number] for number in chosen], dim=1)  # [rows, columns, C, H, W]
    caption = f"{len(noise)} samples on their way from noise, left, to images, right, in {len(way)} steps"
    panel = images_of("ladder", to_images(stations.flatten(0, 1)), caption, columns)
    return replace(panel, x_label="from noise to image")


def images_of(name: str, images: Tensor, caption: str, columns: int) -> Panel:
    array = images.float().cpu().numpy()
    return Panel(name=name, kind="images", array=array, caption=caption, columns=columns, low=0.0, high=1.0)
