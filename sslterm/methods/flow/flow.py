"""What all flows have in common: dequantized pixels, a density by change of variables, and exact codes.

log p(x) = log N(f(x); 0, I) + log |det df/dx|, of 8-bit pixels with uniform noise added, in nats. Presets train in
float32: bfloat16 has eight bits itself, so that a shift is off by as much as a bin is wide.

Shapes: B batch, D = C * H * W values of an image; images and x [B, C, H, W]; codes [B, D].
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Stream, Update
from sslterm.nn.bits import dequantize, dequantize_at_random
from sslterm.nn.invertible import ActNorm, adopting
from sslterm.nn.multiscale import MultiScale
from sslterm.rows import shard, world_size
from sslterm.run.panels import Panel

LADDER_ROWS, LADDER_COLUMNS = 8, 10
KEPT_ROWS = 8


class Flow(Method):
    """Subclasses define `push` and `pull`, and what stands before them."""

    likelihood_kind: ClassVar[Literal["exact"]] = "exact"
    likelihood_protocol: ClassVar[str] = (
        "8-bit pixels, uniform dequantization (of the discrete image a bound)"
    )
    latent_prior: ClassVar[Literal["normal"]] = "normal"
    invertible: ClassVar[bool] = True
    """`decode` undoes `encode`."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.shape = inputs.shape
        self.latent_dim = inputs.values

    def push(self, y: Tensor) -> tuple[list[Tensor], Tensor]:
        """[B, C, H, W] -> latents, one tensor for each scale, finest first, and log |det| of the way there [B]."""
        raise NotImplementedError

    def pull(self, latents: Sequence[Tensor]) -> Tensor:
        """The inverse of `push`."""
        raise NotImplementedError

    def split(self, z: Tensor) -> list[Tensor]:
        """[B, D] -> tensors of the shapes that `push` gives."""
        raise NotImplementedError

    def log_prior(self, latents: Sequence[Tensor]) -> Tensor:
        """log density of all latents of an image together, in nats, [B]; standard normal."""
        parts = [normal_log_density(latent) for latent in latents]
        return torch.stack(parts).sum(0)

    def to_normal(self, latents: Sequence[Tensor]) -> list[Tensor]:
        """Latents -> codes that are standard normal a priori, value by value."""
        return list(latents)

    def from_normal(self, codes: Sequence[Tensor]) -> list[Tensor]:
        """The inverse of `to_normal`."""
        return list(codes)

    def ladder(self, y: Tensor) -> Iterator[tuple[str, Tensor]]:
        """What y is after every layer, (name, [B, C, H, W]), the code last."""
        raise NotImplementedError

    def enter(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels in [0, 1] -> what `push` takes, and log |det| [B]."""
        return x, x.new_zeros(x.shape[0])

    def leave(self, y: Tensor) -> Tensor:
        """The inverse of `enter`."""
        return y

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        nll = -self.log_density(dequantize_at_random(batch.images)).mean()
        bits = nll / (self.latent_dim * math.log(2))
        return bits, {"nll_nats": nll, "nll_bits_per_dim": bits}

    def step(self, data: Stream, update: Update) -> None:
        batch = next(data)
        if update.step == 0 and any(isinstance(part, ActNorm) for part in self.modules()):
            self.adopt(batch)
        update("main", self.loss, batch)

    def adopt(self, batch: Batch) -> None:
        """Data-dependent initialization of every actnorm (Kingma & Dhariwal 2018, §3.1), equal on all ranks."""
        noise = shard(torch.rand(world_size() * len(batch), *self.shape, device=batch.images.device))
        with adopting(self):
            self.log_density(dequantize(batch.images, noise))

    def log_density(self, x: Tensor) -> Tensor:
        """log p of the 8-bit image that x in [0, 1) was made from, in nats, [B]."""
        y, log_det = self.enter(x)
        latents, more = self.push(y)
        # Of the 8-bit image: a density over [0, 1] loses log 256 nats a value (Theis et al. 2016, §3.1).
        return self.log_prior(latents) + log_det + more - self.latent_dim * math.log(256)

    # -- what can be asked of a trained flow

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return self.log_density(dequantize_at_random(images, generator))

    def encode(self, images: Tensor) -> Tensor:
        """The code of every image, with each pixel in the middle of its bin, [B, D]."""
        return self.layers(images)["code"]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        codes = self.codes(images)
        outputs = {f"scale{number}": code for number, code in enumerate(codes, start=1)} if codes[1:] else {}
        outputs["code"] = torch.cat([code.flatten(1) for code in codes], dim=1)
        return outputs

    def codes(self, images: Tensor) -> list[Tensor]:
        y, _ = self.enter(dequantize(images, torch.full_like(images, 0.5)))
        return self.to_normal(self.push(y)[0])

    def decode(self, z: Tensor) -> Tensor:
        return self.restore(self.split(z))

    def restore(self, codes: Sequence[Tensor]) -> Tensor:
        """Codes, one for each scale -> images in [0, 1]; black where scales far out in the tails overflow."""
        return self.leave(self.pull(self.from_normal(codes))).nan_to_num(0.0, 1.0, 0.0).clamp(0, 1)

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        yield self.decode(torch.randn(n, self.latent_dim, generator=generator, device=generator.device))

    def panels(self, batch: Batch) -> Iterator[Panel]:
        images = batch.images[:LADDER_ROWS]
        yield ladder_panel(
            images, self.ladder(self.enter(dequantize(images, torch.full_like(images, 0.5)))[0])
        )
        codes = self.codes(batch.images[:KEPT_ROWS])
        if len(codes) > 1:
            yield self.kept_panel(batch.images[:KEPT_ROWS], codes)

    def kept_panel(self, images: Tensor, codes: Sequence[Tensor]) -> Panel:
        """Images whose finer codes are drawn anew (Dinh et al. 2017, App. D)."""
        columns, names = [images], ["image"]
        for redrawn in range(1, len(codes) + 1):
            kept = [torch.randn_like(code) for code in codes[:redrawn]] + list(codes[redrawn:])
            columns.append(self.restore(kept))
            share = sum(code[0].numel() for code in codes[redrawn:]) / self.latent_dim
            names.append(f"{100 * share:.3g} % of z kept" if share else "none kept")
        return _rows_of(
            "scales",
            columns,
            names,
            f"{len(images)} held-out images, beside what becomes of them when the finer scales of their codes are "
            "drawn anew: one scale more in every column",
        )


class MultiScaleFlow(Flow):
    """A flow whose latents are those of a `MultiScale`; all are normal. Subclasses set both attributes."""

    flow: MultiScale
    code_shapes: Sequence[tuple[int, int, int]]
    """(c, h, w) of the code of each scale."""

    def push(self, y: Tensor) -> tuple[list[Tensor], Tensor]:
        latents, log_det = self.flow(y)
        return latents, log_det

    def pull(self, latents: Sequence[Tensor]) -> Tensor:
        return self.flow.inverse(latents)

    def split(self, z: Tensor) -> list[Tensor]:
        parts = z.split([math.prod(shape) for shape in self.code_shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.code_shapes, strict=True)]

    def ladder(self, y: Tensor) -> Iterator[tuple[str, Tensor]]:
        return self.flow.ladder(y)


def normal_log_density(z: Tensor) -> Tensor:
    """log N(z; 0, I), [B, ...] -> [B]."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)


def to_logits(x: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """y = logit(alpha + (1 - 2 alpha) x) of [B, ...] in [0, 1], and log |det dy/dx| [B]."""
    y = (alpha + (1 - 2 * alpha) * x).logit()
    slope = F.softplus(y) + F.softplus(-y) + math.log(1 - 2 * alpha)  # d logit(p) / dp = 1 / (p (1 - p))
    return y, slope.flatten(1).sum(1)


def from_logits(y: Tensor, alpha: float) -> Tensor:
    """The inverse of `to_logits`."""
    return (y.sigmoid() - alpha) / (1 - 2 * alpha)


def check_halvings(inputs: Inputs, times: int, field: str) -> None:
    """Raise UsageError where the sides of the images cannot be halved `times` times.

    Args:
        field: of `[method]` that says how often.
    """
    block, longest = 2**times, max(inputs.height, inputs.width)
    if inputs.height % block == inputs.width % block == 0:
        return
    below, above = longest // block * block, -(-longest // block) * block
    sizes = " or ".join(str(size) for size in dict.fromkeys((below, above)) if size)
    fewer = max(n for n in range(times) if inputs.height % 2**n == inputs.width % 2**n == 0)
    raise UsageError(
        f"method.{field}: images of {inputs.height}x{inputs.width} pixels cannot be halved "
        f"{times} time{'s' * (times > 1)}",
        f"set data.size={sizes}" + (f", or method.{field}={fewer}" if fewer else ""),
    )


def ladder_panel(images: Tensor, ladder: Iterator[tuple[str, Tensor]]) -> Panel:
    """Images, and what they are after some of the layers, evenly chosen; the last is the code."""
    rungs = list(ladder)
    count = min(len(rungs), LADDER_COLUMNS - 1)
    chosen = [rungs[round((number + 1) * len(rungs) / count) - 1] for number in range(count)]
    shown = [(name, rung - rung.mean(), float(rung.std().clamp_min(1e-12))) for name, rung in chosen]
    columns = [images, *((0.5 + rung / (6 * std)).clamp(0, 1) for _, rung, std in shown)]
    panel = _rows_of(
        "ladder",
        columns,
        ["image", *(name for name, _, _ in shown)],
        f"{len(images)} held-out images on their way through the flow; black to white is -3 to 3 standard deviations "
        f"of a column, in the code {shown[-1][2]:.2f} (1 where it has learned its prior)",
    )
    return replace(panel, x_label="through the flow")


def _rows_of(name: str, columns: Sequence[Tensor], names: Sequence[str], caption: str) -> Panel:
    cells = torch.stack(list(columns), dim=1).flatten(0, 1)  # [rows * columns, C, H, W]
    return Panel(
        name=name,
        kind="images",
        array=cells.float().cpu().numpy(),
        caption=caption,
        columns=len(columns),
        low=0.0,
        high=1.0,
        labels=tuple(names),
    )
