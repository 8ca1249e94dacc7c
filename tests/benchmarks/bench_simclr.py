"""SimCLR on CIFAR-10, whole trainings: sslterm's engine against the loop of lightly's example, in one run.

    SSLTERM_DATA=DIR python tests/benchmarks/bench_simclr.py [--epochs 5] [--seeds 3] [--device auto]

Both sides train the same network code (a 16-32-64-128 conv net and a projector, or a ResNet-18 on a GPU) from the same
initial weights, on the same images, with the same batch, epochs, optimizer, schedule, temperature and views:

- sslterm: store, views, stream and update of the engine, as `sslterm train` runs them; also in the arithmetic that
           "auto" takes where that is not float32
- lightly: SimCLRTransform on PIL images held in memory, a DataLoader with two workers, NTXentLoss, float32, AdamW

kNN is read by one and the same code on held-out images. Images are those of a folder `cifar10-jpeg/{train,test}/CLASS`
in SSLTERM_DATA, else CIFAR-10 itself. The exit code is 1 where views/s are below TARGET times lightly's, or kNN is
below theirs by more than the spread over seeds.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from lightly.loss import NTXentLoss
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from sslterm.config.resolve import resolve
from sslterm.config.schema import Experiment
from sslterm.data.source import Source, load_source
from sslterm.data.store import Store
from sslterm.data.stream import BatchStream
from sslterm.engine.build import build_method, find_device, inputs_of
from sslterm.engine.precision import choose_precision
from sslterm.engine.update import Clock, Updater
from sslterm.evaluate.features import encode
from sslterm.evaluate.knn import knn_accuracy
from sslterm.methods.base import Method

TARGET = 4.0
"""Views a second, as a multiple of lightly's."""
WORKERS = 2
SMALL = [
    "method.backbone=conv",
    "method.widths=[16,32,64,128]",
    "method.projector=[512,128]",
    "train.batch=256",
]
RECIPE = [
    "method.temperature=0.2", "augment.a.crop=[0.2,1.0]", "augment.b.crop=[0.2,1.0]",
    "optim.main.name=adamw", "optim.main.lr=0.002", "optim.main.betas=[0.9,0.999]", "optim.main.eps=1e-8",
    "optim.main.weight_decay=1e-4", "optim.main.decay_biases_and_norms=true", "optim.main.schedule.warmup_images=2560",
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One training: views a second, and the accuracy of the frozen features."""

    views_per_second: float
    knn: float


def experiment_of(epochs: int, seed: int, device: torch.device) -> Experiment:
    own = Path(os.environ.get("SSLTERM_DATA", "")) / "cifar10-jpeg"
    data = ["data.name=folder", f"data.path={own}"] if own.is_dir() else []
    network = SMALL if device.type == "cpu" else ["train.batch=512"]
    first = resolve("simclr", "cifar10", overrides=[*data, *network, *RECIPE, f"run.seed={seed}"])
    images = len(load_source(first.data).train.images) * epochs
    return resolve(
        "simclr",
        "cifar10",
        overrides=[*data, *network, *RECIPE, f"run.seed={seed}", f"train.images={images}"],
    )


def engine_side(
    experiment: Experiment, source: Source, device: torch.device, *, precision: str
) -> Callable[[Method], float]:
    """A whole training by the engine; returns its seconds."""

    def train(method: Method) -> float:
        torch.manual_seed(experiment.run.seed)
        store = Store(source.train, device)
        clock = Clock(total_images=experiment.train.images)
        updater = Updater(method, experiment, device=device, precision=precision, clock=clock)
        stream = BatchStream(store, batch=experiment.train.batch, seed=experiment.run.seed)
        start = time.perf_counter()
        while clock.images < clock.total_images:
            method.step(stream, updater)
            clock.step, clock.images = clock.step + 1, stream.position
        updater.window.means()  # waits for the device
        return time.perf_counter() - start

    return train


class Pairs(Dataset[list[torch.Tensor]]):
    """lightly's two views of PIL images in memory."""

    def __init__(self, source: Source) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in source.train.images]
        self.transform = SimCLRTransform(
            input_size=32, min_scale=0.2, cj_bright=0.4, cj_contrast=0.4, cj_sat=0.4, cj_hue=0.1, gaussian_blur=0.0,
            normalize={"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},  # the network standardises by itself
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        views: list[torch.Tensor] = self.transform(self.images[index])
        return views


def lightly_side(experiment: Experiment, source: Source, device: torch.device) -> Callable[[Method], float]:
    """A whole training by the loop of lightly's example; returns its seconds."""
    data, batch, total = Pairs(source), experiment.train.batch, experiment.train.images

    def factor(step: int) -> float:
        done = (step + 1) * batch
        warm = experiment.optim["main"].schedule.warmup_images
        if done < warm:
            return done / warm
        return 0.5 * (1 + math.cos(math.pi * min((done - warm) / (total - warm), 1.0)))

    def train(method: Method) -> float:
        torch.manual_seed(experiment.run.seed)
        loader = DataLoader(
            data, batch_size=batch, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
        )
        criterion = NTXentLoss(temperature=experiment.method["temperature"])
        optimizer = torch.optim.AdamW(method.parameters(), lr=0.002, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        start, seen = time.perf_counter(), 0
        while seen < total:
            for a, b in loader:
                z_a, z_b = (method.embed(view.to(device)) for view in (a, b))  # type: ignore[operator]
                loss = criterion(z_a, z_b)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                seen += batch
                if seen >= total:
                    break
        float(loss.detach())
        return time.perf_counter() - start

    return train


def run_side(
    experiment: Experiment, source: Source, device: torch.device, train: Callable[[Method], float]
) -> Outcome:
    method = build_method(experiment, inputs_of(experiment, source)).to(device).train()
    seconds = train(method)
    train_store, test_store = Store(source.train, device), Store(source.test, device)
    accuracy = knn_accuracy(encode(method, train_store), encode(method, test_store))  # type: ignore[arg-type]
    return Outcome(2 * experiment.train.images / seconds, accuracy)


def main() -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--epochs", type=int, default=5)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--device", default="auto")
    options = arguments.parse_args()
    device = find_device(options.device)
    print(
        f"{platform.processor() or platform.machine()}, {device}, {torch.get_num_threads()} threads;", end=" "
    )
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "lightly")))

    found: dict[str, list[Outcome]] = {}
    for seed in range(options.seeds):
        experiment = experiment_of(options.epochs, seed, device)
        source = load_source(experiment.data)
        method = build_method(experiment, inputs_of(experiment, source)).to(device)
        first = Store(source.train, device).batch(torch.arange(experiment.train.batch))
        sides = {"lightly": lightly_side(experiment, source, device)}
        for precision in dict.fromkeys(("float32", choose_precision("auto", method, first, device))):
            sides[f"sslterm, {precision}"] = engine_side(experiment, source, device, precision=precision)
        for name, train in sides.items():
            outcome = run_side(experiment, source, device, train)
            found.setdefault(name, []).append(outcome)
            print(
                f"seed {seed}  {name:20} {outcome.views_per_second:10,.0f} views/s   kNN {100 * outcome.knn:.2f} %"
            )

    images = f"{len(source.train.images):,} training images, {options.epochs} epochs, {options.seeds} seeds"
    print(
        f"\n{images}\n{'':22}{'views/s (median)':>18}{'times lightly':>16}   kNN, mean and spread over seeds"
    )
    rates = {name: statistics.median(one.views_per_second for one in all_) for name, all_ in found.items()}
    for name, outcomes in found.items():
        accuracies = [100 * one.knn for one in outcomes]
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        ratio = rates[name] / rates["lightly"]
        print(
            f"{name:22}{rates[name]:18,.0f}{ratio:16.1f}   {statistics.mean(accuracies):.2f} ± {spread:.2f} %"
        )
    best = max(rates.values()) / rates["lightly"]
    ours, theirs = ([one.knn for one in found[name]] for name in (list(found)[-1], "lightly"))
    slack = max(statistics.stdev(side) if len(side) > 1 else 0.0 for side in (ours, theirs))
    learns = statistics.mean(ours) >= statistics.mean(theirs) - slack
    print(f"\n{best:.1f} times lightly (target {TARGET:g}); kNN {'as good' if learns else 'WORSE'}")
    return 0 if best >= TARGET and learns else 1


if __name__ == "__main__":
    sys.exit(main())
