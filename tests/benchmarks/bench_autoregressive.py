"""Autoregressive densities: images/s of MADE and PixelCNN beside a plain loop, and of painting beside whole passes.

    python tests/benchmarks/bench_autoregressive.py            (MNIST from SSLTERM_DATA, or random images of its shape)

Training, in short interleaved rounds of one process, on the same images, batch and network (the presets `mnist`):

- engine:   stream, update and window of `sslterm.engine`, as the trainer runs them, logging included
- bfloat16: the same in the arithmetic that `precision = "auto"` takes where the processor has units for it
- plain:    the loop of pytorch-generative's trainer (read 2023-09): a DataLoader over torchvision's MNIST with ToTensor
            and a Bernoulli draw, weights multiplied by their mask in place before every use (MADE's masks are
            made once here, there in every step), whole 7x7 and 3x3 windows, eager Adam, `loss.item()` every step

Painting of 64 images of 28x28 by PixelCNN and PixelRNN, against a pass over the whole images for every pixel: of the
latter one row is timed, all rows cost the same, and its pixels must be those that were painted.

The exit code is 1 where the faster of the engine's two is below 1.3 of the plain loop, painting below 5 times the speed
of whole passes, or takes 20 seconds or longer.
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
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, ToTensor

from sslterm.config.resolve import resolve
from sslterm.config.schema import Experiment
from sslterm.data.source import Split, load_source
from sslterm.data.store import Store
from sslterm.data.stream import BatchStream
from sslterm.engine.build import build_method
from sslterm.engine.precision import has_bfloat16_units
from sslterm.engine.update import Clock, Updater
from sslterm.errors import SsltermError
from sslterm.methods.autoregressive.made import MADE
from sslterm.methods.autoregressive.pixel_model import PixelModel
from sslterm.methods.autoregressive.pixelcnn import PixelCNN
from sslterm.methods.base import Inputs, Method

CPU = torch.device("cpu")
PAINTED = 64
PAINTERS = (
    ("pixelcnn", ['method.network="original"']),
    ("pixelcnn", ['method.network="gated"']),
    ("pixelrnn", ['method.recurrence="row"']),
    ("pixelrnn", ['method.recurrence="diagonal"', "method.kernel=0"]),
)


def mnist_or_noise(experiment: Experiment) -> Tensor:
    """[N, 1, 28, 28] uint8."""
    try:
        return load_source(experiment.data).train.images
    except SsltermError:
        return torch.randint(256, (60_000, 1, 28, 28), dtype=torch.uint8)


def build(experiment: Experiment, images: Tensor) -> Method:
    return build_method(experiment, Inputs(channels=1, height=28, width=28, train_images=len(images)))


def engine_side(experiment: Experiment, images: Tensor, precision: str) -> Callable[[int], None]:
    method = build(experiment, images).train()
    clock = Clock(total_images=experiment.train.images)
    updater = Updater(method, experiment, device=CPU, precision=precision, clock=clock)
    store = Store(Split(images, torch.full((len(images),), -1)), CPU)
    stream = BatchStream(store, batch=experiment.train.batch, seed=0)

    def run(steps: int) -> None:
        for _ in range(steps):
            method.step(stream, updater)
            clock.step += 1
            clock.images = stream.position
        updater.window.means()

    return run


# -- the plain side


class MaskedLinear(nn.Linear):
    def __init__(self, mask: Tensor, *, bias: bool = True) -> None:
        super().__init__(mask.shape[1], mask.shape[0], bias=bias)
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data *= self.mask
        return super().forward(x)


class PlainMADE(nn.Module):
    """The network of a `MADE` of one hidden layer."""

    def __init__(self, ours: MADE) -> None:
        super().__init__()
        (hidden,), output, direct = ours.masked_weights(0)
        self.hidden = MaskedLinear((hidden != 0).float())
        self.output = MaskedLinear((output != 0).float())
        self.direct = None if direct is None else MaskedLinear(torch.ones(direct.shape).tril(-1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        logits = self.output(self.hidden(flat).relu())
        return logits if self.direct is None else logits + self.direct(flat)


class MaskedConv(nn.Conv2d):
    def __init__(self, channels: int, out: int, side: int, *, centre: bool) -> None:
        super().__init__(channels, out, side, padding=side // 2)
        mask = torch.zeros_like(self.weight.data)
        mask[:, :, : side // 2] = 1
        mask[:, :, side // 2, : side // 2 + centre] = 1
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data *= self.mask
        return super().forward(x)


class PlainBlock(nn.Module):
    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width // 2, 1),
            nn.ReLU(), MaskedConv(width // 2, width // 2, side, centre=True),
            nn.ReLU(), nn.Conv2d(width // 2, width, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def plain_pixelcnn(config: PixelCNN.Config) -> nn.Module:
    return nn.Sequential(
        MaskedConv(1, config.width, config.first_kernel, centre=False),
        *(PlainBlock(config.width, config.kernel) for _ in range(config.blocks)),
        nn.ReLU(), nn.Conv2d(config.width, config.head, 1),
        nn.ReLU(), nn.Conv2d(config.head, 1, 1),
    )  # fmt: skip


def plain_side(experiment: Experiment, images: Tensor, workers: int) -> Callable[[int], None]:
    ours = build(experiment, images)
    model = PlainMADE(ours) if isinstance(ours, MADE) else plain_pixelcnn(ours.config)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lr_lambda=lambda _: 0.999977)
    data = MNIST.__new__(MNIST)
    data.data, data.targets = images[:, 0], torch.zeros(len(images), dtype=torch.long)
    data.transform, data.target_transform = Compose([ToTensor(), torch.bernoulli]), None
    loader = DataLoader(data, batch_size=experiment.train.batch, shuffle=True, num_workers=workers)

    def run(steps: int) -> None:
        total = 0.0
        for x, _ in itertools.islice(loader, steps):
            optimizer.zero_grad()
            logits = model(x).flatten(1)
            losses = F.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="none")
            loss = losses.sum(1).mean()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()

    return run


# -- what is compared


def train(method: str, rounds: int, steps: int, workers: int) -> float:
    """The faster of the engine's two over the plain loop, the median of rounds."""
    experiment = resolve(method, "mnist")
    images = mnist_or_noise(experiment)
    sides = {
        "engine": engine_side(experiment, images, "float32"),
        "plain": plain_side(experiment, images, workers),
    }
    if has_bfloat16_units():
        sides["bfloat16"] = engine_side(experiment, images, "bfloat16")
    for run in sides.values():  # warm up
        run(steps)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in sorted(sides, reverse=turn % 2 == 1):
            start = time.perf_counter()
            sides[name](steps)
            rates[name].append(steps * experiment.train.batch / (time.perf_counter() - start))
    print(f"training {method}, batch {experiment.train.batch}")
    for name, values in rates.items():
        print(f"  {name:9}{spread(values, ',.0f')} img/s")
    medians = []
    for name in set(rates) - {"plain"}:
        ratios = [ours / theirs for ours, theirs in zip(rates[name], rates["plain"], strict=True)]
        print(f"  {name} / plain: {spread(ratios, '.2f')}")
        medians.append(statistics.median(ratios))
    return max(medians)


@torch.no_grad()
def paint(name: str, overrides: list[str], rounds: int) -> tuple[float, float]:
    """(seconds for the images, how many times whole passes take)."""
    experiment = resolve(name, "mnist", overrides=overrides)
    method = build(experiment, torch.zeros(1)).eval()
    assert isinstance(method, PixelModel)
    for parameter in method.network.head.parameters():  # type: ignore[union-attr]
        nn.init.normal_(parameter, 0.0, 0.1)  # as if trained: the last layer starts at 0
    ours, theirs = [], []
    for turn in range(rounds):
        start = time.perf_counter()
        *_, images = method.sample(PAINTED, torch.Generator().manual_seed(turn))
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        row = paint_a_row_slowly(method, torch.Generator().manual_seed(turn))
        theirs.append(28 * (time.perf_counter() - start))
        assert torch.equal(row, images[:, :, 0]), "both must paint the same"
    ratios = [slow / fast for slow, fast in zip(theirs, ours, strict=True)]
    print(f"painting {PAINTED} images by {name} mnist, {overrides[0]}")
    print(f"  remembered   {spread(ours, '.2f')} s")
    print(f"  whole passes {spread(theirs, '.1f')} s, from one row of 28")
    print(f"  ratio {spread(ratios, '.0f')}")
    return statistics.median(ours), statistics.median(ratios)


def paint_a_row_slowly(method: PixelModel, generator: torch.Generator) -> Tensor:
    x = torch.zeros(PAINTED, 1, 28, 28)
    for column in range(28):
        uniform = torch.rand(PAINTED, 2, generator=generator)
        logits = method.network(x, method.network.context(x))[:, :, 0, column]
        x[:, :, 0, column] = method.values.draw(logits, x[:, :, 0, column], 0, uniform)
    return x[:, :, 0]


def spread(values: list[float], form: str) -> str:
    """Median, and the middle half."""
    if len(values) < 2:
        return f"{values[0]:{form}}"
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--workers", type=int, default=0, help="of the plain loop's DataLoader")
    given = parser.parse_args()
    torch.manual_seed(0)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor() or platform.machine()}"
    )
    fast_enough = True
    for method in ("made", "pixelcnn"):
        fast_enough &= train(method, given.rounds, given.steps, given.workers) >= 1.3
    for name, overrides in PAINTERS:
        seconds, ratio = paint(name, overrides, max(2, given.rounds // 4))
        fast_enough &= ratio >= 5 and seconds < 20
    return 0 if fast_enough else 1


if __name__ == "__main__":
    sys.exit(main())
