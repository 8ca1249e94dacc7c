"""Fine-tuning: what was learned as a start for classes, with layers frozen, kept or drawn anew.

A linear layer is put on a named layer, and trained together with what lies below it. Which layers stay frozen,
which are replaced and which go on learning, at what rate, is said layer by layer (Yosinski et al. 2014,
arXiv:1411.1792, does so layer after layer). Everything happens on copies; the network at hand stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from sslterm.data.store import Store
from sslterm.evaluate.classifier import Classifier, Tuning, accuracy, fine_tune
from sslterm.evaluate.features import Features, Progress, choose_by_class, no_progress
from sslterm.evaluate.linear import fit_linear
from sslterm.evaluate.treatment import copy_for, make_plan, reached_by_layer
from sslterm.methods.base import Method

DRAWS = 3
"""Draws of a few images that the accuracy is the mean over."""

Images = tuple[Store, Tensor]
"""Labelled images, as positions [N] in a store."""


@dataclass(frozen=True)
class Networks:
    """One network in three states.

    Attributes:
        trained, untrained: what is fine-tuned.
        redrawn: gives its weights to layers that are new.
    """

    trained: Method
    untrained: Method
    redrawn: Method


def finetune(
    name: str,
    amount: str,
    networks: Networks,
    train: Images,
    test: Images,
    *,
    learned: Mapping[str, tuple[Features, Features]],
    raw: tuple[Features, Features],
    tuning: Tuning,
    seed: int,
    progress: Progress = no_progress,
) -> Iterator[dict[str, object]]:
    """Fine-tune with a head on each of some layers, beside the untrained network treated in the same way.

    Args:
        name: of the protocol, for the results.
        amount: images of each class (`choose_by_class`); "" takes all. Few are drawn three times.
        learned: what the trained network makes of the images of `train` and `test`, by layer.
        raw: their pixels.

    Yields:
        results as `probe` gives them. `baseline_frozen` and `baseline_pixels` are linear probes of the same
        images.
    """
    labels = learned[next(iter(learned))][0].labels
    draws = _draws(labels, amount, seed)

    def probed(features: tuple[Features, Features]) -> list[float]:
        fit, held = features
        few = [Features(fit.values[draw], fit.labels[draw]) for draw in draws]
        return [fit_linear(part, seed=seed + number).accuracy(held) for number, part in enumerate(few)]

    def tuned(network: Method, layer: str, title: str) -> list[float]:
        of = [f", draw {number} of {len(draws)}" if amount else "" for number in range(1, len(draws) + 1)]
        return [
            fine_tuned_accuracy(
                network, networks.redrawn, layer, (train[0], train[1][draw.cpu()]), test, tuning,
                seed=seed + number, progress=progress, stage=f"{name} on {layer} ({title}{of[number]})",
            )
            for number, draw in enumerate(draws)
        ]  # fmt: skip

    progress(f"{name} on raw pixels", 0, 1)
    on_pixels = probed(raw)
    for layer, features in learned.items():
        accuracies = tuned(networks.trained, layer, "trained")
        result: dict[str, object] = {
            "protocol": name,
            "layer": layer,
            "dimensions": features[0].values.shape[1],
            "accuracy": fmean(accuracies),
            "baseline_pixels": fmean(on_pixels),
            "baseline_pixels_centred": None,
            "baseline_untrained": fmean(tuned(networks.untrained, layer, "untrained")),
            "baseline_frozen": fmean(probed(features)),
            "n_train": len(draws[0]),
            "n_test": len(test[1]),
            "seed": seed,
            "layers": ",".join(tuning.layers),
            "lr": tuning.rate,
            "epochs": tuning.epochs_of(len(draws[0])),
            "augment": "+".join(word for word in ("flip", "shift") if getattr(tuning, word)),
        }
        yield result | ({"std": stdev(accuracies), "draws": len(draws)} if amount else {})


def _draws(labels: Tensor, amount: str, seed: int) -> list[Tensor]:
    """Positions of the images that are trained on: all of them once, or few of them several times."""
    if not amount:
        return [torch.arange(len(labels), device=labels.device)]
    return [choose_by_class(labels, amount, seed=seed + draw) for draw in range(DRAWS)]


def fine_tuned_accuracy(
    method: Method,
    redrawn: Method,
    layer: str,
    train: Images,
    test: Images,
    tuning: Tuning,
    *,
    seed: int,
    progress: Progress = no_progress,
    stage: str = "fine-tuning",
) -> float:
    """Accuracy on held-out images of a copy of `method` with a head on `layer`, fine-tuned.

    Args:
        redrawn: the same network, whose weights stand in for those of layers that are new.

    Raises:
        UsageError: `tuning.layers` names what there is not.
        DivergedError: the loss did.
    """
    store, index = train
    images = store.batch(index[:2]).images
    plan = make_plan(reached_by_layer(method, images), layer, layers=tuning.layers, rate=tuning.rate)
    network = copy_for(plan, method, redrawn)
    classes = int(store.labels[index.to(store.labels.device)].max()) + 1
    classifier = Classifier(network, layer, images, classes).to(store.device)
    fine_tune(classifier, plan, store, index, tuning, seed=seed, progress=progress, stage=stage)
    return accuracy(classifier, *test)
