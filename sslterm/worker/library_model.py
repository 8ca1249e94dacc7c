"""Encoders as models of torchvision or timm, which are made and loaded without sslterm."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.methods.base import Encodes
from sslterm.nn.foreign import Library, names_in, to_library
from sslterm.nn.resnet import ResNet
from sslterm.nn.vit import ViT
from sslterm.worker.desk import Desk
from sslterm.worker.encoders import Encoder
from sslterm.worker.export_check import TOLERANCE, distance
from sslterm.worker.export_parts import held_out, instead
from sslterm.worker.loaders import Network, image_program, of_timm, of_torchvision


def write_model(desk: Desk, encoder: Encoder, library: Library, folder: Path) -> Network:
    """Write model.safetensors and load.py, and for timm config.json where it needs no more.

    Raises:
        UsageError: the library has no such network, or the run encodes with more than it.
    """
    inputs, name = desk.loaded.inputs, str(desk.loaded.experiment.method.get("backbone", ""))
    backbone = encoder.backbone
    method = desk.loaded.experiment.run.method
    if backbone is None or not names_in(backbone, library):
        what = "the small net `conv`" if backbone is not None else "a network of its own"
        known = "; ResNets and ViTs, which it has, are chosen with --set method.backbone" if name else ""
        raise UsageError(
            f"{library} has no such encoder: {method} of this run has {what}",
            instead(desk.loaded.method) + known,
        )
    pooling = _pooling(encoder, held_out(desk), method, library)
    if library == "torchvision" and isinstance(backbone.net, ViT) and inputs.height != inputs.width:
        raise UsageError(
            f"torchvision's ViT takes square images, and these are {inputs.width}x{inputs.height}",
            "use --to timm or --to onnx",
        )
    make = (
        of_timm(name, backbone, inputs, pooling)
        if library == "timm"
        else of_torchvision(name, backbone, inputs)
    )
    mean, std = (
        values.flatten().expand(inputs.channels).tolist()
        for values in (backbone.pixel_mean, backbone.pixel_std)
    )
    state = to_library(backbone, library, height=inputs.height, width=inputs.width)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "load.py").write_text(image_program(make, mean, std))
    if library == "timm" and not make.changes:
        usual = "avg" if isinstance(backbone.net, ResNet) else "token"
        arguments = {"global_pool": usual, **dict(make.arguments)}
        config = {
            "architecture": make.architecture, "num_classes": 0, "num_features": backbone.features,
            "global_pool": arguments["global_pool"], "model_args": arguments,
            "pretrained_cfg": {
                "num_classes": 0, "input_size": list(inputs.shape), "fixed_input_size": isinstance(backbone.net, ViT),
                "mean": mean, "std": std, "crop_pct": 1.0, "interpolation": "bicubic",
            },
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config, indent=1))
    return make


def _pooling(encoder: Encoder, images: Tensor, method: str, library: Library) -> str:
    """How the features come out of the network: "own", or the "mean" over a ViT's patches.

    Raises:
        UsageError: `encode` does more than the network and the library's way to pool.
    """
    backbone, whole = encoder.backbone, encoder.method
    assert backbone is not None
    assert isinstance(whole, Encodes)
    truth = whole.encode(images)
    if images.ndim == 4 and _takes(backbone, images):
        if distance(backbone(images), truth) == 0:
            return "own"
        net = backbone.net
        if isinstance(net, ViT):
            tokens = net.encode_tokens(net.tokens(backbone.standardised(images)))
            if distance(tokens[:, 1:].mean(1), truth) <= TOLERANCE:
                if library == "timm":
                    return "mean"
                raise UsageError(
                    "torchvision's ViT gives its class token, and this run encodes as the mean over patches",
                    "use --to timm or --to onnx",
                )
    raise UsageError(
        f"{method} of this run encodes with more than its network: {library} cannot hold the rest",
        "--to onnx holds all of it",
    )


def _takes(network: nn.Module, images: Tensor) -> bool:
    first = next(parameter for parameter in network.parameters() if parameter.ndim == 4)
    return first.shape[1] == images.shape[1]
