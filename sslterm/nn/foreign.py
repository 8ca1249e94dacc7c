"""Our encoders by the names that torchvision and timm have for the same weights.

ResNets are torchvision's own, and timm's are named alike. Vision transformers are the same network with positions
of its own: ours are fixed sines and cosines, theirs a parameter of one size of image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from sslterm.nn.backbone import Backbone
from sslterm.nn.resnet import ResNet
from sslterm.nn.vit import ViT, positions

Library = Literal["torchvision", "timm"]

_PARTS: Mapping[Library, Sequence[tuple[str, str]]] = {
    "timm": (
        ("embed.", "patch_embed.proj."), ("token", "cls_token"), ("qkv.", "attn.qkv."), ("out.", "attn.proj."),
        ("mlp.0.", "mlp.fc1."), ("mlp.2.", "mlp.fc2."),
    ),
    "torchvision": (
        ("embed.", "conv_proj."), ("token", "class_token"), ("blocks.", "encoder.layers.encoder_layer_"),
        ("norm1.", "ln_1."), ("norm2.", "ln_2."), ("qkv.", "self_attention.in_proj_"),
        ("out.", "self_attention.out_proj."), ("mlp.2.", "mlp.3."), ("norm.", "encoder.ln."),
    ),
}  # fmt: skip
"""Of a ViT: our part of a name, and theirs."""
_PLACES: Mapping[Library, str] = {"timm": "pos_embed", "torchvision": "encoder.pos_embedding"}
"""Their parameter of positions, [1, 1 + N, D], the class token's first."""


def names_in(backbone: Backbone, library: Library) -> dict[str, str]:
    """Our name -> theirs, for all that they know; nothing for networks that they have not."""
    keys = list(backbone.state_dict())
    if isinstance(backbone.net, ResNet):
        return {key: key.removeprefix("net.net.") for key in keys}
    if isinstance(backbone.net, ViT):
        return {key: _of_a_vit(key.removeprefix("net."), library) for key in keys}
    return {}


def _of_a_vit(name: str, library: Library) -> str:
    for ours, theirs in _PARTS[library]:
        at = name.find(ours)
        if at == 0 or (at > 0 and name[at - 1] == "."):
            name = name[:at] + theirs + name[at + len(ours) :]
    return name


def to_library(backbone: Backbone, library: Library, *, height: int, width: int) -> dict[str, Tensor]:
    """The weights under the names of `library`, a ViT's positions for images of height x width among them."""
    state = {theirs: backbone.state_dict()[ours] for ours, theirs in names_in(backbone, library).items()}
    if isinstance(backbone.net, ViT):
        state[_PLACES[library]] = _places(backbone.net, height, width)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _places(net: ViT, height: int, width: int) -> Tensor:
    grid = positions(height // net.patch, width // net.patch, net.features)
    return torch.cat((torch.zeros(1, net.features), grid))[None]


def adopt(
    backbone: Backbone, state: Mapping[str, Tensor], *, height: int, width: int, prefer: str = ""
) -> dict[str, Tensor]:
    """The encoder in `state`, which may be a part of it, under our names: `backbone.load_state_dict` takes it.

    Args:
        state: names of ours, of torchvision or of timm, with whatever before them ("module.encoder_q.").
        height, width: of the images that a ViT is to see.
        prefer: what stands before the names of the encoder to take where there are several.

    Raises:
        ValueError: there is none, or it is another network.
    """
    own = {key: key for key in backbone.state_dict()}
    trouble = ""
    for library in (None, "torchvision", "timm"):
        names = own if library is None else names_in(backbone, library)
        for prefix in sorted(_prefixes(names, state), key=lambda found: (found != prefer, found)):
            taken = {ours: state[prefix + theirs] for ours, theirs in names.items()}
            odd = _misfit(backbone, taken) or _other_places(backbone, state, library, prefix, height, width)
            if not odd:
                return taken
            trouble = trouble or odd
    raise ValueError(trouble or "it holds no such network")


def _prefixes(names: Mapping[str, str], state: Mapping[str, Tensor]) -> Iterator[str]:
    """What stands in `state` before all of `names`."""
    for first in list(names.values())[:1]:
        for key in state:
            prefix = key.removesuffix(first)
            if prefix == key or (prefix and not prefix.endswith(".")):
                continue
            if all(prefix + name in state for name in names.values()):
                yield prefix


def _misfit(backbone: Backbone, taken: Mapping[str, Tensor]) -> str:
    for name, tensor in backbone.state_dict().items():
        if taken[name].shape != tensor.shape:
            theirs, ours = list(taken[name].shape), list(tensor.shape)
            return f"{name.removeprefix('net.').removeprefix('net.')} is {theirs} there, and {ours} here"
    return ""


def _other_places(
    backbone: Backbone, state: Mapping[str, Tensor], library: str | None, prefix: str, height: int, width: int
) -> str:
    if library is None or not isinstance(backbone.net, ViT):
        return ""
    theirs = state.get(prefix + _PLACES[library])  # type: ignore[index]
    ours = _places(backbone.net, height, width)
    if theirs is not None and theirs.shape == ours.shape and torch.allclose(theirs.float(), ours, atol=1e-3):
        return ""
    return "its positions are its own, where ours are sines and cosines of the place (arXiv:2104.02057, §4.3)"
