"""What class-conditional samples teach: a classifier trained on them, tested on real images.

"Train on synthetic, test on real" (Esteban et al. 2017, arXiv:1706.02633), the classification accuracy score of
Ravuri & Vinyals 2019, arXiv:1905.10887. It falls where samples are not of the class that was asked for, where they
are not varied, and where they do not look real: no single one of the distances sees all three.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sslterm.data.source import Split
from sslterm.data.store import Store
from sslterm.evaluate.distances import Estimate, share_of
from sslterm.evaluate.features import Progress, choose, no_progress, own_randomness
from sslterm.evaluate.judge import Judge, count_right, train_judge, width_for


def accuracy_after(
    images: Tensor,
    labels: Tensor,
    test: Store,
    *,
    classes: int,
    seed: int = 0,
    progress: Progress = no_progress,
    stage: str = "training on samples",
) -> Estimate:
    """Accuracy on `test` of the judge's network, trained as judges are on `images` and their `labels` alone.

    Args:
        images: uint8 [N, C, H, W].
        labels: [N].
    """
    taught = Store(Split(images.cpu(), labels.cpu()), test.device)
    with own_randomness(test.device, seed):
        pupil = Judge(images.shape[1], classes, width_for(test)).to(test.device)
        train_judge(pupil, taught, torch.arange(len(images)), progress=progress, stage=stage)
    return share_of(*count_right(pupil, test))


def teaching(
    samples: Tensor,
    labels: Tensor,
    train: Store,
    test: Store,
    *,
    classes: int,
    untrained: Tensor | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Iterator[dict[str, Any]]:
    """`TSTR@N`: accuracy on held-out images of a classifier that has seen nothing but samples and their classes.

    Its floor is that of the same classifier trained on as many real images.
    """
    known = (train.labels.cpu() >= 0).nonzero().squeeze(1)
    index = known[choose(len(known), len(samples), seed=seed)].to(train.images.device)
    sides = {
        "samples": (samples, labels),
        "real images": (train.images[index], train.labels[index.to(train.labels.device)]),
    } | ({} if untrained is None else {"untrained samples": (untrained, labels)})
    found = [
        accuracy_after(
            images, truth, test, classes=classes, seed=seed, progress=progress, stage=f"training on {what}"
        )
        for what, (images, truth) in sides.items()
    ]  # fmt: skip
    yield {
        "name": f"TSTR@{len(samples)}", "unit": "share", "kind": "estimate", **found[0].row(),
        "floor": found[1].value, "baseline_untrained": found[2].value if untrained is not None else None,
        "n": len(samples), "split": "test", "n_real": len(test), "n_floor": len(index), "seed": seed,
    }  # fmt: skip
