"""Weights to begin with: of another run, of an export, or of torchvision's and timm's files."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sslterm.errors import DataError, UsageError
from sslterm.methods.base import Encodes, Method
from sslterm.nn.backbone import Backbone
from sslterm.nn.foreign import adopt
from sslterm.nn.touched import touched

WRAPPERS = ("state_dict", "model", "teacher", "student", "target", "model_state_dict")
"""What the weights are called in files that hold other things as well."""


@dataclass(frozen=True)
class Taken:
    """What was taken: "all weights" or "the encoder", and of how many tensors that is."""

    what: str
    tensors: int


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of one of torch.save's; code in it is not run.

    Raises:
        DataError: it cannot be read, or holds no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is no such file, which is said below
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot read the weights {path.name}: {error}") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise DataError(
            f"cannot read the weights {path.name}: it is damaged, or holds more than tensors",
            "save the state_dict alone, best as .safetensors",
        ) from error
    while isinstance(found, Mapping) and not any(isinstance(value, Tensor) for value in found.values()):
        name = next((name for name in WRAPPERS if name in found), None)
        if name is None:
            break
        found = found[name]
    tensors = {
        str(name): value
        for name, value in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise DataError(f"{path.name} holds no weights")
    return tensors


@torch.no_grad()
def begin_with(method: Method, weights: Mapping[str, Tensor], images: Tensor) -> Taken:
    """Put weights into a method that is about to be trained: all of them where they all fit, else its encoder.

    A moving average of the encoder begins as the encoder does.

    Args:
        images: some that the method can take, on the device of its weights.

    Raises:
        UsageError: they do not fit.
    """
    own = method.state_dict()
    if own.keys() == weights.keys() and all(own[name].shape == weights[name].shape for name in own):
        method.load_state_dict(dict(weights))
        return Taken("all weights", len(own))
    if not isinstance(method, Encodes):
        raise UsageError(
            f"the weights do not fit: {_first_misfit(own, weights)}", "give a run of this method"
        )
    training = method.training
    names = touched(method.eval(), lambda: method.encode(images))
    method.train(training)
    networks = {name: part for name, part in method.named_modules() if isinstance(part, Backbone)}
    used = [name for name in networks if any(key.startswith(f"{name}.") for key in names)]
    if len(used) == 1:
        return _adopt_backbone(networks, used[0], weights, images)
    odd = _first_misfit(names, weights)
    if odd:
        raise UsageError(f"the weights do not fit the encoder: {odd}", "give a run with this encoder")
    method.load_state_dict({name: weights[name] for name in names}, strict=False)
    return Taken("the encoder", len(names))


def _adopt_backbone(
    networks: Mapping[str, Backbone], used: str, weights: Mapping[str, Tensor], images: Tensor
) -> Taken:
    height, width = images.shape[-2:]
    network = networks[used]
    try:
        taken = adopt(network, weights, height=height, width=width, prefer=f"{used}.")
    except ValueError as error:
        raise UsageError(
            f"the weights do not fit the encoder: {error}", "see --set method.backbone and method.patch"
        ) from error
    form = {name: tensor.shape for name, tensor in network.state_dict().items()}
    for other in networks.values():
        if {name: tensor.shape for name, tensor in other.state_dict().items()} == form:
            other.load_state_dict(taken)
    return Taken("the encoder", len(taken))


def _first_misfit(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """What is missing, or of another shape; "" where there is nothing."""
    for name, tensor in own.items():
        if name not in weights:
            return f"there is no {name}"
        if weights[name].shape != tensor.shape:
            return f"{name} is {list(weights[name].shape)} there, and {list(tensor.shape)} here"
    return ""
