"""Shuffle and Learn: Unsupervised Learning using Temporal Order Verification.
Ishan Misra, C. Lawrence Zitnick & Martial Hebert, ECCV 2016, arXiv:1603.08561; and
Unsupervised Representation Learning by Sorting Sequences.
Hsin-Ying Lee, Jia-Bin Huang, Maneesh Singh & Ming-Hsuan Yang, ICCV 2017, arXiv:1708.01246.

Idea:
    Frames of a clip are shown out of their order. To say whether three frames are in order, or in which order
    several are, a network has to see how things in them move. What it looks at in each frame, where things are
    and in what pose, is the representation.

Objective:
    verification (Misra et al.): of frames a < b < c < d < e, the tuple (b, c, d) is in order, and (b, a, d)
    and (b, e, d) are not (§3.1); their first and last frames are the same, so that the middle one decides.
    Cross-entropy of two classes, of the three frames' features one after the other.
    sorting (Lee et al.): n frames in any of n! orders, where an order and its reverse are one class: n! / 2
    classes. Of every pair of frames features are extracted together, and those of all pairs are classified
    (§3.3). Cross-entropy.
    Either way a sequence counts as ordered in both directions, and is reversed at random.

Departures:
    Motion is the mean absolute difference of successive frames, where the papers take optical flow; tuples are
    drawn in proportion to a power of the motion between their first and last frame, where the papers keep
    those above a threshold. Frames come from the clip at hand, so that its length bounds their distances. A
    hidden layer may come before verification's classifier, which in the paper is linear. Backbones are this
    project's. Units of the layer over pairs (or triples) begin as differences of two frames' features; without
    that, nothing was learned in the first 150 steps on sprites. Where time has a direction that can be seen, an
    order and its reverse may be two classes.

Watch for:
    An accuracy at chance: nothing that moves is seen; raise data.stride, or look whether `grid` keeps places
    apart, as a global average does not. One that rises at once: a shortcut, such as edges that wander with the
    camera (jitter) or colours that fade (channel_splitting).

Shapes:
    B clips, T frames, n of them shown, Q possible tuples, D features; clips [B, T, C, H, W]; shown frames
    [B, n, C, h, w]; logits [B, classes].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, Natural, NonNegative, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method
from sslterm.methods.encoder import build_backbone
from sslterm.methods.pretext.clips import (
    as_clips,
    check_frames,
    framed,
    grid_panel,
    over_frames,
    random_cuts,
)
from sslterm.methods.pretext.confusion import confusion_panel
from sslterm.nn.ordering import differences, draw_tuples, motion, orders, possible_tuples
from sslterm.nn.tiles import pick
from sslterm.rows import rand, randint
from sslterm.run.panels import Panel

TRIPLE = 3
ROUNDS = 4
"""How often each held-out clip is asked, with other frames in other orders."""
SHOWN = 8
"""Clips in the panel of orders."""
RIGHT, WRONG = (0.2, 0.75, 0.3), (0.9, 0.25, 0.2)
"""Green and red."""


class FrameOrder(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        task: Literal["verification", "sorting"]
        shown: Count
        """n: frames that are shown; of verification 3."""
        directed: bool
        """Whether an order and its reverse are two classes of sorting."""
        gap: Count
        """Least distance of frames of a tuple, in frames of the clip; of verification that of a and b, d and e
        (tau_min)."""
        span: Natural
        """Most distance of its first and last frame; of verification that of b and d (tau_max); 0 is any."""
        motion_power: NonNegative
        """Tuples are drawn in proportion to their motion to this power; 0 draws all alike."""
        ordered: Fraction
        """Of verification: share of tuples that are in order, in training."""
        jitter: Natural
        """Pixels by which each frame is shifted at random; its rim is cut off."""
        channel_splitting: bool
        """Whether one channel, drawn for each tuple, takes the place of all."""
        backbone: Literal["conv", "resnet18", "resnet18-small", "resnet50", "resnet50-small"]
        widths: tuple[Count, ...]
        """Channels of the stages of "conv"; [] for others."""
        pixel_mean: tuple[Fraction, ...]
        """One number, or one a channel; images are in [0, 1]."""
        pixel_std: tuple[Positive, ...]
        grid: Count
        """Side of the grid of places that a frame's features are kept apart for."""
        features: Count
        """D: of a frame, after a linear layer and ReLU."""
        joint_features: Natural
        """Of a pair (sorting), or of the hidden layer over all three frames (verification; 0 is none)."""

    couples_batch: ClassVar[bool] = True  # through BatchNorm

    tuples: Tensor
    orders: Tensor
    class_of: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.verifies = config.task == "verification"
        self._check(config, inputs)
        found = possible_tuples(inputs.frames, config.task, config.shown, config.gap, config.span)
        if not found:
            raise UsageError(
                f"data.frames = {inputs.frames}: no {5 if self.verifies else config.shown} frames of a clip are "
                f"{config.gap} apart within {config.span or inputs.frames}",
                "raise data.frames or method.span, or lower method.gap",
            )
        every, classes, names = orders(config.shown, directed=config.directed)
        self.names = ["not in order", "in order"] if self.verifies else names
        self.solved: Mapping[str, str] = {"accuracy": f"share (chance {1 / len(self.names):.3g})"}
        self.register_buffer("tuples", torch.tensor(found), persistent=False)
        self.register_buffer("orders", torch.tensor(every), persistent=False)
        self.register_buffer("class_of", torch.tensor(classes), persistent=False)
        self.encoder = build_backbone(
            config.backbone,
            inputs,
            widths=config.widths,
            pixel_mean=config.pixel_mean,
            pixel_std=config.pixel_std,
        )
        self.tower = nn.Linear(self.encoder.features * config.grid**2, config.features)
        joined = config.features * (TRIPLE if self.verifies else 2)
        self.joint: nn.Module = nn.Identity()
        if config.joint_features:
            self.joint = nn.Sequential(differences(config.joint_features, joined, config.features), nn.ReLU())
            joined = config.joint_features
        self.pairs = list(itertools.combinations(range(config.shown), 2))
        self.classifier = nn.Linear(joined * (1 if self.verifies else len(self.pairs)), len(self.names))

    def _check(self, config: Config, inputs: Inputs) -> None:
        check_frames("frame-order", inputs, 5 if self.verifies else config.shown, "to choose from")
        if self.verifies and config.shown != TRIPLE:
            raise UsageError(
                f"method.shown = {config.shown}: verification shows three frames", "set method.shown=3"
            )
        if not self.verifies and not 2 + (not config.directed) <= config.shown <= 6:
            raise UsageError(
                f"method.shown = {config.shown}: {config.shown} frames have "
                f"{math.factorial(config.shown):,} orders, which are no task, or too many classes",
                "set method.shown=3, 4 or 5",
            )
        if not self.verifies and not config.joint_features:
            raise UsageError(
                "method.joint_features = 0: sorting extracts features of pairs",
                "set method.joint_features=64",
            )
        if config.jitter >= min(inputs.height, inputs.width):
            raise UsageError(
                f"method.jitter = {config.jitter} leaves nothing of {inputs.width}x{inputs.height} pixels",
                f"set method.jitter={min(inputs.height, inputs.width) // 8}",
            )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        frames, answer, _ = self.ask(batch.images, self.config.ordered)
        logits = self.classify(frames)
        loss = F.cross_entropy(logits, answer)
        return loss, {"accuracy": (logits.argmax(1) == answer).float().mean()}

    def ask(self, clips: Tensor, ordered: float) -> tuple[Tensor, Tensor, Tensor]:
        """Frames of each clip in some order, [B, n, C, h, w], the class of the order, and their places in time.

        Args:
            ordered: of verification, share of tuples in order.
        """
        chosen = draw_tuples(
            motion(clips), self.tuples, *((1, 3) if self.verifies else (0, -1)), self.config.motion_power
        )
        turned = rand(len(clips), like=clips) < 0.5
        if self.verifies:
            a, b, c, d, e = chosen.unbind(1)
            answer = (rand(len(clips), like=clips) < ordered).long()
            other = torch.where(rand(len(clips), like=clips) < 0.5, a, e)
            places = torch.stack((b, torch.where(answer == 1, c, other), d), dim=1)
            places = torch.where(turned[:, None], places.flip(1), places)
        else:
            drawn = randint(len(self.orders), len(clips), like=clips)  # any order, so any direction
            places, answer = chosen.gather(1, self.orders[drawn]), self.class_of[drawn]
        return self.disguised(pick(clips, places)), answer, places

    def disguised(self, frames: Tensor) -> Tensor:
        """Without what gives the order away besides motion: [B, n, C, H, W] -> [B, n, C, h, w]."""
        if self.config.jitter:
            height, width = (side - self.config.jitter for side in frames.shape[3:])
            frames = random_cuts(frames, height, width)
        if self.config.channel_splitting:
            channel = randint(frames.shape[2], len(frames), like=frames)
            rows = torch.arange(len(frames), device=frames.device)
            frames = frames.transpose(1, 2)[rows, channel].unsqueeze(2).expand_as(frames)
        return frames

    def classify(self, frames: Tensor) -> Tensor:
        """[B, n, C, h, w] -> logits of the classes, [B, classes] float32."""
        features = self.features(self.encoder.layers(frames.flatten(0, 1)))
        features = features.unflatten(0, frames.shape[:2])  # [B, n, D]
        if self.verifies:
            joint = self.joint(features.flatten(1))
        else:
            both = torch.stack(
                [features[:, pair].flatten(1) for pair in self.pairs], dim=1
            )  # [B, pairs, 2 D]
            joint = self.joint(both).flatten(1)
        logits: Tensor = self.classifier(joint)
        return logits.float()

    def features(self, layers: Mapping[str, Tensor]) -> Tensor:
        """Of each frame, from its last feature map, [N, D]."""
        *_, maps, _ = layers.values()  # the last of all is their average
        return F.relu(self.tower(F.adaptive_avg_pool2d(maps, self.config.grid).flatten(1)))

    # -- what can be asked of a trained network

    def answers(self, frames: Tensor, ordered: float) -> Tensor:
        """The class that is likeliest where `ordered` is the share of tuples in order, [B]."""
        logits, trained = self.classify(frames), self.config.ordered
        if self.verifies and 0 < trained < 1:
            logits = logits + logits.new_tensor([(1 - ordered) / (1 - trained), ordered / trained]).log()
        return logits.argmax(1)

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        """Several times for each clip; of verification, half of the tuples are in order."""
        right = []
        for _ in range(ROUNDS):
            frames, answer, _ = self.ask(images, 0.5)
            right.append((self.answers(frames, 0.5) == answer).float())
        return {"accuracy": torch.stack(right).mean(0)}

    def encode(self, images: Tensor) -> Tensor:
        """The last feature map, averaged over places and frames, [B, D]."""
        return self.layers(images)["pooled"]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        def network(frames: Tensor) -> dict[str, Tensor]:
            outputs = self.encoder.layers(frames)
            return {**outputs, "tower": self.features(outputs)}

        return over_frames(network, as_clips(images))

    def panels(self, batch: Batch) -> Iterator[Panel]:
        frames, right, places = self.ask(batch.images, 0.5)
        given = self.answers(frames, 0.5)
        how = "half of them in order" if self.verifies else "in some order"
        of = f"{len(given)} held-out clips, {self.config.shown} frames of each, {how}"
        yield confusion_panel(given, right, self.names, of=of)
        yield self._orders_panel(frames[:SHOWN], given[:SHOWN], right[:SHOWN], places[:SHOWN])

    def _orders_panel(self, frames: Tensor, given: Tensor, right: Tensor, places: Tensor) -> Panel:
        """What was shown, in a border that says whether the answer was right; what was made of it; and the truth."""
        count = frames.shape[1]
        good = torch.where((given == right)[:, None], frames.new_tensor(RIGHT), frames.new_tensor(WRONG))
        frames = frames if frames.shape[2] == 3 else frames.expand(-1, -1, 3, -1, -1)
        truth = pick(frames, places.argsort(1))
        columns = [("shown", frames)]
        if not self.verifies:
            first = (self.class_of == given[:, None]).int().argmax(1)  # of the orders of a class
            answers = self.orders[first].argsort(1)
            columns.append(("as answered", pick(frames, answers)))
            reverse = (answers != places.argsort(1)).any(1) & (given == right)  # the same, read backwards
            truth = torch.where(reverse[:, None, None, None, None], truth.flip(1), truth)
        columns.append(("in order", truth))
        rows = [
            torch.cat([framed(part[row], good[row].expand(count, -1)) for _, part in columns])
            for row in range(len(frames))
        ]
        return grid_panel(
            "orders",
            rows,
            "held-out clips as they were shown, and in order; green where the answer was right",
            labels=[f"{name} {place}" for name, _ in columns for place in range(1, count + 1)],
        )
