"""Emerging Properties in Self-Supervised Vision Transformers (DINO).
Mathilde Caron, Hugo Touvron, Ishan Misra et al., ICCV 2021, arXiv:2104.14294.

Idea:
    A student learns to output, for every crop of an image, the distribution that a teacher outputs for
    another, larger one. The teacher is a moving average of the student. Its outputs are centred, so that no
    dimension wins always, and sharpened, so that they do not become uniform: the two together keep both from
    collapsing. In a vision transformer trained so, attention outlines objects.

Objective:
    P_t = softmax((g_t(x) - c) / T_t),  P_s = softmax(g_s(x') / T_s)                              (Eq. 1)
    loss = -sum_k P_t log P_s, mean over a, b for the teacher and all other crops for the student (Eq. 2, 3)
    c <- m c + (1 - m) mean of g_t over both views and the batch                                  (Eq. 4)
    teacher <- lambda teacher + (1 - lambda) student, lambda rising to 1 along half a cosine      (§3.1)

Departures:
    What is encoded with, probed and shown is the teacher, the better of the two throughout (§5.2). The norms
    of the last layer's rows are 1 throughout, as the authors' code has it by default. T_t rises step by step,
    not epoch by epoch. Weight decay is constant, and there is no stochastic depth; the ViT's positions are
    fixed sines and cosines, so that crops of every size need no interpolation, and its weights are uniform draws.
    Gradients are clipped by their norm over all parameters, where the authors' code clips each parameter's.

Watch for:
    Teacher entropy and KL (Fig. 7): an entropy that reaches 0 is one dimension winning always, one that
    reaches log K is a uniform output; KL is 0 in both. The loss starts near log K, and says little later on.
    If it stays there: freeze the last layer for longer, lower the teacher's temperature, clip gradients.

Shapes:
    V crops of each image, B rows at hand, K outputs; student [V, B, K]; teacher [2, B, K]; center [K].
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, Momentum, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.joint_embedding.embedder import similarity_panel
from sslterm.methods.joint_embedding.multi_crop import (
    MultiCrop,
    MultiCropConfig,
    crops_panel,
    cross_entropies,
    scores_of,
    through,
)
from sslterm.nn.backbone import Backbone
from sslterm.nn.ema import cosine_between, follow
from sslterm.nn.norm import BatchNorm
from sslterm.nn.precision import in_float32
from sslterm.nn.vit import ViT
from sslterm.rows import sum_over_ranks, world_size
from sslterm.run.panels import Panel

SHOWN_IMAGES = 8
"""Images in the attention panel."""


@in_float32
def distillation(
    student: Tensor,
    teacher: Tensor,
    center: Tensor,
    *,
    student_temperature: float,
    teacher_temperature: Tensor,
) -> tuple[Tensor, Tensor]:
    """The cross entropy of teacher and student (Eq. 1 to 3), and the teacher's entropy, in nats.

    Args:
        student: [V, B, K] outputs, a and b first.
        teacher: [2, B, K], of a and b.
        center: [K].
        teacher_temperature: 0-d.
    """
    target = ((teacher - center) / teacher_temperature).softmax(2)
    loss = cross_entropies(target, student / student_temperature)
    return loss, torch.special.entr(target).sum(2).mean()


class Head(nn.Module):
    """A network of Linear and GELU down to a bottleneck, unit length, and a linear layer of unit rows (§3.2).

    Args:
        features: width of what comes in.
        widths: of its layers, the bottleneck last.
        outputs: K.
        batch_norm: normalise before every GELU; the paper's transformers have no BatchNorm at all.
    """

    def __init__(self, features: int, widths: Sequence[int], outputs: int, *, batch_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        *hidden, bottleneck = widths
        for width in hidden:
            norm = [BatchNorm(width)] if batch_norm else []  # which has a bias of its own
            layers += [nn.Linear(features, width, bias=not batch_norm), *norm, nn.GELU()]
            features = width
        self.layers = nn.Sequential(*layers, nn.Linear(features, bottleneck))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        self.last = nn.Linear(bottleneck, outputs, bias=False)

    def bottleneck(self, features: Tensor) -> Tensor:
        """[B, features] -> unit vectors [B, widths[-1]], float32."""
        return F.normalize(self.layers(features).float(), dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """[B, features] -> [B, K], float32."""
        return scores_of(self.bottleneck(features), F.normalize(self.last.weight, dim=1))


class DINO(MultiCrop):
    @dataclass(frozen=True, kw_only=True)
    class Config(MultiCropConfig):
        head: tuple[Count, ...]
        """Widths of its layers, the bottleneck last."""
        head_batch_norm: bool
        outputs: Count
        """K."""
        student_temperature: Positive
        teacher_temperature: Positive
        """After the warm-up."""
        teacher_temperature_start: Positive
        """From which it rises linearly."""
        teacher_warmup_fraction: Fraction
        """Share of the training that this takes."""
        teacher_momentum: Momentum
        """lambda at the beginning; 1 at the end."""
        center_momentum: Momentum
        freeze_fraction: Fraction
        """Share of the training for which the last layer stays as it was drawn."""

    center: Tensor
    teacher_temperature: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        if not config.head:
            raise UsageError("method.head has no layers", "give widths, the bottleneck's last: [256, 64]")
        self.config = config
        self.clusters = config.outputs
        self.head = Head(
            self.encoder.features, config.head, config.outputs, batch_norm=config.head_batch_norm
        )
        self.teacher = copy.deepcopy(nn.Sequential(self.encoder, self.head)).requires_grad_(False)
        self.register_buffer("center", torch.zeros(config.outputs))
        self.register_buffer("teacher_temperature", torch.tensor(config.teacher_temperature_start))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        crops = self.crops(batch.images)
        student = self.head(through(self.encoder, crops)).unflatten(0, (len(crops), -1))  # [V, B, K]
        with torch.no_grad():
            encoder, head = self.teacher
            teacher = head(through(encoder, crops[:2])).unflatten(0, (2, -1))  # [2, B, K]
        loss, entropy = distillation(
            student,
            teacher,
            self.center,
            student_temperature=self.config.student_temperature,
            teacher_temperature=self.teacher_temperature,
        )
        return loss, {"teacher_entropy": entropy, "kl": loss - entropy, "outputs": teacher.mean(0)}

    def step(self, data: Stream, update: Update) -> None:
        config = self.config
        self.head.last.requires_grad_(update.progress >= config.freeze_fraction)
        self.teacher_temperature.fill_(self.temperature_at(update.progress))
        outputs = update("main", self.loss, next(data))["outputs"]  # [B, K]
        mean = sum_over_ranks(outputs.mean(0)) / world_size()
        self.center.lerp_(mean, 1 - config.center_momentum)  # Eq. 4
        momentum = cosine_between(config.teacher_momentum, 1.0, update.progress)
        follow(self.teacher, nn.Sequential(self.encoder, self.head), momentum)

    def temperature_at(self, progress: float) -> float:
        """The teacher's temperature after a share of the training."""
        config = self.config
        share = min(progress / config.teacher_warmup_fraction, 1.0) if config.teacher_warmup_fraction else 1.0
        start = config.teacher_temperature_start
        return start + share * (config.teacher_temperature - start)

    # -- what can be asked of a trained network: of the teacher

    def encode(self, images: Tensor) -> Tensor:
        features: Tensor = self.teacher[0](images)
        return features

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        encoder = self.teacher[0]
        assert isinstance(encoder, Backbone)
        return encoder.layers(images)

    def embed(self, views: Tensor) -> Tensor:
        encoder, head = self.teacher
        assert isinstance(head, Head)
        return head.bottleneck(encoder(views))

    def assign(self, images: Tensor) -> Tensor:
        return self.teacher_distribution(images).argmax(1)

    def teacher_distribution(self, images: Tensor) -> Tensor:
        """P_t, [B, K]."""
        outputs: Tensor = self.teacher(images)
        return ((outputs - self.center) / self.teacher_temperature).softmax(1)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        crops = self.crops(batch.images)
        encoder = self.teacher[0]
        assert isinstance(encoder, Backbone)
        if isinstance(encoder.net, ViT):
            yield attention_panel(batch.images[:SHOWN_IMAGES], encoder.attention(batch.images[:SHOWN_IMAGES]))
        outputs = self.teacher_distribution(crops[0])
        mean = outputs.mean(0)
        of_each, of_mean = (float(torch.special.entr(p).sum(-1).mean()) for p in (outputs, mean))
        yield Panel(
            name="teacher-outputs",
            kind="curve",
            array=(mean * len(mean)).sort(descending=True).values[None].cpu().numpy(),
            caption=(
                f"the teacher's mean distribution over {len(mean)} outputs for {len(outputs)} held-out images, "
                f"falling; 1 is an equal share; entropy {of_mean:.2f} nats, of an image {of_each:.2f} "
                f"(uniform: {float(torch.tensor(len(mean)).log()):.2f})"
            ),
            labels=("share",),
            low=0.0,
            x_label="output, by rank",
            y_label="probability / equal share",
        )
        yield similarity_panel(self.embed(crops[0]), self.embed(crops[1]))
        yield crops_panel(crops)


def attention_panel(images: Tensor, attention: Tensor) -> Panel:
    """Each image beside how the class token of every head looks at it.

    Args:
        images: [B, C, H, W].
        attention: [B, heads, h, w].
    """
    looks = attention / attention.amax((2, 3), keepdim=True)
    looks = F.interpolate(looks, size=images.shape[2:], mode="nearest")[:, :, None]  # [B, heads, 1, H, W]
    colours = max(images.shape[1], 1)
    rows = torch.cat((images[:, None], looks.expand(-1, -1, colours, -1, -1)), dim=1)
    return Panel(
        name="attention",
        kind="images",
        array=rows.flatten(0, 1).float().cpu().numpy(),
        caption=(
            f"{len(images)} held-out images, a row each, and where the class token of the teacher's last block "
            f"looks: {attention.shape[1]} heads, each over its own largest weight"
        ),
        columns=rows.shape[1],
        low=0.0,
        high=1.0,
    )
