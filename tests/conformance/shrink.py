"""Every preset, small enough to train in a second on data that is always there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sslterm.catalog import CATALOG
from sslterm.config.presets import preset_names
from sslterm.config.read import parse_experiment, to_table
from sslterm.config.resolve import resolve
from sslterm.config.schema import Experiment
from sslterm.data.source import load_source
from sslterm.engine.controls import Controls
from sslterm.engine.loop import Trainer
from sslterm.engine.scribe import Scribe
from sslterm.nn.progressive import levels_of
from sslterm.render.png import write_png
from sslterm.run.layout import RunDirectory
from sslterm.run.status import Status

PRESETS = [(method, preset) for method in CATALOG for preset in preset_names(method)]
METHODS = [(method, preset_names(method)[0]) for method in CATALOG if preset_names(method)]
"""Every method with the preset that a newcomer gets."""

GREY = {"digits", "mnist", "fashion-mnist", "kmnist"}
WIDEST = 32
MOST_UPDATES = 2
LARGEST = {"biggan": 128, "context-encoder": 128, "dcgan": 64, "wgan": 64}
"""Sides of images that go with the numbers of widths in the presets."""

U_NET = {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [], "sampling_steps": 3}
SMALLER: dict[str, dict[str, Any]] = {
    "ddpm": U_NET | {"bound_steps": 4},
    "flow-matching": U_NET | {"sampler": "euler", "tolerance": 0.3},
}
"""Networks of methods that ask them many times for one image."""


def shrink(method: str, preset: str, *, batch: int = 16, steps: int = 12, **changes: Any) -> Experiment:
    """A preset on 96 built-in images, with every width cut to 32 and no warm-up.

    Args:
        changes: fields of `[train]` and `[watch]` to set besides.
    """
    table = to_table(resolve(method, preset))
    data = table["data"]
    name = "digits" if data["name"] in GREY else "sprites" if "frames" in data else "shapes"
    name = "scenes" if data["name"] == "scenes" else name  # of which tiles are cut that need room
    most = 64 if name == "scenes" else LARGEST.get(method, 32)
    data.update(name=name, path="", size=min(data["size"] or 32, most))
    data.update(train_images=96, test_images=64)
    if "motion" in data:
        data.update(motion=1.0)  # drawn clips all move
    table["train"].update(
        images=steps * batch, batch=batch, micro_batches=1, precision="float32", compile=False
    )
    table["watch"].update(
        log_every_images=2 * batch,
        panels_every_images=steps * batch,
        evaluate_every_images=steps * batch,
        checkpoint_every_images=4 * batch,
        keep_checkpoints=10,
    )
    for section in ("train", "watch"):
        table[section].update({key: value for key, value in changes.items() if key in table[section]})
    for optim in table["optim"].values():
        optim["schedule"]["warmup_images"] = 0
    table["method"] = {key: _narrow(value) for key, value in table["method"].items()}
    for key in table["method"]:
        if key.endswith("_updates"):  # of a critic, for each of the generator
            table["method"][key] = min(table["method"][key], MOST_UPDATES)
    if method == "progan":
        table["method"]["widths"] = table["method"]["widths"][: levels_of(data["size"])]
    if method == "biggan":
        table["method"]["standing_passes"] = 2
    table["method"].update(SMALLER.get(method, {}))
    return parse_experiment(table, f"{method}/{preset} (shrunk)")


def _narrow(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_narrow(item) for item in value]
    if value == "resnet50":
        return "resnet18"
    return min(value, WIDEST) if isinstance(value, int) and not isinstance(value, bool) else value


def make_trainer(experiment: Experiment, folder: Path) -> Trainer:
    """A trainer on the CPU that writes into `folder`, as the trainer process sets it up."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunDirectory(folder)
    status = Status(state="starting", total_images=experiment.train.images)
    scribe = Scribe(run, status, draw=write_png, report=lambda status: None, active=True)
    controls = Controls(run, experiment, active=True)
    return Trainer(experiment, load_source(experiment.data), scribe, controls, device=torch.device("cpu"))
