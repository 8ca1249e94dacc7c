"""Engine overhead: images/s of a VAE under the engine, a bare loop, and the loop of pytorch/examples.

    python tests/benchmarks/bench_vae.py            (MNIST from SSLTERM_DATA, or random images of its shape)

Three sides over the same tensors and the same network code, in interleaved rounds of one process:

- engine: stream, update and window of `sslterm.engine`, as the trainer runs them, logging included
- bare:   index, divide, draw bits, loss, backward, fused Adam; nothing else
- loader: as the VAE of pytorch/examples (main.py, read 2025-08): a DataLoader over per-image ToTensor, eager Adam,
          `loss.item()` every step; grey pixels as targets
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

from sslterm.config.resolve import resolve
from sslterm.data.batch import Batch
from sslterm.data.source import Split, load_source
from sslterm.data.store import Store
from sslterm.data.stream import BatchStream
from sslterm.engine.build import build_method
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


def engine_side(images: torch.Tensor) -> Callable[[int], None]:
    method = build(images)
    clock = Clock(total_images=EXPERIMENT.train.images)
    updater = Updater(method, EXPERIMENT, device=CPU, precision="float32", clock=clock)
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


class _Pictures(Dataset[torch.Tensor]):
    """An image a call, by way of Pillow, as torchvision's MNIST with ToTensor gives it."""

    def __init__(self, images: torch.Tensor) -> None:
        self.arrays = images[:, 0].numpy()

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, position: int) -> torch.Tensor:
        return to_tensor(Image.fromarray(self.arrays[position]))


def loader_side(images: torch.Tensor) -> Callable[[int], None]:
    method = build(images)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-3)
    loader = DataLoader(_Pictures(images), batch_size=BATCH, shuffle=True)
    nothing = torch.zeros(BATCH, dtype=torch.long)

    def run(steps: int) -> None:
        total = 0.0
        for step, x in enumerate(loader):
            if step == steps:
                break
            optimizer.zero_grad()
            loss, _ = method.loss(Batch(x, nothing, nothing))
            loss.backward()
            total += loss.item()
            optimizer.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    images = mnist_or_noise()
    torch.manual_seed(0)
    sides = {"engine": engine_side(images), "bare": bare_side(images), "loader": loader_side(images)}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(given.rounds + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run(given.steps)
            if turn:  # the first round warms up
                rates[name].append(given.steps * BATCH / (time.perf_counter() - start))
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor() or platform.machine()}"
    )
    for name, values in rates.items():
        print(
            f"{name:8} {statistics.median(values):>9,.0f} img/s   ({min(values):,.0f} to {max(values):,.0f})"
        )
    for peer in ("bare", "loader"):
        ratios = [ours / theirs for ours, theirs in zip(rates["engine"], rates[peer], strict=True)]
        print(f"engine / {peer}: {statistics.median(ratios):.3f}   ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
