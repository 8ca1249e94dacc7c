"""Which parameters belong to which named layer of a network, and what is done with them when it is fine-tuned."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sslterm.errors import UsageError, did_you_mean
from sslterm.evaluate.features import evaluating
from sslterm.methods.base import Encodes, Method
from sslterm.run.results import ENCODER

FROZEN, NEW, ALL, TO = "frozen", "new", "all", ".."


# -- which parameters belong to which layer


def reached_by_layer(method: Method, images: Tensor) -> dict[str, set[str]]:
    """Names of the parameters that each named layer depends on; under "encode", those of what `encode` gives.

    They are those that the gradient of its output reaches, which needs no knowledge of any network.
    """
    assert isinstance(method, Encodes)
    asked = [parameter.requires_grad for parameter in method.parameters()]  # a teacher's are off
    method.requires_grad_(True)
    try:
        with evaluating(method), torch.enable_grad():
            outputs = {**method.layers(images), ENCODER: method.encode(images)}
            return {name: _reached(output, method) for name, output in outputs.items()}
    finally:
        for parameter, before in zip(method.parameters(), asked, strict=True):
            parameter.requires_grad_(before)


def _reached(output: Tensor, method: Method) -> set[str]:
    if not output.requires_grad:  # nothing that could be learnt is in it
        return set()
    names, parameters = zip(*method.named_parameters(), strict=True)
    gradients = torch.autograd.grad(output.sum(), parameters, retain_graph=True, allow_unused=True)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}


def parameters_by_layer(reached: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The parameters that are each layer's own: those that it depends on, and no layer before it.

    Args:
        reached: of `reached_by_layer`, in order of depth.
    """
    own, before = {}, set[str]()
    for name, names in reached.items():
        if name != ENCODER:
            own[name] = names - before
            before |= names
    return own


# -- what is done with them


def treatments(layers: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """What `layers` says of each of the layers `names`, where it says something; the last word counts.

    Raises:
        UsageError: it names no layer, or nothing that could be done with it.
    """
    found: dict[str, str] = {}
    for text in layers:
        which, equals, how = (part.strip() for part in text.partition("="))
        if not equals or not _is_treatment(how):
            raise UsageError(
                f"--layers {text}: that does not say what is done with a layer",
                f"write {which or 'NAME'}=frozen, {which or 'NAME'}=new, or {which or 'NAME'}=0.0001 for a rate",
            )
        found |= dict.fromkeys(_named(which, names), how)
    return found


def _is_treatment(how: str) -> bool:
    try:
        return how in (FROZEN, NEW) or 0 < float(how) < math.inf
    except ValueError:
        return False


def _named(which: str, names: Sequence[str]) -> list[str]:
    """The layers that "all", "first..last" or a name means."""
    if which == ALL:
        return list(names)
    first, _, last = which.partition(TO) if TO in which else (which, "", which)
    for name in (first, last):
        if name not in names:
            raise UsageError(f"--layers {which}: there is no layer {name!r}", did_you_mean(name, names))
    span = list(names[names.index(first) : names.index(last) + 1])
    if not span:
        raise UsageError(f"--layers {which}: {last} lies below {first}", f"write {last}{TO}{first}")
    return span


@dataclass(frozen=True)
class Plan:
    """What is done with each parameter below the head, by its name."""

    rates: Mapping[str, float]
    """0 for what is frozen."""
    new: frozenset[str]


def make_plan(reached: Mapping[str, set[str]], layer: str, *, layers: Sequence[str], rate: float) -> Plan:
    """The plan for a head on `layer`.

    Args:
        reached: of `reached_by_layer`.
        layers: "NAME=HOW" in the order in which they count: NAME is a layer, "first..last" or "all"; HOW is
            "frozen", "new" (drawn anew, and learnt at `rate`) or a learning rate.
        rate: of all that `layers` leaves out.

    Raises:
        UsageError: there is no such layer, or what is asked for is nothing that could be done.
    """
    own = parameters_by_layer(reached)
    if layer not in reached:
        raise UsageError(f"there is no layer {layer!r}", did_you_mean(layer, own))
    asked = treatments(layers, list(own))
    for text in layers:
        name = text.partition("=")[0].strip()
        if name in own and not own[name] & reached[layer]:
            why = (
                "it has no weights of its own"
                if not own[name]
                else f"it lies above {layer}, where the head is"
            )
            raise UsageError(
                f"--layers {text}: {why}",
                "with weights: " + ", ".join(part for part, names in own.items() if names & reached[layer]),
            )
    rates, new = dict.fromkeys(sorted(reached[layer]), rate), set[str]()
    for name, how in asked.items():
        below = own[name] & reached[layer]
        new |= below if how == NEW else set()
        rates |= dict.fromkeys(below, 0.0 if how == FROZEN else rate if how == NEW else float(how))
    return Plan(rates, frozenset(new))


def copy_for(plan: Plan, method: Method, redrawn: Method) -> Method:
    """A copy of a network in which what is new comes from `redrawn`, and what is frozen takes no gradient."""
    network = copy.deepcopy(method)
    drawn = {**dict(redrawn.named_parameters()), **dict(redrawn.named_buffers())}
    owners = {name.rpartition(".")[0] for name in plan.new}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(plan.rates.get(name, 0.0) > 0)
        if name in plan.new:
            parameter.data.copy_(drawn[name])
    for name, buffer in network.named_buffers():  # statistics of layers that are no longer there
        if name.rpartition(".")[0] in owners:
            buffer.copy_(drawn[name])
    return network


def set_modes(module: nn.Module) -> None:
    """Training mode for what learns, evaluation mode for what is frozen: its statistics are frozen as well."""
    _set_modes(module, False)
    module.training = False  # of a method itself, only what has been learnt is asked


def _set_modes(module: nn.Module, above: bool) -> None:
    parameters = list(module.parameters())
    module.training = any(parameter.requires_grad for parameter in parameters) if parameters else above
    for child in module.children():
        _set_modes(child, module.training)
