"""Reducing the Dimensionality of Data with Neural Networks.
Geoffrey E. Hinton & Ruslan R. Salakhutdinov, Science 313, 2006, doi:10.1126/science.1127647.

Idea:
    An encoder squeezes an image through a layer with far fewer units than there are pixels, and a decoder
    restores the image from it. What is worth keeping of an image is what lets it be restored; the narrow
    layer is its code.

Objective:
    squared: mean over values of (x - decode(encode(x)))^2
    cross-entropy: mean over values of -x log y - (1 - x) log(1 - y), y = decode(encode(x))
    The paper's, for digits, is the cross-entropy. The logged mse is, under either, the mean over values in
    [0, 1]; times the number of values in an image it is the paper's squared error.

Departures:
    Adam from random weights instead of layer-wise pre-training with RBMs and conjugate gradients; ReLU where
    a preset says so; a convolutional variant, which the paper does not have. The code is linear, the output
    logistic, as there.

Watch for:
    Reconstructions that are all the same grey blob: the mean image, the rate is too high or units have died.
    A test mse that rises while the training's falls: the code is wide enough to memorise. Sharp
    reconstructions do not promise good features: a code may spend its room on colour and place before it says
    what is seen.

Shapes:
    B batch, D code; images [B, C, H, W] in [0, 1]; code [B, D].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.coder import Coder, CoderConfig, compare
from sslterm.run.panels import Panel


class Autoencoder(Coder):
    @dataclass(frozen=True, kw_only=True)
    class Config(CoderConfig):
        """`latent_dim` is the bottleneck."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = batch.images
        loss, mse = compare(self.decoder(self.encoder(x)), x, self.config.objective)
        return loss, {"mse": mse}

    def panels(self, batch: Batch) -> Iterator[Panel]:
        columns = max(1, int(len(batch) ** 0.5))
        shown = batch.images[: columns * (len(batch) // columns)]
        order = lay_out(self.encode(shown), columns)
        yield Panel(
            name="code-map",
            kind="images",
            array=shown[order].float().cpu().numpy(),
            caption=(
                f"{len(shown)} held-out images in the order of their codes: columns by the first principal "
                "component, rows by the second"
            ),
            columns=columns,
            low=0.0,
            high=1.0,
            x_label="first component of the codes",
            y_label="second component",
        )


def lay_out(codes: Tensor, columns: int) -> Tensor:
    """Order of images in a grid by their codes: neighbours have similar ones.

    Args:
        codes: [N, D].
        columns: of the grid; N must be a multiple.

    Returns:
        [N] positions in `codes`, row by row: columns ascend in the codes' first principal component, and each
        column descends in the second. The sign of a component is that of its largest entry.
    """
    centred = (codes - codes.mean(0)).double().cpu()
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2]  # [1 or 2, D]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    first, second = centred @ axes[0], centred @ axes[-1]
    by_column = first.argsort(stable=True).view(columns, -1)  # [columns, rows]
    within = second[by_column].argsort(dim=1, descending=True, stable=True)
    order: Tensor = by_column.gather(1, within).T.flatten()
    return order.to(codes.device)
