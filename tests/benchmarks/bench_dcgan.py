"""DCGAN's training: images/s under the engine against the loop of pytorch/examples, and how soon samples are drawn.

    python tests/benchmarks/bench_dcgan.py            (MNIST from SSLTERM_DATA, or random images of its shape)

Sides over the same images at 32 pixels, the same networks from the same weights and the same batch, in short
interleaved rounds of one process:

- engine:  store, stream and update of `sslterm.engine`, weights in channels_last, as the trainer runs them, in float32
- bfloat16: the same in the arithmetic that `precision = "auto"` takes where the processor has units for it
- loader:  the loop of pytorch/examples' DCGAN (dcgan/main.py): a DataLoader with two workers over
           torchvision's MNIST with Resize, ToTensor and Normalize, probabilities and BCELoss, the discriminator's
           real and generated batches differentiated one after the other, eager Adam, five `item()` every step

Then 1,000 digits of every GAN's `digits` preset are drawn, as `sample` draws them. The exit code is 1 where the
median of the faster of the engine's two over loader is below 1.5, or a GAN takes a second or more.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from sslterm.catalog import CATALOG
from sslterm.config.resolve import resolve
from sslterm.data.source import Split, load_source
from sslterm.data.store import Store
from sslterm.data.stream import BatchStream
from sslterm.engine.build import build_method, inputs_of
from sslterm.engine.precision import has_bfloat16_units
from sslterm.engine.update import Clock, Updater
from sslterm.errors import SsltermError
from sslterm.evaluate.sampling import draw_samples
from sslterm.methods.adversarial.dcgan import DCGAN
from sslterm.methods.base import Inputs, Samples

EXPERIMENT = resolve("dcgan", "mnist")
BATCH, SIDE = EXPERIMENT.train.batch, EXPERIMENT.data.size
CPU = torch.device("cpu")
TARGET = 1.5
"""Images a second, as a multiple of the example's."""
WORKERS = 2
SAMPLES, SECONDS = 1000, 1.0
"""So many digits of any GAN are drawn in less than this."""


def mnist_or_noise() -> tuple[Tensor, Tensor]:
    """[N, 28, 28] uint8 as the files hold them, and [N, 1, 32, 32] as the engine reads them."""
    try:
        whole = load_source(resolve("dcgan", "mnist", overrides=["data.size=28"]).data).train.images[:, 0]
        return whole, load_source(EXPERIMENT.data).train.images
    except SsltermError:
        whole = torch.randint(256, (60_000, 28, 28), dtype=torch.uint8)
        return whole, nn.functional.pad(whole, (2, 2, 2, 2))[:, None]


def build() -> DCGAN:
    torch.manual_seed(0)
    method = build_method(
        EXPERIMENT, Inputs(channels=1, height=SIDE, width=SIDE, train_images=60_000)
    ).train()
    assert isinstance(method, DCGAN)
    return method


def engine_side(images: Tensor, precision: str) -> Callable[[int], None]:
    method = build().to(memory_format=torch.channels_last)
    clock = Clock(total_images=EXPERIMENT.train.images)
    updater = Updater(method, EXPERIMENT, device=CPU, precision=precision, clock=clock)
    stream = BatchStream(Store(Split(images, torch.full((len(images),), -1)), CPU), batch=BATCH, seed=0)

    def run(steps: int) -> None:
        for _ in range(steps):
            method.step(stream, updater)
            clock.step, clock.images = clock.step + 1, stream.position
        updater.window.means()

    return run


def torchvision_mnist(images: Tensor) -> MNIST:
    """torchvision's data set over `images` [N, 28, 28], with the example's transforms."""
    data = MNIST.__new__(MNIST)
    data.data, data.targets = images, torch.zeros(len(images), dtype=torch.long)
    data.transform = Compose([Resize(SIDE), ToTensor(), Normalize((0.5,), (0.5,))])
    data.target_transform = None
    return data


def endless(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
    while True:
        for x, _ in loader:
            yield x


def loader_side(images: Tensor) -> Callable[[int], None]:
    method = build()
    generator, discriminator = method.generator, method.discriminator
    players = {"d": discriminator, "g": generator}
    adam = {
        name: torch.optim.Adam(player.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for name, player in players.items()
    }
    judge = nn.BCELoss()
    data = torchvision_mnist(images)
    batches = endless(
        DataLoader(
            data, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
        )
    )

    def run(steps: int) -> None:
        for x in itertools.islice(batches, steps):
            ones, zeros = torch.ones(len(x)), torch.zeros(len(x))
            discriminator.zero_grad()
            real = discriminator(x).sigmoid()
            loss_real = judge(real, ones)
            loss_real.backward()
            fakes = generator(torch.randn(len(x), method.latent_dim))
            before = discriminator(fakes.detach()).sigmoid()
            loss_fake = judge(before, zeros)
            loss_fake.backward()
            adam["d"].step()
            generator.zero_grad()
            after = discriminator(fakes).sigmoid()
            loss = judge(after, ones)
            loss.backward()
            adam["g"].step()
            for shown in (loss_real + loss_fake, loss, real.mean(), before.mean(), after.mean()):
                shown.item()

    return run


def gans() -> Iterator[str]:
    return (name for name, entry in CATALOG.items() if "adversarial" in entry.target)


def seconds_to_sample(name: str) -> float:
    """For 1,000 digits by a new network of the preset, which makes BigGAN's statistics too: the best of three."""
    experiment = resolve(name, "digits")
    inputs = inputs_of(experiment, load_source(experiment.data))

    def once() -> float:
        method = build_method(experiment, inputs).eval()
        assert isinstance(method, Samples)
        start = time.perf_counter()
        draw_samples(method, SAMPLES, seed=0)
        return time.perf_counter() - start

    return min(once() for _ in range(3))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    as_read, images = mnist_or_noise()
    sides = {"engine": engine_side(images, "float32"), "loader": loader_side(as_read)}
    if has_bfloat16_units():
        sides["bfloat16"] = engine_side(images, "bfloat16")
    for run in sides.values():  # warm up
        run(2)
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
    reached = 0.0
    for name in sides.keys() - {"loader"}:
        ratios = [mine / theirs for mine, theirs in zip(rates[name], rates["loader"], strict=True)]
        reached = max(reached, statistics.median(ratios))
        print(f"{name} / loader: {spread(ratios, '.2f')}")
    slowest = 0.0
    for name in gans():
        seconds = seconds_to_sample(name)
        slowest = max(slowest, seconds)
        print(f"{SAMPLES:,} digits of {name}: {seconds:.2f} s")
    return 0 if reached >= TARGET and slowest < SECONDS else 1


def spread(values: list[float], form: str) -> str:
    """Median, and the middle half."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


if __name__ == "__main__":
    sys.exit(main())
