"""How good a run's samples are: drawn once, with those of the untrained network, and looked at from all sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslterm.catalog import CATALOG
from sslterm.engine.build import build_method
from sslterm.errors import UsageError
from sslterm.evaluate.features import choose, device_of, evaluating, own_randomness, seeded
from sslterm.evaluate.fidelity import LeaveOut, fidelity
from sslterm.evaluate.judge import as_floats
from sslterm.evaluate.memorisation import (
    AROUND,
    Nearest,
    held_out_images,
    memorised_share,
    nearest_training,
)
from sslterm.evaluate.panels import images_panel
from sslterm.evaluate.sampling import SAMPLES, draw_bytes, require_samples
from sslterm.evaluate.train_on_synthetic import teaching
from sslterm.methods.base import Adjustable, Samples
from sslterm.run.panels import Panel
from sslterm.worker.desk import Desk
from sslterm.worker.outputs import Stage, write_output
from sslterm.worker.requests import Evaluate

SUSPECTS = 32
"""Samples shown beside their nearest training images."""


def sample_quality(
    desk: Desk, request: Evaluate, progress: Stage, leave_out: LeaveOut, pictures: list[dict[str, str]]
) -> Iterator[dict[str, Any]]:
    """All figures of the samples; `pictures` gets what was drawn of them.

    Raises:
        UsageError: there are too few samples or held-out images, or samples are not finite.
    """
    method, n, seed = desk.loaded.method, request.n or SAMPLES, request.seed
    assert isinstance(method, Samples)
    require_samples(n, len(desk.test))
    space = desk.space(request.space, progress)
    labels = _classes_to_ask_for(desk, method, n, seed)
    samples = draw_bytes(method, n, seed=seed, labels=labels, progress=progress)
    untrained = _untrained(desk, n, seed, labels, progress)
    about = {"untrained_seed": desk.loaded.experiment.run.seed}
    for row in fidelity(
        space, samples, desk.train, desk.test,
        labels=labels, untrained=untrained, seed=seed, leave_out=leave_out, progress=progress,
    ):  # fmt: skip
        if "histogram" in row:
            _show(desk, _class_shares(desk, row), seed, pictures)
        yield row | about
    if labels is not None:
        for row in teaching(
            samples, labels, desk.train, desk.test,
            classes=desk.loaded.inputs.classes, untrained=untrained, seed=seed, progress=progress,
        ):  # fmt: skip
            yield row | about
    nearest = nearest_training(samples, desk.train, progress=progress)
    yield _memorised(desk, nearest, untrained, seed, progress) | about
    _show(desk, _suspects(desk, samples, nearest, seed), seed, pictures)


def _show(desk: Desk, panel: Panel, seed: int, pictures: list[dict[str, str]]) -> None:
    stem = f"{panel.name}-{desk.loaded.images}-seed{seed}"
    with suppress(OSError):  # a run that is read-only can be evaluated all the same
        path = write_output(desk.run, panel, stem, "")
        pictures.append({"name": panel.name, "path": path, "caption": panel.caption})


def _class_shares(desk: Desk, row: Mapping[str, Any]) -> Panel:
    """How often each class is seen among the samples."""
    shares, real = 100 * np.array(row["histogram"]), 100 * np.array(row["histogram_real"])
    off = int(np.abs(shares - real).argmax())
    known = tuple(desk.loaded.source.class_names)
    names = known if len(known) == len(shares) else tuple(map(str, range(len(shares))))
    return Panel(
        name="class-shares",
        kind="bars",
        array=shares.astype(np.float32),
        caption=(
            f"classes of {row['n']:,} samples (seed {row['seed']}) as {row['space']} sees them, in percent; "
            f"farthest from held-out images: {names[off]}, {shares[off]:.1f} against {real[off]:.1f}"
        ),
        labels=names,
        low=0.0,
        y_label="% of the samples",
    )


def _classes_to_ask_for(desk: Desk, method: Samples, n: int, seed: int) -> Tensor | None:
    """A class for each sample, as often as among the training images; None where samples have no classes."""
    name = desk.loaded.experiment.run.method
    labels = desk.train.labels.cpu()
    known = labels[labels >= 0]
    labelled = len(known) > 0 and bool((desk.test.labels >= 0).any()) and desk.loaded.inputs.classes >= 2
    if not (labelled and name in CATALOG and CATALOG[name].uses_labels):
        return None
    chosen = torch.cat([choose(len(known), None, seed=seed + turn) for turn in range(-(-n // len(known)))])
    classes = known[chosen[:n]]
    device = device_of(desk.loaded.method)
    with evaluating(desk.loaded.method), own_randomness(device, seed):
        try:  # many methods take classes only where their preset says so, and refuse them otherwise
            next(iter(method.sample(1, seeded(device, seed), classes[:1].to(device))))
        except UsageError:
            return None
    return classes


def _untrained(desk: Desk, n: int, seed: int, labels: Tensor | None, progress: Stage) -> Tensor | None:
    """Samples of the network as it was before training, drawn alike; None where they are no numbers yet."""
    method = build_method(desk.loaded.experiment, desk.loaded.inputs).to(desk.device)
    assert isinstance(method, Samples)
    if isinstance(method, Adjustable):
        method.sampling = desk.loaded.method.sampling
    try:
        return draw_bytes(method, n, seed=seed, labels=labels, progress=progress, stage="sampling, untrained")
    except UsageError:
        return None


def _memorised(
    desk: Desk, nearest: Nearest, untrained: Tensor | None, seed: int, progress: Stage
) -> dict[str, Any]:
    held_out = nearest_training(
        held_out_images(desk.test, seed=seed), desk.train, progress=progress, stage="looking near held-out images"
    )  # fmt: skip
    before = None
    if untrained is not None:
        fresh = nearest_training(untrained, desk.train, progress=progress)
        before = memorised_share(fresh, held_out).value
    n = len(nearest.place)
    return {
        "name": f"memorised[pixels]@{n}", "unit": "share (0.05 expected)", "kind": "estimate",
        **memorised_share(nearest, held_out).row(), "floor": memorised_share(held_out, held_out).value,
        "baseline_untrained": before, "n": n, "split": "train", "n_real": len(held_out.place), "seed": seed,
    }  # fmt: skip


def _suspects(desk: Desk, samples: Tensor, nearest: Nearest, seed: int) -> Panel:
    """The samples that stand closest to one training image in particular, each left of it."""
    first = nearest.relative.argsort()[:SUSPECTS]
    twins = desk.train.batch(nearest.place[first]).images
    pairs = torch.stack([as_floats(samples[first.to(samples.device)]).to(twins.device), twins], 1).flatten(
        0, 1
    )
    least, last = (float(nearest.relative[first[end]]) for end in (0, -1))
    caption = (
        f"of {len(samples):,} samples (seed {seed}) the {len(first)} nearest to one training image, each left of it; "
        f"distance over the mean to the nearest {min(AROUND, len(desk.train))}: {least:.2f} to {last:.2f}"
    )
    return images_panel("nearest-training-images", pairs, caption, columns=8)
