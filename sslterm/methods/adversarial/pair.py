"""The two networks of methods that come in two architectures: strided convolutions, and residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from sslterm.config.schema import Count, NonNegative
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.nn.residual_gan import Pooling, ResidualDiscriminator, ResidualGenerator, init_glorot
from sslterm.nn.strided import CORE, StridedDiscriminator, StridedGenerator, init_normal

INIT_STD = 0.02
"""Of the first weights under BatchNorm (DCGAN, arXiv:1511.06434, §4)."""


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """The fields of `[method]` that say what the networks are; subclasses add the widths of the opponent."""

    network: Literal["strided", "residual"]
    """Convolutions of stride 2 as in DCGAN, or residual blocks."""
    latent_dim: Count
    """Numbers in a code."""
    generator_widths: tuple[Count, ...]
    """Channels of the feature maps, from the image inwards; each layer or block doubles the side."""
    generator_batches: Count
    """Batches of codes that one update of the generator sees at once."""
    halvings: Count
    """So many of the opponent's first layers or blocks halve the side: strided layers all, residual ones some."""
    leak: NonNegative
    """Slope of the opponent's leaky ReLU below 0; at 0 it is a ReLU."""


def make_pair(
    config: PairConfig, inputs: Inputs, widths: Sequence[int], *, field: str, spectral: bool, pooling: Pooling
) -> tuple[nn.Module, nn.Module]:
    """The generator, and its opponent, which normalizes no activations.

    Args:
        widths: of the opponent, from the image inwards.
        field: what they are called in `[method]`.
        spectral: normalize the opponent's weights.
        pooling: of the residual opponent.

    Raises:
        UsageError: the numbers do not go with each other, or not with the images.
    """
    _check(config, inputs, widths, field)
    z, channels, side = config.latent_dim, inputs.channels, inputs.height
    if config.network == "residual":
        generator: nn.Module = ResidualGenerator(z, channels, side, config.generator_widths)
        opponent: nn.Module = ResidualDiscriminator(
            channels, widths, halvings=config.halvings, pooling=pooling, spectral=spectral, leak=config.leak
        )
        init_glorot(generator)
        init_glorot(opponent)
        return generator, opponent
    generator = StridedGenerator(z, channels, config.generator_widths)
    opponent = StridedDiscriminator(
        channels, widths, leak=config.leak, norm="spectral" if spectral else "none"
    )
    init_normal(generator, INIT_STD)
    for part in opponent.modules():
        if isinstance(part, nn.Conv2d):  # nothing rescales what passes through it
            nn.init.kaiming_normal_(part.weight, config.leak)
    return generator, opponent


def _check(config: PairConfig, inputs: Inputs, widths: Sequence[int], field: str) -> None:
    height, width = inputs.height, inputs.width
    if height != width:
        raise UsageError(f"images of {width}x{height} pixels: they must be square", "set data.size")
    if config.network == "strided":
        if config.halvings != len(widths):
            raise UsageError(
                f"method.halvings = {config.halvings}, and method.{field} has {len(widths)} widths: strided layers "
                "all halve the side",
                f"set method.halvings={len(widths)}",
            )
        for name, layers in (("generator_widths", len(config.generator_widths)), (field, len(widths))):
            if height != CORE * 2**layers:
                raise UsageError(
                    f"method.{name}: {layers} widths are for images of {CORE * 2**layers} pixels, not {height}",
                    "set data.size to 16, 32 or 64 and give 2, 3 or 4 widths",
                )
        return
    if height % 2 ** len(config.generator_widths):
        raise UsageError(
            f"method.generator_widths: {len(config.generator_widths)} blocks double the side each, and {height} "
            f"pixels cannot be halved so often",
            "set data.size to 16, 32 or 64 and give 2, 3 or 4 widths",
        )
    if config.halvings > len(widths) or height % 2**config.halvings:
        raise UsageError(
            f"method.halvings = {config.halvings}, for {len(widths)} blocks and images of {height} pixels",
            "halve at most once a block, and no odd side; 2 go with 16 and 32 pixels",
        )
