"""Probes: how well classes can be read off frozen features, beside raw pixels and the untrained network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from sslterm.data.store import Store
from sslterm.errors import DataError, UsageError, did_you_mean
from sslterm.evaluate.features import (
    Features,
    Progress,
    choose,
    device_of,
    encode,
    encode_layers,
    no_progress,
    own_randomness,
    pixels,
)
from sslterm.evaluate.knn import NEIGHBOURS, TEMPERATURE, centred, knn_accuracy
from sslterm.evaluate.linear import fit_linear
from sslterm.methods.base import Encodes, Method
from sslterm.run.results import ENCODER

LOWSHOT_IMAGES = 10
"""Labelled images of each class in the low-shot protocol."""
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


def knn(train: Features, test: Features, *, seed: int) -> Score:
    """k = 20 weighted neighbours under the cosine."""
    return Score(knn_accuracy(train, test), len(train.values))


def linear(train: Features, test: Features, *, seed: int) -> Score:
    """Logistic regression on standardised features."""
    return Score(fit_linear(train, seed=seed).accuracy(test), len(train.values))


def lowshot(train: Features, test: Features, *, seed: int) -> Score:
    """Logistic regression on ten labelled images of each class, mean over five draws."""
    accuracies, used = [], 0
    for draw in range(LOWSHOT_DRAWS):
        order = choose(len(train.labels), None, seed=seed + draw).to(train.labels.device)
        classes = torch.unique(train.labels).tolist()
        few = torch.cat([order[train.labels[order] == label][:LOWSHOT_IMAGES] for label in classes])
        used = len(few)
        subset = Features(train.values[few], train.labels[few])
        accuracies.append(fit_linear(subset, seed=seed + draw).accuracy(test))
    spread = torch.tensor(accuracies, dtype=torch.float64)
    return Score(float(spread.mean()), used, float(spread.std()))


PROTOCOLS: Mapping[str, Callable[..., Score]] = {"knn": knn, "linear": linear, "lowshot": lowshot}


def probe(
    method: Method,
    untrained: Method,
    train: Store,
    test: Store,
    *,
    protocols: Sequence[str] = ("knn", "linear"),
    layers: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Iterator[dict[str, object]]:
    """Classify `test` from features of `train`; all three columns see the same images.

    Args:
        method: can encode.
        untrained: the same network as it was before training.
        protocols: of `PROTOCOLS`.
        layers: names of `method.layers`; () means all of them; None means what `encode` gives.
        seed: of subsets and splits.

    Yields:
        {protocol, layer, accuracy, baseline_pixels, baseline_pixels_centred, baseline_untrained, n_train,
        n_test, ...}: accuracies are shares of 1; the centred pixels are given for knn alone, as a linear
        probe is centred anyway.

    Raises:
        UsageError: an unknown protocol or layer.
        DataError: the images have no labels.
    """
    assert isinstance(method, Encodes)
    assert isinstance(untrained, Encodes)
    for name in protocols:
        if name not in PROTOCOLS:
            raise UsageError(f"there is no protocol {name!r}", did_you_mean(name, PROTOCOLS))
    train_index, test_index = _labelled(train, "training", seed), _labelled(test, "test", seed)

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
    for name in protocols:
        protocol = PROTOCOLS[name]
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
                result |= {"std": score.std, "draws": LOWSHOT_DRAWS}
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
