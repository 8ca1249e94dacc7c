"""Views a second: sslterm against lightly and torchvision v2, in one process, in interleaved rounds.

    python tests/benchmarks/bench_augment.py [--rounds 7] [--images 1024] [--threads 2]

Every side makes two SimCLR views of the same 32x32 uint8 images, from the data in memory to normalised float
batches of 256: crop .08-1, flip .5, jitter .4/.4/.4/.1 with probability .8, grey .2, ImageNet normalisation
(no blur, as in lightly's own CIFAR-10 benchmark). The peers' transforms and DataLoader are used as they come.
Mean and standard deviation of the views stand beside the speed, so that nobody is fast by doing less. The
exit code is 1 where the median ratio to lightly with two workers is below TARGET.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from sslterm.augment import View, backends, why_not_native
from sslterm.config.schema import ViewConfig

TARGET = 8.0
"""Views a second, as a multiple of lightly's with two workers."""

BATCH = 256
SIZE = 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHORTEST_SECONDS = 0.5
"""A round goes over the images again until it has taken this long."""

RECIPE = ViewConfig(
    size=0,
    crop=(0.08, 1.0),
    crop_ratio=(3 / 4, 4 / 3),
    flip=0.5,
    rotate=0.0,
    jitter=0.8,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    grey=0.2,
    blur=0.0,
    blur_sigma=(0.1, 2.0),
    solarize=0.0,
    cutout=0.0,
    cutout_size=0.0,
    noise=0.0,
    noise_std=0.0,
    sobel=0.0,
)

Pass = Callable[[], Iterator[Tensor]]
"""One pass over the images: batches of normalised views [B, 3, H, W]."""


class Transformed(Dataset[list[Tensor]]):
    """Two views of each image, as a data set with a transform has them."""

    def __init__(self, images: Tensor, two_views: Callable[[Tensor], list[Tensor]]) -> None:
        self.images, self.two_views = images, two_views

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[Tensor]:
        return self.two_views(self.images[index])


class LightlyViews:
    """lightly's transform of PIL images."""

    def __init__(self) -> None:
        self.transform = SimCLRTransform(
            input_size=SIZE, cj_bright=0.4, cj_contrast=0.4, cj_sat=0.4, cj_hue=0.1, gaussian_blur=0.0
        )

    def __call__(self, image: Tensor) -> list[Tensor]:
        views: list[Tensor] = self.transform(Image.fromarray(image.permute(1, 2, 0).numpy()))
        return views


class TorchvisionViews:
    """torchvision v2 on uint8 tensors, image by image."""

    def __init__(self) -> None:
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(SIZE, antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __call__(self, image: Tensor) -> list[Tensor]:
        return [self.transform(image), self.transform(image)]


def peer(images: Tensor, two_views: Callable[[Tensor], list[Tensor]], workers: int) -> Pass:
    """A DataLoader over transformed images; its workers stay alive between passes."""
    loader = DataLoader(
        Transformed(images, two_views), batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0
    )

    def one_pass() -> Iterator[Tensor]:
        for pair in loader:
            yield from pair

    return one_pass


def ours(images: Tensor, backend: str) -> Pass:
    view = View(RECIPE)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def one_pass() -> Iterator[Tensor]:
        os.environ[backends.SWITCH] = backend
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH].float().div_(255)
            for _ in range(2):
                yield view(batch).sub_(mean).div_(std)

    return one_pass


def views_per_second(one_pass: Pass) -> float:
    views, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < SHORTEST_SECONDS:
        views += sum(len(batch) for batch in one_pass())
    return views / seconds


def soft_noise(n: int) -> Tensor:
    """[n, 3, 32, 32] uint8: images with colours, edges and flat parts, from a seed."""
    generator = torch.Generator().manual_seed(0)
    coarse, fine = (torch.randn(n, 3, side, side, generator=generator) for side in (4, 16))
    layers = [torch.nn.functional.interpolate(x, SIZE, mode="bicubic") for x in (coarse, fine)]
    return ((0.25 * layers[0] + 0.1 * layers[1] + 0.5).clamp(0, 1) * 255).byte()


def processor() -> str:
    """Its name, as far as the system tells."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def commit() -> str:
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def describe(threads: int) -> None:
    packages = ("torch", "torchvision", "lightly", "pillow")
    load = os.getloadavg()[0]
    print(f"{processor()}, {threads} threads; load before: {load:.1f}; Python {platform.python_version()}")
    print(f"sslterm {commit()};", ", ".join(f"{name} {version(name)}" for name in packages))
    print(f"native: {why_not_native() or 'available'}")


def spread(values: Iterable[float], form: str) -> str:
    """Median (smallest-largest)."""
    values = sorted(values)
    return f"{statistics.median(values):{form}} ({values[0]:{form}}-{values[-1]:{form}})"


def main() -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--images", type=int, default=1024, help="images in a pass of the slower sides")
    arguments.add_argument("--threads", type=int, default=2, help="torch's threads, and workers of the peers")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    describe(options.threads)

    images, workers = soft_noise(options.images), options.threads
    baseline = f"lightly, PIL, {workers} workers"
    sides = {
        baseline: peer(images, LightlyViews(), workers),
        "lightly, PIL, no workers": peer(images, LightlyViews(), 0),
        f"torchvision v2, {workers} workers": peer(images, TorchvisionViews(), workers),
        "sslterm, eager": ours(images, "eager"),
    }
    if not why_not_native():
        sides["sslterm, native"] = ours(images, "native")

    moments = {}
    for name, one_pass in sides.items():  # also warms up
        views = torch.cat(list(one_pass()))
        moments[name] = f"{views.mean():6.3f} {views.std():6.3f}"
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, one_pass in sides.items():
            rates[name].append(views_per_second(one_pass))

    print(f"\n{'':28}{'views/s: median (min-max)':>36}{'as a multiple of the first':>30}   mean    std")
    ratios = {}
    for name, values in rates.items():
        ratios[name] = [ours / theirs for ours, theirs in zip(values, rates[baseline], strict=True)]
        print(f"{name:28}{spread(values, ',.0f'):>36}{spread(ratios[name], '.1f'):>30}  {moments[name]}")
    reached = statistics.median(ratios[list(sides)[-1]])
    verdict = "met" if reached >= TARGET else "MISSED"
    print(f"\n{reached:.1f} times {baseline}: the target of {TARGET:g} is {verdict}")
    return 0 if reached >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
