"""Tracking Emerges by Colorizing Videos.
Carl Vondrick, Abhinav Shrivastava, Alireza Fathi, Sergio Guadarrama & Kevin Murphy, ECCV 2018, arXiv:1806.09594.

Idea:
    A grey frame is given its colours by pointing to the places of earlier frames whose colours it copies. As
    colours rarely change while things move, the best pointer of a place is where the same thing was before: who
    can colour a video in this way can track. Any label of the first frame can be copied along the same pointers.

Objective:
    A_ij = exp(f_i f_j / T) / sum_k exp(f_k f_j / T)       (Eq. 2; i a reference place, j a target place)
    y_j = sum_i A_ij c_i                                   (Eq. 1; c one-hot over the clusters of colour)
    loss = mean over target places of -log y_j[c_j]        (Eq. 3, cross-entropy)
    f: embeddings of grey frames by one network for all. The last frame of a clip is the target, those before
    are references. Clusters are those of k-means over (a, b) of Lab, found once on the training set.

Departures:
    Embeddings come from each frame alone, without the paper's five spatio-temporal convolutions, so that a
    frame is encoded once however long the clip is. Where a preset says so they are of unit length, which learns
    faster under a low temperature, and training sees a random square of a clip, the same of all its frames.
    A place whose colour no reference has is counted as zero in the loss, where Eq. 3 has no finite value.
    While tracking, labels are copied from the first frame and the last few, within a window and through the
    strongest pointers alone; the paper has neither, and its preset turns both off.

Watch for:
    Where pointers look: they should lie where the same part of the same thing was. A colour figure near that
    of copying the same place means that nothing is matched: too little moves, or the features are smooth.
    Things of one colour are no task: what cannot be told apart by colour is not learned to be told apart.

Shapes:
    B clips, T frames, D embedding, K colours, P places of the target, R of all references; clips
    [B, T, 3, H, W]; embeddings [B, T, D, h, w]; pointers [B, P, R]; colours [B, T, h, w] int64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import Count, Natural, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Sweep, Update
from sslterm.methods.pretext.clips import as_clips, check_frames, grid_panel, lit, over_frames, random_cuts
from sslterm.nn.dense import DenseEncoder, DenseName
from sslterm.nn.kmeans import kmeans, nearest
from sslterm.nn.lab import lab_to_rgb, rgb_to_lab
from sslterm.nn.pointing import copied, follow, likeness, pixel_maps
from sslterm.nn.precision import in_float32
from sslterm.run.panels import Panel

FITTED_CLIPS, FITTED_PLACES, ITERATIONS = 2000, 64, 50
"""Of k-means: most clips, places of each clip's last frame, and steps of Lloyd's algorithm."""
FIRST_RADIUS = 40.0
"""Of the circle in the (a, b) plane that the clusters stand on before they are found."""
AT_ONCE = 8
"""Frames or clips in a forward pass outside of training."""
SHOWN, POINTERS = 8, 6
"""Clips in the panel of colours, and in that of pointers."""
POINTER_COLOUR = (1.0, 0.9, 0.1)
"""Yellow."""


@in_float32
def in_lab(clips: Tensor) -> Tensor:
    """[B, T, 3, H, W] in [0, 1] -> L, a and b."""
    return rgb_to_lab(clips)


@in_float32
def quantized(lab: Tensor, centres: Tensor, stride: int) -> Tensor:
    """The cluster of the mean (a, b) of every place of [B, T, 3, H, W]: [B, T, h, w] int64."""
    ab = mean_ab(lab.flatten(0, 1), stride)
    return nearest(ab.movedim(1, 3).flatten(0, 2), centres).view(*lab.shape[:2], *ab.shape[2:])


def mean_ab(lab: Tensor, stride: int) -> Tensor:
    """Means over places of `stride` pixels, of [N, 3, H, W]: [N, 2, h, w]."""
    return F.avg_pool2d(lab[:, 1:], stride, ceil_mode=True, count_include_pad=False)


@in_float32
def cross_entropy(logits: Tensor, references: Tensor, target: Tensor) -> Tensor:
    """-log y_j[c_j], mean over places (Eq. 3), by logarithms, so that no pointer is too weak to be learned from.

    Args:
        logits: of pointers, [B, P, R].
        references: colours where they lead, [B, R] int64.
        target: colours of the places, [B, P] int64.
    """
    right = references[:, None] == target[:, :, None]  # [B, P, R]
    right = right | ~right.any(2, keepdim=True)  # a colour that no reference has asks for nothing
    return (logits.logsumexp(2) - logits.masked_fill(~right, float("-inf")).logsumexp(2)).mean()


class VideoColorization(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        network: DenseName
        widths: tuple[Count, ...]
        """Channels of the convolutions of "conv"; [] for resnet18."""
        strides: tuple[Count, ...]
        """Of the same; their product is the side of a place in pixels."""
        dimensions: Count
        """D: width of the embedding."""
        coordinates: bool
        """Whether embeddings see where in the frame they are."""
        unit_length: bool
        """Whether embeddings are brought to unit length, so that pointers go by the cosine; the paper's are not."""
        crop: Natural
        """Side of the random square of a clip that training sees; 0 is the whole clip."""
        colours: Count
        """K: clusters of colour."""
        temperature: Positive
        tracking_temperature: Positive
        """Of pointers while tracking; lower ones are more decided."""
        recent_frames: Count
        """Frames before the current one that labels are copied from, besides the first."""
        radius: Natural
        """How far a place looks into these frames while tracking, in places; 0 is everywhere."""
        strongest: Natural
        """Pointers through which a place copies labels; 0 is all."""

    couples_batch: ClassVar[bool] = True  # through BatchNorm
    solved: ClassVar[dict[str, str]] = {
        "colour": "share of places",
        "colour_same_place": "share of places, by copying the frame before at the same place",
    }

    centres: Tensor
    fitted: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        check_frames("video-colorization", inputs, 2, "a reference and the target")
        if inputs.channels != 3:
            raise UsageError(
                "video-colorization learns from the colours of frames, and these are grey",
                "give video in colour",
            )
        if config.crop > min(inputs.height, inputs.width):
            raise UsageError(
                f"method.crop = {config.crop}, and frames have {inputs.width}x{inputs.height} pixels",
                f"set method.crop={min(inputs.height, inputs.width)} or less, or 0 for whole frames",
            )
        self.config = config
        self.reach = {
            "recent": config.recent_frames, "radius": config.radius, "strongest": config.strongest
        }  # fmt: skip
        self.train_clips = inputs.train_images
        try:
            self.encoder = DenseEncoder(
                config.network,
                channels=1,
                widths=config.widths,
                strides=config.strides,
                dimensions=config.dimensions,
                coordinates=config.coordinates,
            )
        except ValueError as error:
            raise UsageError(f"method.network = {config.network!r}: {error}") from error
        angles = torch.arange(config.colours) * (2 * torch.pi / config.colours)
        self.register_buffer("centres", FIRST_RADIUS * torch.stack((angles.cos(), angles.sin()), dim=1))
        self.register_buffer("fitted", torch.tensor(False))

    def begin_epoch(self, sweep: Sweep, update: Update) -> None:
        """Find the clusters of colour, once."""
        if bool(self.fitted):
            return
        index = evenly(self.train_clips, FITTED_CLIPS)
        points = sweep(self._some_colours, index).flatten(0, 1)
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self.centres.copy_(kmeans(points, len(self.centres), iterations=ITERATIONS, generator=generator)[1])
        self.fitted.fill_(True)

    def _some_colours(self, clips: Tensor) -> Tensor:
        """(a, b) at evenly spread places of the last frames, [B, n, 2]."""
        ab = mean_ab(in_lab(clips[:, -1]), self.encoder.stride).flatten(2)  # [B, 2, P]
        return ab[:, :, evenly(ab.shape[2], FITTED_PLACES).to(ab.device)].transpose(1, 2)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        lab = in_lab(self.cut(batch.images))
        colours = quantized(lab, self.centres, self.encoder.stride)
        logits = self.logits(self.embed(lab))
        return cross_entropy(logits, colours[:, :-1].flatten(1), colours[:, -1].flatten(1)), {}

    def cut(self, clips: Tensor) -> Tensor:
        """A random square of each clip, the same of all its frames; in evaluation mode the middle one."""
        side, (height, width) = self.config.crop, clips.shape[3:]
        if not side:
            return clips
        if not self.training:
            top, left = (height - side) // 2, (width - side) // 2
            return clips[..., top : top + side, left : left + side]
        together = clips.flatten(1, 2).unsqueeze(1)  # [B, 1, T * 3, H, W]
        cuts: Tensor = random_cuts(together, side, side).squeeze(1).unflatten(1, clips.shape[1:3])
        return cuts

    def colour(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """The colours that the last frame copies from those before, [B, P, K], and those of all, [B, T, h, w]."""
        lab = in_lab(clips)
        colours = quantized(lab, self.centres, self.encoder.stride)
        pointers = self.pointers(self.embed(lab))
        return copied(pointers, colours[:, :-1].flatten(1), len(self.centres)), colours

    def embed(self, lab: Tensor) -> Tensor:
        """Embeddings of the grey frames of [B, T, 3, H, W]: [B, T, D, h, w]."""
        maps: Tensor = self.encoder(grey(lab.flatten(0, 1)))
        if self.config.unit_length:
            maps = F.normalize(maps, dim=1)
        embeddings: Tensor = maps.unflatten(0, lab.shape[:2])
        return embeddings

    def pointers(self, embeddings: Tensor) -> Tensor:
        """Where the places of the last frame look in those before: [B, P, R]."""
        return self.logits(embeddings).softmax(2)

    def logits(self, embeddings: Tensor) -> Tensor:
        references = embeddings[:, :-1].transpose(1, 2).flatten(2)  # [B, D, (T - 1) h w]
        return likeness(embeddings[:, -1].flatten(2), references, self.config.temperature)

    # -- what can be asked of a trained network

    def encode(self, images: Tensor) -> Tensor:
        """The last stage of the network, averaged over places and frames, [B, D]."""
        return self.layers(images)["pooled"]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        outputs = over_frames(lambda frames: self.encoder.stages(grey(in_lab(frames))), as_clips(images))
        outputs["pooled"] = list(outputs.values())[-1].mean((2, 3))
        return outputs

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        """In the middle square where training sees squares."""
        figures: dict[str, list[Tensor]] = {name: [] for name in self.solved}
        for clips in self.cut(images).split(AT_ONCE):
            shares, colours = self.colour(clips)
            right = colours[:, -1].flatten(1)
            figures["colour"].append((shares.argmax(2) == right).float().mean(1))
            figures["colour_same_place"].append((colours[:, -2].flatten(1) == right).float().mean(1))
        return {name: torch.cat(parts) for name, parts in figures.items()}

    def track(self, clip: Tensor, mask: Tensor) -> Tensor:
        maps = torch.cat([self.embed(in_lab(part)[None])[0] for part in clip.split(AT_ONCE)])
        return follow(maps, maps, mask, temperature=self.config.tracking_temperature, **self.reach)

    def track_pixels(self, clip: Tensor, mask: Tensor) -> Tensor:
        queries, keys, temperature = pixel_maps(clip, self.encoder.stride)
        return follow(queries, keys, mask, temperature=temperature, **self.reach)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield self._colours_panel(batch.images[:SHOWN])
        yield self._pointers_panel(batch.images[:POINTERS])

    def _colours_panel(self, clips: Tensor) -> Panel:
        rows, right = [], []
        for clip in clips.split(1):
            shares, colours = self.colour(clip)
            height, width = colours.shape[2:]
            lab = in_lab(clip)[:, -1]
            ab = (shares @ self.centres).transpose(1, 2).unflatten(2, (height, width))
            fine = F.interpolate(ab, tuple(clip.shape[3:]), mode="bilinear")
            grey_frame = lab_to_rgb(torch.cat((lab[:, :1], torch.zeros_like(fine)), dim=1))
            copy = lab_to_rgb(torch.cat((lab[:, :1], fine), dim=1))
            rows.append(torch.cat((clip[:, -2], grey_frame, copy, clip[:, -1])))
            right.append((shares.argmax(2) == colours[:, -1].flatten(1)).float().mean())
        share = 100 * float(torch.stack(right).mean())
        return grid_panel(
            "copied-colours",
            rows,
            f"{len(rows)} held-out clips: {share:.1f} % of the places get their right one of "
            f"{len(self.centres)} colours",
            labels=("reference", "target", "copied", "truth"),
        )

    def _pointers_panel(self, clips: Tensor) -> Panel:
        """Of each clip the target place that changed most, and where it looks."""
        rows, stride = [], self.encoder.stride
        for clip in clips.split(1):
            embeddings = self.embed(in_lab(clip))
            *_, height, width = embeddings.shape
            change = (clip[:, -1] - clip[:, -2]).abs().mean(1, keepdim=True)
            place = int(F.adaptive_avg_pool2d(change, (height, width)).flatten().argmax())
            looks = self.pointers(embeddings)[0, place].view(-1, 1, height, width)
            seen = lit(clip[0, :-1], looks / looks.max(), POINTER_COLOUR)
            target = clip[0, -1:].clone()
            top, left = place // width * stride, place % width * stride
            marked = target[:, :, top : top + stride, left : left + stride]
            marked.copy_(target.new_tensor(POINTER_COLOUR).view(1, 3, 1, 1).expand_as(marked))
            rows.append(torch.cat((target, seen)))
        count = clips.shape[1] - 1
        return grid_panel(
            "pointers",
            rows,
            "the place of the target that changed most (yellow), and where it looks in the references, "
            "brighter for stronger pointers",
            labels=("target", *(f"reference {number}" for number in range(1, count + 1))),
        )


def grey(lab: Tensor) -> Tensor:
    """The lightness of [N, 3, H, W] in [-1, 1], [N, 1, H, W]."""
    return lab[:, :1] / 50 - 1


def evenly(total: int, most: int) -> Tensor:
    """At most `most` of the numbers 0, ..., total - 1, evenly spread."""
    return torch.linspace(0, total - 1, min(most, total)).round().long()
