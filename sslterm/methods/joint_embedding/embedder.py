"""What all joint-embedding methods are made of: random views, an encoder, and embeddings that a loss compares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.augment import View
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method
from sslterm.methods.encoder import EncoderConfig, build_encoder
from sslterm.nn.backbone import Backbone
from sslterm.nn.heads import Projector
from sslterm.run.panels import Panel

SHOWN_PAIRS = 24
"""Pairs in the views panel."""
SHOWN_SIMILARITIES = 48
"""Images along each side of the similarity panel."""
BINS = 64
"""Of the histogram of logits."""


class JointEmbedding(Method):
    """Views -> encoder -> `embed`. Subclasses define `Config(EncoderConfig)`, `embed` and `loss`."""

    couples_batch: ClassVar[bool] = True
    views_needed: ClassVar[tuple[str, ...]] = ("a", "b")
    """The `[augment.*]` that the preset must have."""

    def __init__(
        self, config: EncoderConfig, inputs: Inputs, *, views: tuple[str, ...] | None = None
    ) -> None:
        """`views` takes the place of `views_needed` where a field of `config` decides."""
        super().__init__()
        views = self.views_needed if views is None else views
        if tuple(sorted(inputs.views)) != views:
            needed, given = (
                " and ".join(f"[augment.{name}]" for name in names) or "none"
                for names in (views, sorted(inputs.views))
            )
            raise UsageError(f"this method takes its views from {needed}, and the preset has {given}")
        self.views = {name: View(view) for name, view in inputs.views.items()}
        self.encoder = build_encoder(config, inputs)

    def embed(self, views: Tensor) -> Tensor:
        """Views [B, C, H, W] -> what the loss compares, [B, D] float32."""
        raise NotImplementedError

    def random_views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Two views of each image, [B, C, H, W] each: a and b, or twice a where there is no b."""
        return self.views["a"](images), self.views.get("b", self.views["a"])(images)

    # -- what can be asked of a trained network

    def encode(self, images: Tensor) -> Tensor:
        """The representation, before any head."""
        features: Tensor = self.encoder(images)
        return features

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        return self.encoder.layers(images)

    def embed_views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of two random views of each image, [B, D] each: what diagnostics look at."""
        a, b = self.random_views(images)
        return self.embed(a), self.embed(b)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        a, b = self.random_views(batch.images)
        yield similarity_panel(self.embed(a), self.embed(b))
        yield views_panel(a, b)


def build_projector(encoder: Backbone, widths: Sequence[int], *, batch_norm: bool = True) -> Projector:
    """The head that `method.projector` describes.

    Raises:
        UsageError: it has no layers.
    """
    if not widths:
        raise UsageError("method.projector has no layers", "give widths, the embedding's last: [256, 128]")
    return Projector(encoder.features, widths, batch_norm=batch_norm)


def check_queue(size: int, inputs: Inputs) -> None:
    """A queue takes the embeddings of a whole batch at a time.

    Raises:
        UsageError: `method.queue` cannot.
    """
    if size < inputs.batch:
        raise UsageError(
            f"method.queue = {size} is smaller than a batch of {inputs.batch}, whose embeddings it takes at once",
            f"set method.queue={inputs.batch} or more; the method lives from a queue of many batches",
        )


def views_panel(a: Tensor, b: Tensor) -> Panel:
    """Pairs of views [B, C, H, W], side by side."""
    pairs = torch.stack((a, b), dim=1)[:SHOWN_PAIRS].flatten(0, 1)
    return Panel(
        name="views",
        kind="images",
        array=pairs.float().cpu().numpy(),
        caption=f"pairs of views of {len(pairs) // 2} held-out images, side by side",
        columns=8,
        low=0.0,
        high=1.0,
    )


def similarity_panel(z_a: Tensor, z_b: Tensor) -> Panel:
    """Cosines between the embeddings [B, D] of two views of the same images; pairs are on the diagonal."""
    cosines = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T
    n = len(cosines)
    same = cosines.diagonal().mean()
    others = (cosines.sum() - cosines.diagonal().sum()) / max(n * (n - 1), 1)
    first = (cosines > cosines.diagonal()[:, None]).sum(1).eq(0).float().mean()
    return Panel(
        name="similarity",
        kind="matrix",
        array=cosines[:SHOWN_SIMILARITIES, :SHOWN_SIMILARITIES].cpu().numpy(),
        caption=(
            f"cosine between views of {n} held-out images: {float(same):.2f} within a pair, "
            f"{float(others):.2f} across; the own pair is nearest for {100 * float(first):.0f} %"
        ),
        low=-1.0,
        high=1.0,
        center=0.0,
        x_label="image, view b",
        y_label="image, view a",
    )


def logits_panel(positive: Tensor, negative: Tensor, *, temperature: float, of: str) -> Panel:
    """How the logits of pairs and of negatives lie: two histograms over all values that a logit can have.

    Args:
        positive, negative: cosines, of any shape.
        of: what was compared, "64 held-out queries with 4,096 keys of the queue".
    """
    counts = [torch.histc(cosines.float().cpu(), BINS, -1.0, 1.0) for cosines in (positive, negative)]
    shares = [100 * count / count.sum().clamp_min(1) for count in counts]
    bound = 1 / temperature
    return Panel(
        name="logits",
        kind="curve",
        array=torch.stack(shares).numpy(),
        caption=(
            f"logits (cosine / {temperature:g}) of {of}: {float(positive.mean()) * bound:.1f} on average within "
            f"a pair, {float(negative.mean()) * bound:.1f} with negatives"
        ),
        low=0.0,
        labels=("positive", "negative"),
        x_label="logit",
        y_label="% of the pairs",
        x_range=((1 / BINS - 1) * bound, (1 - 1 / BINS) * bound),  # the middles of the bins
    )


def age_panel(name: str, ages: Tensor, *, of: str) -> Panel:
    """How old the entries of a memory are, from the newest to the oldest.

    Args:
        ages: in training images; NaN for entries that are random still.
        of: what the entries are, "keys in the queue".
    """
    known = ages[~ages.isnan()].cpu()
    share = len(known) / max(len(ages), 1)
    curve = (
        known.sort().values[torch.linspace(0, len(known) - 1, 101).long()] if len(known) else torch.zeros(101)
    )
    return Panel(
        name=name,
        kind="curve",
        array=curve[None].numpy(),
        caption=(
            f"training images since each of {len(ages):,} {of} was computed, at most {float(curve[-1]):,.0f}; "
            f"{100 * share:.0f} % have been computed, the rest is random still"
        ),
        low=0.0,
        labels=("age",),
        x_label="% of the entries, newest first",
        y_label="age in images",
    )
