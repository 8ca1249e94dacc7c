"""Deep Multi-Scale Video Prediction beyond Mean Square Error.
Michael Mathieu, Camille Couprie & Yann LeCun, ICLR 2016, arXiv:1511.05440.

Idea:
    A network sees a few frames of a clip and predicts the one that was left out, the next. To do so it has to
    find out what moves and how, and what it uncovers. It predicts from coarse to fine, so that far motion is
    seen by small filters, and further frames follow by taking its own predictions for frames.

Objective:
    l_p = mean over values of |y - y*|^p                                                       (§3, p = 1 or 2)
    gdl = mean over neighbouring values i, j of | |y*_i - y*_j| - |y_i - y_j| |^alpha,
          summed over the two directions                                                       (Eq. 6)
    loss = mean over left-out frames of l_p + lambda_gdl gdl
    y_k = u(y_(k-1)) + g_k(x_k, u(y_(k-1))) at scale k, u enlarges                             (Eq. 1)

Departures:
    No adversarial term. The coarsest scale mends the last frame, where the paper's starts from nothing. Means
    take the place of sums, so that weights do not depend on the size of frames. Where several frames are left
    out, each is predicted from those predicted before, in training as afterwards, so that the network learns
    on its own errors; the paper trains on one frame, or on several at once.

Watch for:
    A test mse above mse_copy_last: worse than no prediction. Blur that grows with every frame is what squared
    error pays for uncertainty; p = 1 and the gradient term sharpen it. Things that fade instead of moving:
    motion is farther than the filters of the coarsest scale reach, add a scale.

Shapes:
    B clips, T frames, N of them left out; clips [B, T, C, H, W]; context [B, T - N, C, H, W].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sslterm.config.schema import Count, NonNegative
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method
from sslterm.methods.pretext.clips import as_clips, check_frames, grid_panel
from sslterm.nn.precision import in_float32
from sslterm.nn.pyramid import MultiScale
from sslterm.run.panels import Panel

SHOWN = 8
"""Clips in the panel."""


@in_float32
def gradient_difference(y: Tensor, truth: Tensor, alpha: int) -> Tensor:
    """How far the absolute differences of neighbouring pixels are from those of the truth (Eq. 6).

    Args:
        y, truth: [..., H, W].
    """
    down, across = (
        (truth.diff(dim=axis).abs() - y.diff(dim=axis).abs()).abs().pow(alpha).mean() for axis in (-2, -1)
    )
    return down + across


@in_float32
def lp_error(y: Tensor, truth: Tensor, p: int) -> Tensor:
    """Mean of |y - truth|^p."""
    return (y - truth).abs().pow(p).mean()


class FramePrediction(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        context: Count
        """Frames that the network sees; those of a clip beyond them are left out, and predicted."""
        widths: tuple[tuple[Count, ...], ...]
        """Channels of the hidden convolutions of every scale, from the coarsest to the finest."""
        kernel: Count
        """Side of the filters; odd."""
        p: Literal[1, 2]
        """Of the error: 1 is the absolute one, 2 the squared."""
        gradient_weight: NonNegative
        """lambda_gdl."""
        gradient_power: Count
        """alpha."""

    solved: ClassVar[dict[str, str]] = {
        "mse": "per value in [0, 1]",
        "mse_copy_last": "per value in [0, 1], by copying the last frame seen",
    }

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        check_frames(
            "frame-prediction", inputs, config.context + 1, f"{config.context} seen and one left out"
        )
        if config.kernel % 2 == 0:
            raise UsageError(
                f"method.kernel = {config.kernel}: filters have a middle, so that their side is odd",
                f"set method.kernel={config.kernel + 1}",
            )
        if not config.widths or not all(config.widths):
            raise UsageError(
                "method.widths: there is no hidden layer", "give widths of every scale: [[32, 32]]"
            )
        self.config = config
        self.context = config.context
        self.network = MultiScale(
            config.context * inputs.channels, inputs.channels, widths=config.widths, kernel=config.kernel
        )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        context, truth = batch.images[:, : self.context], batch.images[:, self.context :]
        y = torch.stack(list(self.continued(context, truth.shape[1])), dim=1)  # [B, N, C, H, W]
        error = lp_error(y, truth, self.config.p)
        gradient = gradient_difference(y, truth, self.config.gradient_power)
        return error + self.config.gradient_weight * gradient, {"lp": error, "gdl": gradient}

    def continued(self, clips: Tensor, n: int) -> Iterator[Tensor]:
        """The `n` frames after [B, T, C, H, W], [B, C, H, W] each, not cut to [0, 1]."""
        seen = clips[:, -self.context :]
        for _ in range(n):
            y = self.network_on(seen)[0][-1] + 0.5
            yield y
            seen = torch.cat((seen[:, 1:], y.clamp(0, 1).unsqueeze(1)), dim=1)

    def network_on(self, seen: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The next frame less 1/2 at every scale, and hidden maps, of [B, context, C, H, W]."""
        centred = seen - 0.5
        return self.network.run(centred.flatten(1, 2), centred[:, -1])

    # -- what can be asked of a trained network

    def predict(self, clips: Tensor, n: int) -> Tensor:
        return torch.stack(list(self.continued(clips, n)), dim=1).clamp(0, 1)

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        context, truth = images[:, : self.context], images[:, self.context :]
        predicted = self.predict(context, truth.shape[1])
        copied = context[:, -1:].expand_as(truth)
        return {
            name: (frames - truth).square().flatten(1).mean(1)
            for name, frames in (("mse", predicted), ("mse_copy_last", copied))
        }

    def encode(self, images: Tensor) -> Tensor:
        """The last hidden maps of all scales, averaged over places, [B, D]."""
        return self.layers(images)["pooled"]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """Of the first frames of clips; a still image stands for all of them."""
        clips = as_clips(images)
        seen = clips[:, : self.context]
        if seen.shape[1] < self.context:
            seen = torch.cat((seen, seen[:, -1:].expand(-1, self.context - seen.shape[1], -1, -1, -1)), dim=1)
        _, hidden = self.network_on(seen)
        outputs = {f"scale{number}": maps for number, maps in enumerate(hidden, start=1)}
        outputs["pooled"] = torch.cat([maps.mean((2, 3)) for maps in hidden], dim=1)
        return outputs

    def panels(self, batch: Batch) -> Iterator[Panel]:
        clips = batch.images[:SHOWN]
        left_out = clips.shape[1] - self.context
        figures = {name: float(values.mean()) for name, values in self.solve(clips).items()}
        predicted = self.predict(clips[:, : self.context], left_out)
        rows = [
            torch.cat((clip[: self.context], frames, clip[self.context :]))
            for clip, frames in zip(clips, predicted, strict=True)
        ]
        yield grid_panel(
            "predictions",
            rows,
            f"{len(rows)} held-out clips: the frames seen, the {left_out} predicted, the truth; squared error "
            f"{figures['mse']:.4g} a value, copying the last frame {figures['mse_copy_last']:.4g}",
            labels=(
                *(f"{number - self.context + 1}" for number in range(self.context)),
                *(f"+{number} predicted" for number in range(1, left_out + 1)),
                *(f"+{number} true" for number in range(1, left_out + 1)),
            ),
        )
