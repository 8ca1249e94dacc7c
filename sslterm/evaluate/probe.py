"""Probes: how well classes can be read off frozen features, beside raw pixels and the untrained network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from sslterm.data.store import Store
from sslterm.errors import DataError, UsageError, did_you_mean
from sslterm.evaluate.classifier import Tuning
from sslterm.evaluate.features import (
    Features,
    Progress,
    choose,
    choose_by_class,
    device_of,
    encode,
    encode_layers,
    no_progress,
    own_randomness,
    pixels,
)
from sslterm.evaluate.finetune import Networks, finetune
from sslterm.evaluate.knn import NEIGHBOURS, TEMPERATURE, centred, knn_accuracy
from sslterm.evaluate.linear import fit_linear
from sslterm.evaluate.linear_sgd import fit_linear_sgd
from sslterm.evaluate.treatment import make_plan, reached_by_layer
from sslterm.methods.base import Encodes, Method
from sslterm.run.results import ENCODER

LOWSHOT, FINETUNE = "lowshot", "finetune"
LOWSHOT_AMOUNT = "10"
"""Labelled images of each class in the low-shot protocol, where it does not say how many."""
LOWSHOT_DRAWS = 5
"""Draws of those images that the accuracy is the mean over."""
_MOST_PIXELS = 2**30
"""Raw pixel values held at a time (4 GiB); beyond it fewer images take part, and the results say how many."""


@dataclass(frozen=True)
class Score:
    """One protocol on one set of features."""

    accuracy: float
    n_train: int
    std: float | None = None
    """Standard deviation over draws, where there are several."""
    draws: int | None = None
    rate: float | None = None
    """The learning rate that was chosen, where there was one."""


def knn(train: Features, test: Features, *, seed: int) -> Score:
    """k = 20 weighted neighbours under the cosine."""
    return Score(knn_accuracy(train, test), len(train.values))


def linear(train: Features, test: Features, *, seed: int) -> Score:
    """Logistic regression on standardised features."""
    return Score(fit_linear(train, seed=seed).accuracy(test), len(train.values))


def linear_sgd(train: Features, test: Features, *, seed: int) -> Score:
    """A last layer by momentum SGD, the best of a sweep of rates."""
    classifier, rate = fit_linear_sgd(train, seed=seed)
    return Score(classifier.accuracy(test), len(train.values), rate=rate)


def lowshot(train: Features, test: Features, *, seed: int, amount: str = LOWSHOT_AMOUNT) -> Score:
    """Logistic regression on few labelled images, mean over five draws.

    Args:
        amount: of each class: a number ("10"), or a share ("1%", at least one image).
    """
    accuracies, used = [], 0
    for draw in range(LOWSHOT_DRAWS):
        few = choose_by_class(train.labels, amount, seed=seed + draw)
        used = len(few)
        subset = Features(train.values[few], train.labels[few])
        accuracies.append(fit_linear(subset, seed=seed + draw).accuracy(test))
    return _mean_score(accuracies, used)


def _mean_score(accuracies: Sequence[float], n_train: int) -> Score:
    """Of several draws."""
    spread = torch.tensor(accuracies, dtype=torch.float64)
    return Score(float(spread.mean()), n_train, float(spread.std()), len(accuracies))


PROTOCOLS: Mapping[str, Callable[..., Score]] = {
    "knn": knn,
    "linear": linear,
    "linear-sgd": linear_sgd,
    LOWSHOT: lowshot,
}
"""Of frozen features, by name; lowshot may say how many images: lowshot@5 of each class, lowshot@1%. Beside them
there is `finetune`, which may say so too."""


def find_protocol(name: str) -> tuple[str, str]:
    """The protocol that `name` means, and how many images of each class ("" for all).

    Raises:
        UsageError: there is none.
    """
    base, at, amount = name.partition("@")
    known = (*PROTOCOLS, FINETUNE)
    if base not in known or (at and base not in (LOWSHOT, FINETUNE)):
        raise UsageError(f"there is no protocol {name!r}", did_you_mean(name, known))
    share = re.fullmatch(r"(\d+(?:\.\d+)?)%", amount)
    if at and not (re.fullmatch(r"[1-9]\d*", amount) or (share and 0 < float(share[1]) <= 100)):
        raise UsageError(
            f"{name}: {amount!r} is no number of images of each class, and no share of them",
            f"write {base}@10, or {base}@1%",
        )
    return base, amount


def probe(
    method: Method,
    untrained: Method,
    train: Store,
    test: Store,
    *,
    protocols: Sequence[str] = ("knn", "linear"),
    layers: Sequence[str] | None = None,
    tuning: Tuning | None = None,
    redrawn: Method | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Iterator[dict[str, object]]:
    """Classify `test` after `train`; all columns see the same images.

    Args:
        method: can encode.
        untrained: the same network as it was before training.
        protocols: of `PROTOCOLS`, on frozen features, and `finetune`.
        layers: names of `method.layers`; () means all of them; None means what `encode` gives.
        tuning: how `finetune` trains.
        redrawn: the same network with other random weights, for layers that are new; `untrained` without it.
        seed: of subsets, splits and the order of images.

    Yields:
        {protocol, layer, accuracy, baseline_pixels, baseline_pixels_centred, baseline_untrained, n_train,
        n_test, ...}: accuracies are shares of 1; the centred pixels are given for knn alone, as a linear
        probe is centred anyway. For `finetune`, the pixels and baseline_frozen, the layer's features as they
        are, are under a linear probe, and the untrained network is fine-tuned in the same way.

    Raises:
        UsageError: an unknown protocol or layer.
        DataError: the images have no labels.
        DivergedError: fine-tuning did.
    """
    assert isinstance(method, Encodes)
    assert isinstance(untrained, Encodes)
    found = {name: find_protocol(name) for name in protocols}
    train_index, test_index = _labelled(train, "training", seed), _labelled(test, "test", seed)
    tuning = tuning or Tuning()
    if any(
        base == FINETUNE for base, _ in found.values()
    ):  # what cannot be is said before anything is computed
        images = train.batch(train_index[:2]).images
        reached = reached_by_layer(method, images)
        for layer in (
            (ENCODER,) if layers is None else layers or (name for name in reached if name != ENCODER)
        ):
            make_plan(reached, layer, layers=tuning.layers, rate=tuning.rate)

    def features(network: Encodes, title: str) -> dict[str, tuple[Features, Features]]:
        if layers is None:
            progress(f"encoding ({title})", 0, 1)
            return {ENCODER: (encode(network, train, train_index), encode(network, test, test_index))}
        fit, held = (
            encode_layers(network, store, index, names=layers, progress=progress, stage=f"encoding ({title})")
            for store, index in ((train, train_index), (test, test_index))
        )
        return {name: (fit[name], held[name]) for name in fit}

    with own_randomness(device_of(method), seed):
        trained, fresh = features(method, "trained"), features(untrained, "untrained")
        raw = pixels(train, train_index), pixels(test, test_index)
    for name, (base, amount) in found.items():
        if base == FINETUNE:
            networks = Networks(method, untrained, redrawn or untrained)
            with own_randomness(device_of(method), seed):
                yield from finetune(
                    name, amount, networks, (train, train_index), (test, test_index),
                    learned=trained, raw=raw, tuning=tuning, seed=seed, progress=progress,
                )  # fmt: skip
            continue
        protocol = partial(PROTOCOLS[base], amount=amount) if amount else PROTOCOLS[base]
        progress(f"{name} on raw pixels", 0, 1)
        on_pixels = protocol(*raw, seed=seed)
        on_centred = protocol(*centred(*raw), seed=seed) if name == "knn" else None
        for layer, learned in trained.items():
            progress(f"{name} on {layer}", 0, 1)
            score = protocol(*learned, seed=seed)
            result: dict[str, object] = {
                "protocol": name,
                "layer": layer,
                "dimensions": learned[0].values.shape[1],
                "accuracy": score.accuracy,
                "baseline_pixels": on_pixels.accuracy,
                "baseline_pixels_centred": on_centred.accuracy if on_centred else None,
                "baseline_untrained": protocol(*fresh[layer], seed=seed).accuracy,
                "n_train": score.n_train,
                "n_test": len(learned[1].labels),
                "seed": seed,
            }
            if name == "knn":
                result |= {"k": NEIGHBOURS, "temperature": TEMPERATURE}
            if score.std is not None:
                result |= {"std": score.std, "draws": score.draws}
            if score.rate is not None:
                result["lr"] = score.rate
            yield result


def _labelled(store: Store, split: str, seed: int) -> torch.Tensor:
    """Positions of the images whose class is known: all of them, or as many (drawn) as memory holds."""
    known = (store.labels.cpu() >= 0).nonzero().squeeze(1)
    if len(known) == 0:
        raise DataError(
            f"the {split} images have no labels to probe with",
            "name a labelled data set with --data, or sort the folder into one folder per class",
        )
    values = max(1, store.batch(known[:1]).images[0].numel())
    if len(known) * values <= _MOST_PIXELS:
        return known
    return known[choose(len(known), _MOST_PIXELS // values, seed=seed)]
