"""`sslterm score`: how unlike a density's training images other images are, one by one or a data set at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslterm.data.catalog import SOURCES
from sslterm.data.source import Source, Split
from sslterm.data.store import Store
from sslterm.errors import UsageError
from sslterm.evaluate.features import choose
from sslterm.evaluate.likelihood import (
    FEW_BETAS,
    Unnormalized,
    in_bits,
    log_probs,
    log_z_of,
    name_of,
)
from sslterm.evaluate.outliers import (
    SCORES,
    Scored,
    area_under_roc,
    compressed_bits,
    scores_of,
    share_as_unlike,
)
from sslterm.methods.base import Likelihood
from sslterm.run.panels import Panel
from sslterm.worker.desk import Desk, other_source, read_image
from sslterm.worker.outputs import Report, Stage, stages, write_output
from sslterm.worker.requests import Score

HELD_OUT = 1000
BINS = 40


class _Scorer:
    """A run's density, and how held-out images lie under it."""

    def __init__(self, desk: Desk, request: Score, progress: Stage) -> None:
        method = desk.loaded.method
        if not isinstance(method, Likelihood):
            raise UsageError(
                f"{desk.loaded.experiment.run.method} is no density: it says of no image how likely it is",
                desk.cannot("score").hint,
            )
        self.method, self.seed, self.progress = method, request.seed, progress
        self.log_z = None
        if isinstance(method, Unnormalized):
            self.log_z = log_z_of(method, seed=request.seed, betas=FEW_BETAS, progress=progress)
        self.index = choose(len(desk.test), request.n or HELD_OUT, seed=request.seed)
        self.held_out = self.of(desk.test, self.index)
        self.scores = scores_of(self.held_out, self.held_out)

    def of(self, store: Store, index: Tensor) -> Scored:
        nats = -log_probs(self.method, store, index, seed=self.seed, log_z=self.log_z, progress=self.progress)
        bits = compressed_bits(store.images[index.to(store.images.device)]) if in_bits(self.method) else None
        return Scored(nats, bits)

    def of_pixels(self, pixels: Tensor, device: torch.device) -> Scored:
        """Of images [N, C, H, W] uint8."""
        split = Split(pixels, torch.full((len(pixels),), -1))
        return self.of(Store(split, device), torch.arange(len(pixels)))


def _drawn(source: Source, n: int, *, seed: int, whole: bool) -> Tensor:
    """At most n images [N, C, H, W] uint8: held-out ones, or of a `whole` folder any, which no training has seen."""
    parts = [source.train.images, source.test.images] if whole else [source.test.images]
    index = choose(sum(map(len, parts)), n, seed=seed).cpu()
    first = len(parts[0])
    return torch.cat(
        [parts[0][index[index < first]], *(part[index[index >= first] - first] for part in parts[1:])]
    )


def score(desk: Desk, request: Score, report: Report) -> dict[str, Any]:
    """Likelihoods and scores of pictures beside those of held-out images, and of another data set.

    Raises:
        UsageError: the method is no density, or there is nothing to score.
        DataError: a picture or the data set is missing or damaged.
    """
    if not request.images and not request.data:
        raise UsageError("there is nothing to score", "give pictures, or --data with a data set or a folder")
    progress = stages(report)
    shape = desk.loaded.inputs.shape
    pictures = [read_image(Path(name), shape) for name in request.images]
    other = other_source(desk, request.data, progress) if request.data else None
    scorer = _Scorer(desk, request, progress)
    values = math.prod(shape)

    def about(nats: Tensor) -> dict[str, float]:
        mean = float(nats.mean())
        return {"nats": mean, "bits_per_dim": mean / (values * math.log(2))}

    found: dict[str, Any] = {
        "data": desk.data, "images": desk.loaded.images, "name": name_of(scorer.method),
        "kind": scorer.method.likelihood_kind, "protocol": scorer.method.likelihood_protocol,
        "seed": request.seed, "held_out": {"n": len(scorer.index), **about(scorer.held_out.nats)},
        "results": [], "other": None, "path": None,
    }  # fmt: skip
    if pictures:
        pixels = (torch.cat(pictures) * 255).round().to(torch.uint8)
        seen = scorer.of_pixels(pixels, desk.device)
        scores = scores_of(seen, scorer.held_out)
        found["results"] = [
            {
                "image": name, **about(seen.nats[place]),
                "as_unlike": {
                    which: share_as_unlike(float(scores[which][place]), scorer.scores[which])
                    if which in scores
                    else None
                    for which in SCORES
                },
            }
            for place, name in enumerate(request.images)
        ]  # fmt: skip
    if other is not None:
        pixels = _drawn(other, request.n or HELD_OUT, seed=request.seed, whole=request.data not in SOURCES)
        seen = scorer.of_pixels(pixels, desk.device)
        scores = scores_of(seen, scorer.held_out)
        areas = {which: area_under_roc(scores[which], scorer.scores[which]) for which in scores}
        found["other"] = {
            "data": other.name, "n": len(pixels), **about(seen.nats),
            "auroc": {
                which: dict(zip(("value", "standard_error"), areas[which], strict=True)) if which in areas else None
                for which in SCORES
            },
        }  # fmt: skip
        panel = _histogram(scorer.held_out.nats, seen.nats, (desk.data, other.name), values, found)
        stem = f"scores-{desk.loaded.images}-{other.name}"
        found["path"] = write_output(desk.run, panel, stem, request.out)
    return found


def _histogram(
    held_out: Tensor, other: Tensor, names: tuple[str, str], values: int, found: dict[str, Any]
) -> Panel:
    """Shares of images by their bits/dim or nats: two curves over the same bins."""
    unit, factor = (
        ("bits/dim", 1 / (values * math.log(2))) if found["protocol"].startswith("8-bit") else ("nats", 1.0)
    )
    both = torch.cat([held_out, other]) * factor
    low, high = float(both.min()), float(both.max())
    high = high if high > low else low + 1.0
    counts = [torch.histc(nats * factor, BINS, low, high) for nats in (held_out, other)]
    shares = torch.stack([100 * count / count.sum() for count in counts])
    half = (high - low) / (2 * BINS)
    area = found["other"]["auroc"]["likelihood"]["value"]
    return Panel(
        name="scores",
        kind="curve",
        array=shares.float().numpy(),
        caption=(
            f"{found['name']} of {len(held_out):,} held-out images of {names[0]} and {len(other):,} of {names[1]}: "
            f"{names[1]} is less likely in {100 * area:.1f} % of pairs (seed {found['seed']})"
        ),
        low=0.0,
        labels=(f"{names[0]}, held out", names[1]),
        x_label=f"{found['name'].rpartition('_nats')[0] or found['name']}, {unit}",
        y_label="% of the images",
        x_range=(low + half, high - half),
    )
