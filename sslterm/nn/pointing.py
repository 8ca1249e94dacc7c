"""Places of a frame that point to places of other frames, and copy from there what is known of them.

Vondrick et al. 2018, arXiv:1806.09594, Eq. 1 and 2. Shapes: T frames, K labels, D features, maps of h x w
places; P target and R reference places.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.nn.precision import in_float32

CHUNK_VALUES = 1 << 24
"""Most similarities at once while labels are propagated."""
PIXEL_SCALE = 0.1
"""Root mean square difference of raw pixels, in [0, 1], that weakens a pointer by exp(-1/2)."""


@in_float32
def likeness(target: Tensor, references: Tensor, temperature: float) -> Tensor:
    """f_i f_j / temperature, with j the target place: the logarithms of pointers but for a number of each place.

    Args:
        target: [B, D, P].
        references: [B, D, R].

    Returns:
        [B, P, R].
    """
    return target.transpose(1, 2) @ references / temperature


def point(target: Tensor, references: Tensor, temperature: float) -> Tensor:
    """A_ij = exp(f_i f_j / temperature) / sum_k exp(f_k f_j / temperature), with j the target place (Eq. 2).

    Args:
        target: [B, D, P].
        references: [B, D, R].

    Returns:
        [B, P, R]; rows sum to 1.
    """
    return likeness(target, references, temperature).softmax(2)


@in_float32
def copied(pointers: Tensor, references: Tensor, colours: int) -> Tensor:
    """y = A c: how much of each colour a place copies (Eq. 1), [B, P, K].

    Args:
        pointers: [B, P, R].
        references: [B, R] int64.
    """
    return pointers @ F.one_hot(references, colours).to(pointers)


@in_float32
def propagate(
    queries: Tensor,
    keys: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    recent: int,
    radius: int,
    strongest: int,
) -> Tensor:
    """Copy the labels of the first frame through a clip, frame after frame, from what they were copied to.

    Every place of frame t points to the first frame and to the last `recent` ones before t.

    Args:
        queries, keys: [T, D, h, w]: the similarity of a place to one of another frame is a product of theirs.
        labels: [K, h, w] of the first frame.
        radius: how far, in places, a place looks into other frames; 0 is everywhere.
        strongest: how many of its strongest pointers a place copies through; 0 is all.

    Returns:
        [T, K, h, w].
    """
    frames, _, height, width = queries.shape
    near = _window(height, width, radius, queries.device)
    known = [labels.to(queries).flatten(1)]  # [K, P] each
    for t in range(1, frames):
        references = sorted({0, *range(max(0, t - recent), t)})
        past = torch.cat([keys[reference].flatten(1) for reference in references], dim=1)  # [D, R * P]
        values = torch.cat([known[reference] for reference in references], dim=1)  # [K, R * P]
        target = queries[t].flatten(1).T / temperature  # [P, D]
        rows = torch.arange(len(target), device=target.device)
        parts = [
            _copy(target[part] @ past, values, None if near is None else near[part], len(target), strongest)
            for part in rows.split(max(1, CHUNK_VALUES // past.shape[1]))
        ]
        known.append(torch.cat(parts, dim=1))
    labelled: Tensor = torch.stack(known).unflatten(2, (height, width))
    return labelled


def _copy(logits: Tensor, values: Tensor, near: Tensor | None, places: int, strongest: int) -> Tensor:
    """What places copy along pointers with logits [p, N] out of values [K, N], N = R * places: [K, p].

    Args:
        near: [p, S], the places of a reference that each of them may look at, -1 for none; None is all.
    """
    if near is None:
        if not 0 < strongest < logits.shape[1]:
            return values @ logits.softmax(1).T
        kept = logits.topk(strongest, dim=1)
        return (values[:, kept.indices] * kept.values.softmax(1)).sum(2)
    first = torch.arange(0, logits.shape[1], places, device=near.device)  # of each reference
    leads = (first[:, None] + near[:, None].clamp_min(0)).flatten(1)  # [p, R * S]: where in N
    allowed = (near >= 0).repeat(1, len(first))
    logits = logits.gather(1, leads).masked_fill(~allowed, float("-inf"))
    if 0 < strongest < logits.shape[1]:
        logits, kept_places = logits.topk(strongest, dim=1)
        leads = leads.gather(1, kept_places)
    return (values[:, leads] * logits.softmax(1)).sum(2)


def _window(height: int, width: int, radius: int, device: torch.device) -> Tensor | None:
    """The places at most `radius` rows and columns from each, [P, S], -1 beyond the border; None where all are."""
    if radius == 0 or radius >= max(height, width):
        return None
    offsets = torch.arange(-radius, radius + 1, device=device)
    y = torch.arange(height, device=device)[:, None, None, None] + offsets[:, None]  # [h, 1, s, 1]
    x = torch.arange(width, device=device)[:, None, None] + offsets  # [w, 1, s]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    places = torch.where(inside, y * width + x, -1)
    return places.flatten(2).flatten(0, 1)


def follow(
    queries: Tensor,
    keys: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    recent: int,
    radius: int,
    strongest: int,
) -> Tensor:
    """Propagate a mask of the first frame at its own resolution: [K, H, W] -> [T, K, H, W] in [0, 1].

    Args:
        queries, keys, and the rest: as in `propagate`.
    """
    coarse = F.adaptive_avg_pool2d(mask.float(), (queries.shape[2], queries.shape[3]))
    labels = propagate(
        queries, keys, coarse, temperature=temperature, recent=recent, radius=radius, strongest=strongest
    )
    fine = F.interpolate(labels, tuple(mask.shape[1:]), mode="bilinear").clamp(0, 1)
    fine[0] = mask
    return fine


def pixel_maps(clip: Tensor, side: int) -> tuple[Tensor, Tensor, float]:
    """Raw pixels as features: queries, keys and the temperature under which pointers fall with squared difference.

    q k = x y - |y|^2 / 2, which is -|x - y|^2 / 2 but for a number that is the same for all y.

    Args:
        clip: [T, C, H, W].
        side: of a place, in pixels.

    Returns:
        queries, keys: [T, C * side^2 + 1, h, w].
    """
    height, width = clip.shape[2:]
    padded = F.pad(clip, (0, -width % side, 0, -height % side), mode="replicate")
    pixels = F.pixel_unshuffle(padded, side)
    queries = torch.cat((pixels, torch.ones_like(pixels[:, :1])), dim=1)
    keys = torch.cat((pixels, -0.5 * pixels.square().sum(1, keepdim=True)), dim=1)
    return queries, keys, pixels.shape[1] * PIXEL_SCALE**2
