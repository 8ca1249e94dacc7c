"""A trained run, ready to be used: its method with the weights of a checkpoint."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sslterm.config.read import parse_experiment
from sslterm.config.schema import Experiment
from sslterm.data.source import Source, load_source
from sslterm.engine.build import build_method, inputs_of
from sslterm.engine.checkpoint import list_checkpoints, newest_checkpoint, open_checkpoint
from sslterm.errors import DataError
from sslterm.methods.base import Inputs, Method
from sslterm.run.layout import RunDirectory


@dataclass(frozen=True)
class Loaded:
    """A method in evaluation mode, and what it was trained as and on."""

    method: Method
    experiment: Experiment
    inputs: Inputs
    images: int
    """Images it had been trained on."""
    source: Source


def read_experiment(run: RunDirectory) -> Experiment:
    """The resolved preset of a run.

    Raises:
        DataError: `config.toml` is missing or not TOML.
        UsageError: it is not a complete preset.
    """
    try:
        table = tomllib.loads(run.config.read_text())
    except OSError as error:
        raise DataError(f"{run.path} has no readable config.toml: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{run.config} is not TOML: {error}") from error
    return parse_experiment(table, str(run.config))


def load_method(
    run: RunDirectory,
    device: torch.device,
    *,
    images: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Loaded:
    """Load the newest whole checkpoint of a run, or the one at `images`.

    Raises:
        DataError: there is no (such) checkpoint, or it is damaged.
    """
    experiment = read_experiment(run)
    if images is None:
        checkpoint, _ = newest_checkpoint(run)
    else:
        known = list_checkpoints(run)
        if images not in known:
            raise DataError(
                f"{run.name} has no checkpoint at {images} images", "there is: " + ", ".join(map(str, known))
            )
        checkpoint = open_checkpoint(run, images)
    if checkpoint is None:
        raise DataError(f"{run.name} has no checkpoint yet", f"train it first: sslterm resume {run.name}")
    source = load_source(experiment.data, progress)
    inputs = inputs_of(experiment, source)
    method = build_method(experiment, inputs)
    method.load_state_dict(checkpoint.model_state())
    return Loaded(method.to(device).eval(), experiment, inputs, checkpoint.images, source)
