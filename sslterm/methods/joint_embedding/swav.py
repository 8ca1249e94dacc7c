"""Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (SwAV).
Mathilde Caron, Ishan Misra, Julien Mairal et al., NeurIPS 2020, arXiv:2006.09882.

Idea:
    Views of an image are compared by the cluster that each is assigned to, instead of by their features. The
    code of one view is predicted from the other, and the other way round. Codes are assigned online, within a
    batch, such that all prototypes are used equally: so not all images can have the same one, and there is
    no need of negatives. Small crops, which are cheap, predict the codes of the two large ones.

Objective:
    p_s = softmax(z_s C / T), the scores of unit vectors z against unit prototypes C             (Eq. 2)
    Q = argmax_Q Tr(Q^T C^T Z) + eps H(Q), rows summing to 1, columns to N / K; by Sinkhorn      (Eq. 3 to 5)
    loss = -sum_k q_t log p_s, mean over codes t in {a, b} and over all other crops s            (Eq. 1, 6)
    Prototypes are brought to unit length before every step, and stay as they were drawn at first. Where the
    batch is small, codes are computed together with the projections of past batches     (§3.1, small batches)

Departures:
    The queue fills from the first step on, not from where it is first used. The views of a preset need not be
    the paper's; those of `imagenet` are, but are cut from images that were first brought to 224 pixels. Codes
    are computed over the batch of all ranks, as in the authors' code, and so are BatchNorm's statistics.

Watch for:
    The loss starts at log K; one that stays there says that codes do not agree between views: freeze the
    prototypes for longer, lower epsilon, or let views share more. In the usage panel all prototypes should be
    alive; one prototype that takes nearly everything is collapse, against which a smaller epsilon, more
    iterations or a longer queue help.

Shapes:
    V crops of each image, B rows at hand, N images of the global batch, K prototypes, D projection;
    z [V * B, D]; scores [V, B, K]; codes [2, B, K].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, Natural, Positive
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.joint_embedding.embedder import build_projector, check_queue, similarity_panel
from sslterm.methods.joint_embedding.multi_crop import (
    MultiCrop,
    MultiCropConfig,
    crops_panel,
    cross_entropies,
    scores_of,
    through,
)
from sslterm.nn.precision import in_float32
from sslterm.nn.queue import Queue
from sslterm.nn.sinkhorn import sinkhorn
from sslterm.rows import gather, shard
from sslterm.run.panels import Panel

SHOWN_IMAGES, SHOWN_PROTOTYPES = 48, 64
"""Most rows and columns of the code matrix."""


@in_float32
def swapped_prediction(scores: Tensor, codes: Tensor, temperature: float) -> Tensor:
    """The cross entropy of the codes of each large crop and the predictions of all others (Eq. 1, 2 and 6).

    Args:
        scores: [V, B, K], the two large crops first.
        codes: [2, B, K] of those two, without gradient.
    """
    return cross_entropies(codes, scores / temperature)


class SwAV(MultiCrop):
    @dataclass(frozen=True, kw_only=True)
    class Config(MultiCropConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the projection last."""
        prototypes: Count
        """K."""
        temperature: Positive
        """T, of the predictions."""
        epsilon: Positive
        """How smooth codes are; too large a value makes all of them the same."""
        sinkhorn_iterations: Count
        queue: Natural
        """Past projections of either large crop that codes are computed with; 0 for none."""
        queue_start_fraction: Fraction
        """Share of the training after which the queue is used."""
        freeze_fraction: Fraction
        """Share of the training for which prototypes stay as they were drawn."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        if config.queue:
            check_queue(config.queue, inputs)
        self.config = config
        self.clusters = config.prototypes
        self.projector = build_projector(self.encoder, config.projector)
        width = config.projector[-1]
        self.prototypes = nn.Linear(width, config.prototypes, bias=False)
        self.queue_a = Queue(config.queue, width)
        self.queue_b = Queue(config.queue, width)
        self.queue_in_use = False

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        crops = self.crops(batch.images)
        z = F.normalize(self.projector(through(self.encoder, crops)), dim=1)  # [V * B, D]
        scores = scores_of(z, self.prototypes.weight).unflatten(0, (len(crops), -1))  # [V, B, K]
        codes = self.codes(scores[:2].detach())
        loss = swapped_prediction(scores, codes, self.config.temperature)
        projections = z.unflatten(0, (len(crops), -1))[:2].transpose(0, 1)  # [B, 2, D]
        return loss, {"code_entropy": torch.special.entr(codes).sum(2).mean(), "projections": projections}

    @torch.no_grad()
    def codes(self, scores: Tensor) -> Tensor:
        """The balanced soft assignments of the two large crops, [2, B, K] (Eq. 3 to 5)."""
        config, codes = self.config, []
        for own, queue in zip(scores, (self.queue_a, self.queue_b), strict=True):
            whole = gather(own)  # [N, K]
            n = len(whole)
            if self.queue_in_use:
                whole = torch.cat((whole, scores_of(queue.values, self.prototypes.weight)))
            q = sinkhorn(whole, epsilon=config.epsilon, iterations=config.sinkhorn_iterations)
            codes.append(shard(q[:n]))
        return torch.stack(codes)

    def step(self, data: Stream, update: Update) -> None:
        config = self.config
        with torch.no_grad():
            self.prototypes.weight.copy_(F.normalize(self.prototypes.weight, dim=1))
        self.prototypes.requires_grad_(update.progress >= config.freeze_fraction)
        filled = 0 < config.queue <= update.images
        self.queue_in_use = filled and update.progress >= config.queue_start_fraction
        projections = update("main", self.loss, next(data))["projections"]  # [B, 2, D]
        if config.queue:
            past_a, past_b = gather(projections).unbind(1)  # [N, D] each
            self.queue_a.push(past_a, images=update.images)
            self.queue_b.push(past_b, images=update.images)

    def embed(self, views: Tensor) -> Tensor:
        return F.normalize(self.projector(self.encoder(views)), dim=1)

    def assign(self, images: Tensor) -> Tensor:
        return self.prototype_scores(images).argmax(1)

    def prototype_scores(self, images: Tensor) -> Tensor:
        """Cosines with the prototypes, [B, K]."""
        return scores_of(self.embed(images), F.normalize(self.prototypes.weight, dim=1))

    def panels(self, batch: Batch) -> Iterator[Panel]:
        config, crops = self.config, self.crops(batch.images)
        scores = [self.prototype_scores(view) for view in crops[:2]]
        share = (torch.cat(scores) / config.temperature).softmax(1).mean(0)  # [K]
        in_use = float(torch.special.entr(share).sum().exp())
        yield Panel(
            name="prototype-usage",
            kind="curve",
            array=(share * len(share)).sort(descending=True).values[None].cpu().numpy(),
            caption=(
                f"how much {len(batch)} held-out images use each of {len(share)} prototypes, falling; 1 is an "
                f"equal share; as many as {in_use:.0f} are used equally (exp of the entropy)"
            ),
            labels=("usage",),
            low=0.0,
            x_label="prototype, by rank",
            y_label="usage / equal share",
        )
        codes = sinkhorn(scores[0], epsilon=config.epsilon, iterations=config.sinkhorn_iterations)
        shown = codes[:SHOWN_IMAGES, :SHOWN_PROTOTYPES]
        yield Panel(
            name="codes",
            kind="matrix",
            array=shown.cpu().numpy(),
            caption=(
                f"codes of {len(shown)} held-out images, {shown.shape[1]} of {codes.shape[1]} prototypes; the "
                f"largest of an image is {float(codes.max(1).values.mean()):.2f} on average"
            ),
            low=0.0,
            x_label="prototype",
            y_label="image",
        )
        yield similarity_panel(self.embed(crops[0]), self.embed(crops[1]))
        yield crops_panel(crops)
