"""What methods share that give every training image a label between epochs: what became of the labels, and how."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.methods.base import Inputs, Sweep
from sslterm.run.panels import Panel

REMEMBERED = 256
"""Most numbers that a history keeps."""
WALL_CLUSTERS, WALL_IMAGES = 8, 8
"""Rows and columns of the wall."""
WALL_SIDE = 64
"""Most pixels along the side of an image of the wall."""


class History(nn.Module):
    """The newest numbers of a series, in a buffer; equal on all ranks if what is put in is."""

    values: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("values", torch.zeros(REMEMBERED))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def append(self, value: float) -> None:
        if self.count == REMEMBERED:
            self.values.copy_(self.values.roll(-1))
            self.count -= 1
        self.values[self.count] = value
        self.count += 1

    def newest(self) -> Tensor:
        """[count], the oldest first."""
        return self.values[: int(self.count)]


class Wall(nn.Module):
    """Training images of some clusters, kept to be looked at: [8 * 8, C, h, w] uint8, a cluster a row."""

    images: Tensor

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.side = min(inputs.height, WALL_SIDE), min(inputs.width, WALL_SIDE)
        shape = (WALL_CLUSTERS * WALL_IMAGES, inputs.channels, *self.side)
        self.register_buffer("images", torch.zeros(shape, dtype=torch.uint8))

    def fill(self, sweep: Sweep, labels: Tensor, typical: Tensor) -> None:
        """Show the most typical images of the first clusters; black where a cluster has fewer.

        Args:
            labels: [N] int64.
            typical: [N], larger for those that are more so, within a cluster.
        """
        index = torch.zeros(WALL_CLUSTERS, WALL_IMAGES, dtype=torch.int64, device=labels.device)
        there = torch.zeros_like(index, dtype=torch.bool)
        for cluster in range(WALL_CLUSTERS):
            members = (labels == cluster).nonzero().flatten()
            best = members[typical[members].argsort(descending=True, stable=True)[:WALL_IMAGES]]
            index[cluster, : len(best)] = best
            there[cluster, : len(best)] = True
        images = sweep(self._small, index.flatten())
        self.images.copy_(images * there.flatten().view(-1, 1, 1, 1))

    def _small(self, images: Tensor) -> Tensor:
        return (F.adaptive_avg_pool2d(images, self.side) * 255).round().to(torch.uint8)

    def panel(self, clusters: int, what: str) -> Panel:
        """The wall; `what` says of the images of a row what makes them typical."""
        rows = min(clusters, WALL_CLUSTERS)
        return Panel(
            name="clusters",
            kind="images",
            array=self.images[: rows * WALL_IMAGES].float().div(255).cpu().numpy(),
            caption=f"{rows} of {clusters} clusters, a row each: the {WALL_IMAGES} training images {what}",
            columns=WALL_IMAGES,
            low=0.0,
            high=1.0,
        )


def sizes_panel(labels: Tensor, clusters: int) -> Panel:
    """How many of the training images [N] have each label, falling."""
    sizes = torch.bincount(labels, minlength=clusters).sort(descending=True).values
    return Panel(
        name="cluster-sizes",
        kind="curve",
        array=sizes.float()[None].cpu().numpy(),
        caption=(
            f"training images in each of {clusters} clusters, falling; from {int(sizes[0])} down to "
            f"{int(sizes[-1])}, where equal ones would have {len(labels) / clusters:.0f}"
        ),
        labels=("images",),
        low=0.0,
        x_label="cluster, by rank",
        y_label="images",
    )


def history_panel(name: str, values: Tensor, what: str, label: str) -> Panel:
    """A share in [0, 1] over the newest re-labellings."""
    return Panel(
        name=name,
        kind="curve",
        array=values[None].cpu().numpy(),
        caption=f"{what}, for the {len(values)} newest; now {float(values[-1]):.2f}",
        labels=(label,),
        low=0.0,
        high=1.0,
        x_label="re-labelling",
        y_label=label,
    )
