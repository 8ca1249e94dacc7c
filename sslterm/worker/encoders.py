"""Which of a method's networks is meant by its encoder: the one that is trained, or its moving average."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.base import Encodes, Method
from sslterm.nn.backbone import Backbone
from sslterm.nn.touched import touched


@dataclass(frozen=True)
class Encoder:
    """A method that encodes with the network that was asked for.

    Attributes:
        method: itself, or a copy of it whose `encode` uses the other network.
        which: "ema" or "online" where there are both, "" otherwise.
        backbone: what it encodes with, where that is one of `nn.backbone`.
        prefix: what stands before the backbone's names in the method's state.
    """

    method: Method
    which: str
    backbone: Backbone | None
    prefix: str


def find_encoder(method: Method, images: Tensor, which: str = "auto") -> Encoder:
    """The encoder of a method, looked for with some images that it can take.

    Args:
        which: "auto" is what `encode` uses.

    Raises:
        UsageError: there are not both a trained encoder and a moving average of it.
    """
    assert isinstance(method, Encodes)
    with torch.no_grad():
        names = touched(method, lambda: method.encode(images))
    networks = {name: module for name, module in method.named_modules() if isinstance(module, Backbone)}
    used = [name for name in networks if any(key.startswith(f"{name}.") for key in names)]
    if len(used) != 1:
        if which != "auto":
            raise UsageError(f"its encoder is no single network: there is no {which}", "leave --encoder out")
        return Encoder(method, "", None, "")
    (own,) = used
    kinds = {kind: _of_kind(networks, own, trained=kind == "online") for kind in ("online", "ema")}
    both = all(kinds.values())
    if which == "auto" or kinds.get(which) == own:
        return Encoder(
            method, _kind(networks[own]) if both else "", networks[own], f"{own}."
        )  # one that was asked for by name though it is the only one is what there is
    if not both:
        raise UsageError(
            f"it has one encoder alone, with no moving average beside it: there is no {which}",
            "leave --encoder out",
        )
    other = copy.deepcopy(method)
    network = other.get_submodule(own)
    assert isinstance(network, Backbone)
    network.load_state_dict(networks[kinds[which]].state_dict())
    return Encoder(other, which, network, f"{own}.")


def _kind(network: Backbone) -> str:
    return "online" if any(parameter.requires_grad for parameter in network.parameters()) else "ema"


def _of_kind(networks: dict[str, Backbone], own: str, *, trained: bool) -> str:
    """The network of the form of `own` that is trained, or that is not; "" without one."""
    form = {name: tensor.shape for name, tensor in networks[own].state_dict().items()}
    for name, network in networks.items():
        same = {key: tensor.shape for key, tensor in network.state_dict().items()} == form
        if same and (_kind(network) == "online") == trained:
            return name
    return ""
