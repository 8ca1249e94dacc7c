"""`embed` and `neighbors` over 60,000 images of MNIST's size, by a small conv net.

    python tests/benchmarks/bench_embed.py [--rounds 5] [--threads 2]    (MNIST from SSLTERM_DATA, or random images)

- embed:     what the worker does when `sslterm embed` asks it: batches, progress, and features, labels and places
             written to an .npz
- bare:      the images in batches of as many, divided, through the same network without gradients; kept in memory
- neighbors: what `sslterm neighbors --features` asks of a worker that has loaded the run: features read from that
             file, the picture encoded, its neighbours found and drawn

The first two in turn, in one process, over the same images. The exit code is 1 where the median of bare's time over
embed's is below TARGET, or the median of neighbors is above a second.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from sslterm.config.resolve import resolve
from sslterm.data.source import Source, Split, load_source
from sslterm.engine.build import build_method
from sslterm.engine.load import Loaded
from sslterm.errors import SsltermError
from sslterm.evaluate.features import BATCH
from sslterm.methods.base import Encodes, Inputs
from sslterm.render.png import save_picture
from sslterm.run.layout import RunDirectory
from sslterm.worker.desk import Desk
from sslterm.worker.features import search, write_all
from sslterm.worker.requests import Features, Search

IMAGES = 60_000
TARGET, TARGET_SECONDS = 0.9, 1.0
EXPERIMENT = resolve(
    "simclr", "patterns", data="mnist",
    overrides=["data.size=28", "method.pixel_mean=[0.1307]", "method.pixel_std=[0.3081]"],
)  # fmt: skip
"""A net of 3x3 convolutions with 16, 32, 64 and 128 channels."""
CPU = torch.device("cpu")


def mnist_or_noise() -> Tensor:
    """[60,000, 1, 28, 28] uint8."""
    try:
        return load_source(EXPERIMENT.data).train.images
    except SsltermError:
        return torch.randint(256, (IMAGES, 1, 28, 28), dtype=torch.uint8)


def loaded_desk(folder: Path, images: Tensor) -> Desk:
    """What a worker has in its hands once it has loaded a run."""
    inputs = Inputs(channels=1, height=28, width=28, train_images=len(images), views=EXPERIMENT.augment)
    train = Split(images, torch.zeros(len(images), dtype=torch.int64))
    source = Source("mnist", train, Split(images[:100], train.labels[:100]))
    method = build_method(EXPERIMENT, inputs).eval()
    return Desk(RunDirectory(folder / "run"), Loaded(method, EXPERIMENT, inputs, 0, source), CPU)


def embed_all(desk: Desk, out: Path) -> float:
    """Seconds that `embed` takes."""
    start = time.perf_counter()
    write_all(desk, Features(out=str(out), split="train"), lambda progress: None)
    return time.perf_counter() - start


def bare_loop(desk: Desk) -> float:
    """Seconds of the forward passes."""
    encoder, images = desk.loaded.method, desk.train.images
    assert isinstance(encoder, Encodes)
    start = time.perf_counter()
    with torch.no_grad():
        features = [encoder.encode(part.float().div_(255)) for part in torch.split(images, BATCH)]
    torch.cat(features)
    return time.perf_counter() - start


def find_neighbours(desk: Desk, picture: Path, features: Path) -> float:
    """Seconds that `neighbors` takes."""
    request = Search(images=(str(picture),), split="train", features=str(features), k=8)
    start = time.perf_counter()
    search(desk, request, lambda progress: None)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        images, features, picture = mnist_or_noise(), Path(folder) / "f.npz", Path(folder) / "picture.png"
        desk = loaded_desk(Path(folder), images)
        desk.run.path.mkdir()
        save_picture(Image.fromarray(images[7, 0].numpy()), picture)
        times: dict[str, list[float]] = {"embed": [], "bare": [], "neighbors": []}
        for turn in range(given.rounds + 1):
            spent = {
                "embed": embed_all(desk, features),
                "bare": bare_loop(desk),
                "neighbors": find_neighbours(desk, picture, features),
            }
            if turn:  # the first round warms up
                for name, seconds in spent.items():
                    times[name].append(seconds)
    ratios = [bare / embed for embed, bare in zip(times["embed"], times["bare"], strict=True)]
    ratio, wait = statistics.median(ratios), statistics.median(times["neighbors"])
    print(f"torch {torch.__version__}, {given.threads} threads, {platform.machine()}, {given.rounds} rounds")
    print(f"{len(images):,} images of 28x28, batches of {BATCH}, conv 16-32-64-128")
    for name in ("embed", "bare"):
        rates = [len(images) / seconds for seconds in times[name]]
        middle, low, high = statistics.median(rates), min(rates), max(rates)
        print(f"{name:10} {middle:10,.0f} images/s  ({low:,.0f} to {high:,.0f})")
    print(f"ratio      {ratio:10.3f}           ({min(ratios):.3f} to {max(ratios):.3f}); target {TARGET:g}")
    low, high = min(times["neighbors"]), max(times["neighbors"])
    print(f"neighbors  {wait:10.2f} s         ({low:.2f} to {high:.2f}); target {TARGET_SECONDS:g} s")
    return 0 if ratio >= TARGET and wait <= TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
