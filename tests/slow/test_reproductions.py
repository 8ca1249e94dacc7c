"""Presets trained in full, as a user would, and held to what they must reach. Minutes each: `pytest -m slow`.

What was measured stands in the presets' headers. Set SSLTERM_RUNS_KEPT to a folder to keep the runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sslterm.data.batch import Batch
from sslterm.data.store import Store
from sslterm.engine.build import build_method
from sslterm.engine.load import Loaded, load_method
from sslterm.evaluate.distances import frechet_distance
from sslterm.evaluate.judge import judge_images, make_space
from sslterm.evaluate.sampling import draw_samples
from sslterm.methods.energy.gsn import Draws
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import load_panel
from sslterm.run.reader import RunReader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

CPU = torch.device("cpu")
needs_mnist = pytest.mark.skipif(
    not (Path(os.environ.get("SSLTERM_DATA", "/nowhere")) / "MNIST" / "raw").is_dir(),
    reason="needs MNIST in SSLTERM_DATA",
)


def sslterm(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sslterm", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def trained(tmp_path: Path, method: str, preset: str) -> RunDirectory:
    """A run of the preset as it is, trained to the end; one that is kept is taken up again."""
    folder = Path(os.environ.get("SSLTERM_RUNS_KEPT", tmp_path)).resolve()
    run = RunDirectory(folder / "runs" / f"{method}-{preset}-1")
    if run.path.exists():
        sslterm(folder, "resume", run.name, "--foreground", "--device", "cpu")
    else:
        print(sslterm(folder, "train", method, "--preset", preset, "--device", "cpu"))
    return run


def answers(run: RunDirectory, *arguments: str) -> list[dict[str, Any]]:
    """The results of `evaluate` or `probe`."""
    verb, *rest = arguments
    found = json.loads(sslterm(run.path.parents[1], verb, run.name, "--json", "--device", "cpu", *rest))[
        "results"
    ]
    print(json.dumps(found, indent=1))
    assert isinstance(found, list)
    return found


def value(results: list[dict[str, Any]], name: str) -> float:
    return next(float(result["value"]) for result in results if str(result["name"]).startswith(name))


def probed(run: RunDirectory) -> dict[str, dict[str, Any]]:
    return {result["protocol"]: result for result in answers(run, "probe")}


def final_panel(run: RunDirectory, name: str) -> np.ndarray:
    newest = max((run.panels / name).glob("*.npz"), key=lambda path: int(path.stem))
    return load_panel(newest).array


def test_vae_digits(tmp_path: Path) -> None:
    run = trained(tmp_path, "vae", "digits")
    assert value(answers(run, "evaluate"), "neg_elbo_nats") <= 103.5
    plane = final_panel(run, "latent-plane")
    side = round(len(plane) ** 0.5)
    plane = plane.reshape(side, side, -1)
    steps = [np.square(np.diff(plane, axis=axis)).mean() for axis in (0, 1)]
    assert max(steps) < 0.1 * 2 * plane.reshape(side * side, -1).var(0).mean(), "neighbours are not alike"
    space = make_space("digits", *_stores(load_method(run, CPU)), device=CPU)
    shown = judge_images(space, torch.from_numpy(plane.reshape(-1, 1, 16, 16))).histogram
    print("kinds of digits on the plane:", shown.tolist())
    assert (shown > 0).sum() >= 8, "the plane shows too few kinds of digits"


@needs_mnist
def test_vae_mnist(tmp_path: Path) -> None:
    run = trained(tmp_path, "vae", "mnist")
    assert value(answers(run, "evaluate"), "neg_elbo_nats") <= 143


@needs_mnist
def test_vae_mnist_burda(tmp_path: Path) -> None:
    run = trained(tmp_path, "vae", "mnist-burda")
    assert value(answers(run, "evaluate", "--samples", "5000", "-n", "500"), "iw_nll_nats@5000") <= 90


def test_vae_shapes(tmp_path: Path) -> None:
    run = trained(tmp_path, "vae", "shapes")
    results = answers(run, "evaluate")
    assert value(results, "neg_elbo_bits_per_dim") < 5.0
    assert value(results, "mse") < 0.01


def test_autoencoder_shapes(tmp_path: Path) -> None:
    run = trained(tmp_path, "autoencoder", "shapes")
    loaded = load_method(run, CPU)
    train, test = (
        images.float().div(255).flatten(1)
        for images in (loaded.source.train.images, loaded.source.test.images)
    )
    mean = train.mean(0)
    principal = torch.pca_lowrank(train - mean, q=loaded.method.latent_dim, niter=4)[2]  # type: ignore[arg-type]
    linear = ((test - mean) @ principal @ principal.T + mean - test).square().mean().item()
    print(f"PCA with as many numbers: {linear:.5f}")
    assert value(answers(run, "evaluate"), "mse") < 0.5 * linear


def plain_classifier(train: Batch, *, seed: int) -> tuple[nn.Module, nn.Module]:
    """Two convolutions and a hidden layer of 64, trained for thirty epochs: its features, and its last layer."""
    torch.manual_seed(seed)
    features = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 16, 64), nn.ReLU()),
    )
    last = nn.Linear(64, 10)
    optimizer = torch.optim.Adam([*features.parameters(), *last.parameters()], lr=1e-3)
    for _ in range(30):
        for rows in torch.randperm(len(train)).split(50):
            optimizer.zero_grad()
            F.cross_entropy(last(features(train.images[rows])), train.label[rows]).backward()
            optimizer.step()
    return features.requires_grad_(False), last.requires_grad_(False)


@pytest.mark.parametrize(
    ("method", "share"), [("dcgan", 40), ("gan", 10), ("wgan", 10), ("wgan-gp", 10), ("sngan", 10)]
)
def test_adversarial_digits(tmp_path: Path, method: str, share: int) -> None:
    """All classes, a distance far below that of the untrained generator, no warning, and samples at once."""
    run = trained(tmp_path, method, "digits")
    loaded = load_method(run, CPU)
    train, test = (store.batch(torch.arange(len(store))) for store in _stores(loaded))
    features, last = plain_classifier(train, seed=0)
    accuracy = (last(features(test.images)).argmax(1) == test.label).float().mean().item()
    assert accuracy > 0.97
    real = features(torch.cat([train.images, test.images]))
    untrained = build_method(loaded.experiment, loaded.inputs).eval()
    samples = draw_samples(loaded.method, 1000, seed=0)  # type: ignore[arg-type]
    distance = frechet_distance(features(samples), real)
    at_first = frechet_distance(features(draw_samples(untrained, 1000, seed=0)), real)  # type: ignore[arg-type]
    order = torch.randperm(len(real))
    floor = frechet_distance(real[order[::2]], real[order[1::2]])
    counts = last(features(samples)).argmax(1).bincount(minlength=10).tolist()
    print(
        f"classifier {accuracy:.3f}; FD {distance:.1f}, untrained {at_first:.0f}, real halves {floor:.1f}; {counts}"
    )
    assert min(counts) >= 30
    assert distance <= at_first / share
    reader = RunReader(run)
    reader.refresh()
    assert [event for event in reader.events if event["kind"] == "warning"] == []
    began = time.perf_counter()
    draw_samples(loaded.method, 1000, seed=1)  # type: ignore[arg-type]
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("method", ["ddpm", "flow-matching"])
def test_diffusion_digits(method: str, tmp_path: Path) -> None:
    """A tenth of what the untrained networks reach, 189 and 144, and every class."""
    results = answers(trained(tmp_path, method, "digits"), "evaluate", "-n", "1000")
    assert value(results, "FD[digits-16px-judge32-v1]@1000") <= 14
    assert value(results, "smallest_class[digits-16px-judge32-v1]@1000") >= 0.03


def test_ddpm_digits_classes(tmp_path: Path) -> None:
    loaded = load_method(trained(tmp_path, "ddpm", "digits-classes"), CPU)
    features, last = plain_classifier(_stores(loaded)[0].batch(torch.arange(1500)), seed=0)
    agreeing = [
        last(features(draw_samples(loaded.method, 50, seed=0, label=label))).argmax(1) == label  # type: ignore[arg-type]
        for label in range(10)
    ]
    share = torch.cat(agreeing).float().mean().item()
    print(f"of the class that was asked for: {share:.3f}")
    assert share >= 0.9


def test_gsn_digits(tmp_path: Path) -> None:
    """One chain of 1,000 steps from a held-out digit visits eight classes, by a classifier that is sure of them."""
    loaded = load_method(trained(tmp_path, "gsn", "digits"), CPU)
    train, test = (store.batch(torch.arange(len(store))) for store in _stores(loaded))
    features, last = plain_classifier(train, seed=0)
    method: Any = loaded.method.eval()
    torch.manual_seed(0)
    with torch.no_grad():
        start = (test.images[:1] > 0.5).float().flatten(1)
        chain = torch.cat([*method.walk(start, method.at_rest(1), 1000, Draws())]).view(-1, 1, 16, 16)
        chances = last(features(chain)).softmax(1)
    sure = chances.max(1).values > 0.9
    visited = chances.argmax(1)[sure].unique().tolist()
    print(f"sure of {sure.float().mean():.2f} of the steps: {visited}")
    assert len(visited) >= 8


def _stores(loaded: Loaded) -> tuple[Store, Store]:
    return Store(loaded.source.train, CPU), Store(loaded.source.test, CPU)
