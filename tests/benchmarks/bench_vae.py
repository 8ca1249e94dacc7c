"""Engine overhead: images/s of a VAE under the engine, a bare loop, and the loop of pytorch/examples.

    python tests/benchmarks/bench_vae.py            (MNIST from SSLTERM_DATA, or random images of its shape)

Sides over the same images, the same network and the same loss, in short interleaved rounds of one process:

- engine: stream, update and window of `sslterm.engine`, as the trainer runs them, logging included
- bfloat16: the same in the arithmetic that `precision = "auto"` takes where the processor has units for it
- bare:   index, divide, draw bits, loss, backward, fused Adam; nothing else
- loader: the loop of pytorch/examples' VAE (main.py, read 2025-08): a DataLoader without workers over torchvision's
          MNIST with ToTensor, eager Adam, `loss.item()` every step

The exit code is 1 where the median of engine / bare is below 0.95, or that of the faster of the engine's two over
loader below 2.5.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from sslterm.config.resolve import resolve
from sslterm.data.batch import Batch
from sslterm.data.source import Split, load_source
from sslterm.data.store import Store
from sslterm.data.stream import BatchStream
from sslterm.engine.build import build_method
from sslterm.engine.precision import has_bfloat16_units
from sslterm.engine.update import Clock, Updater
from sslterm.errors import SsltermError
from sslterm.methods.base import Inputs, Method

EXPERIMENT = resolve("vae", "mnist", overrides=["method.widths=[400]", "method.latent_dim=20"])
"""The network of pytorch/examples: 784-400-20."""
BATCH = EXPERIMENT.train.batch
CPU = torch.device("cpu")


def mnist_or_noise() -> torch.Tensor:
    """[N, 1, 28, 28] uint8."""
    try:
        return load_source(EXPERIMENT.data).train.images
    except SsltermError:
        return torch.randint(256, (60_000, 1, 28, 28), dtype=torch.uint8)


def build(images: torch.Tensor) -> Method:
    return build_method(EXPERIMENT, Inputs(channels=1, height=28, width=28, train_images=len(images))).train()


def engine_side(images: torch.Tensor, precision: str = "float32") -> Callable[[int], None]:
    method = build(images)
    clock = Clock(total_images=EXPERIMENT.train.images)
    updater = Updater(method, EXPERIMENT, device=CPU, precision=precision, clock=clock)
    store = Store(Split(images, torch.full((len(images),), -1)), CPU)
    stream = BatchStream(store, batch=BATCH, seed=0)

    def run(steps: int) -> None:
        for _ in range(steps):
            method.step(stream, updater)
            clock.step += 1
            clock.images = stream.position
        updater.window.means()

    return run


def bare_side(images: torch.Tensor) -> Callable[[int], None]:
    method = build(images)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-3, fused=True)
    nothing = torch.zeros(BATCH, dtype=torch.long)

    def run(steps: int) -> None:
        order = torch.randperm(len(images))
        for step in range(steps):
            start = step * BATCH % (len(images) - BATCH)
            x = images[order[start : start + BATCH]].float().div_(255)
            loss, _ = method.loss(Batch(x, nothing, nothing))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return run


def torchvision_mnist(images: torch.Tensor) -> MNIST:
    """torchvision's data set over `images`, with ToTensor, as the example makes it."""
    data = MNIST.__new__(MNIST)
    data.data, data.targets = images[:, 0], torch.zeros(len(images), dtype=torch.long)
    data.transform, data.target_transform = ToTensor(), None
    return data


def loader_side(images: torch.Tensor) -> Callable[[int], None]:
    method = build(images)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-3)
    loader = DataLoader(torchvision_mnist(images), batch_size=BATCH, shuffle=True)
    nothing = torch.zeros(BATCH, dtype=torch.long)

    def run(steps: int) -> None:
        total = 0.0
        for x, _ in itertools.islice(loader, steps):
            optimizer.zero_grad()
            loss, _ = method.loss(Batch(x, nothing, nothing))
            loss.backward()
            total += loss.item()
            optimizer.step()

    return run


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    images = mnist_or_noise()
    torch.manual_seed(0)
    sides = {"engine": engine_side(images), "bare": bare_side(images), "loader": loader_side(images)}
    if has_bfloat16_units():
        sides["bfloat16"] = engine_side(images, "bfloat16")
    for run in sides.values():  # warm up
        run(given.steps)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(given.rounds):
        for name in sorted(sides, reverse=turn % 2 == 1):
            start = time.perf_counter()
            sides[name](given.steps)
            rates[name].append(given.steps * BATCH / (time.perf_counter() - start))
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor() or platform.machine()}"
    )
    for name, values in rates.items():
        print(f"{name:9}{spread(values, ',.0f')} img/s")
    ratios = {}
    for ours, peer in itertools.product(("engine", "bfloat16"), ("bare", "loader")):
        if ours in rates:
            pairs = zip(rates[ours], rates[peer], strict=True)
            ratios[ours, peer] = [mine / theirs for mine, theirs in pairs]
            print(f"{ours} / {peer}: {spread(ratios[ours, peer], '.3f')}")
    reached = {pair: statistics.median(values) for pair, values in ratios.items()}
    over_loader = max(value for (_, peer), value in reached.items() if peer == "loader")
    return 0 if reached["engine", "bare"] >= 0.95 and over_loader >= 2.5 else 1


def spread(values: list[float], form: str) -> str:
    """Median, and the middle half."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


if __name__ == "__main__":
    sys.exit(main())
