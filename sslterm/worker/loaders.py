"""Programs that load what was exported, without sslterm where the target is another library's.

What is written beside the weights as load.py is also what the export is checked with: it is run, and has to give
what the run itself gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from sslterm.methods.base import Inputs
from sslterm.nn.backbone import Backbone
from sslterm.nn.resnet import ResNet
from sslterm.nn.vit import SHAPES, ViT

TIMM_OF = {
    "vit-micro": "vit_tiny_patch16_224", "vit-tiny": "vit_tiny_patch16_224",
    "vit-small": "vit_small_patch16_224", "vit-base": "vit_base_patch16_224",
}  # fmt: skip
"""timm's network of the same form, but for what is said when it is made."""


@dataclass(frozen=True)
class Network:
    """How another library makes a network.

    Attributes:
        make: the expression that makes it.
        imports: what it needs.
        changes: lines that alter what was made; `model` is its name.
        notes: what a person has to know who makes it without load.py.
        architecture, arguments: of timm, where `changes` is empty.
    """

    make: str
    imports: tuple[str, ...]
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    architecture: str = ""
    arguments: tuple[tuple[str, object], ...] = ()


def _conv1(net: ResNet) -> nn.Conv2d:
    convolution = net.net.conv1
    assert isinstance(convolution, nn.Conv2d)
    return convolution


def _stem(net: ResNet, channels: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines that give a standard ResNet the stem of ours, and why."""
    convolution = _conv1(net)
    side, stride, padding = (getattr(convolution, name)[0] for name in ("kernel_size", "stride", "padding"))
    line = f"model.conv1 = torch.nn.Conv2d({channels}, 64, {side}, stride={stride}, padding={padding}, bias=False)"
    if side == 3:
        return (line, "model.maxpool = torch.nn.Identity()"), (
            "It has the stem for small images: `conv1` is 3x3 with stride 1, and there is no max pooling. "
            "Set both before the weights are loaded, as load.py does; a standard one refuses them.",
        )
    if channels != 3:
        return (line,), (f"Its `conv1` takes {channels} channel; set it before the weights are loaded.",)
    return (), ()


def of_torchvision(name: str, backbone: Backbone, inputs: Inputs) -> Network:
    """How torchvision makes the network `name` of `nn.backbone`, for the images of `inputs`."""
    if isinstance(backbone.net, ResNet):
        depth = name.partition("-")[0]
        changes, notes = _stem(backbone.net, inputs.channels)
        changes = (*changes, "model.fc = torch.nn.Identity()  # features in place of classes")
        return Network(f"{depth}()", (f"from torchvision.models import {depth}",), changes, notes)
    shape, net = SHAPES[name], backbone.net
    assert isinstance(net, ViT)
    make = (
        f"VisionTransformer(image_size={inputs.height}, patch_size={net.patch}, num_layers={shape.depth}, "
        f"num_heads={shape.heads}, hidden_dim={shape.width}, mlp_dim={4 * shape.width})"
    )
    changes = ("model.heads = torch.nn.Identity()  # features in place of classes",)
    if inputs.channels != 3:
        size = f"{inputs.channels}, {shape.width}, {net.patch}, stride={net.patch}"
        changes = (f"model.conv_proj = torch.nn.Conv2d({size})", *changes)
    notes = (f"Its positions are those of images of {inputs.height} pixels; it takes no others.",)
    return Network(make, ("from torchvision.models import VisionTransformer",), changes, notes)


def of_timm(name: str, backbone: Backbone, inputs: Inputs, pooling: str) -> Network:
    """How timm makes the network `name` of `nn.backbone`, for the images of `inputs`."""
    if isinstance(backbone.net, ResNet):
        architecture = name.partition("-")[0]
        small = _conv1(backbone.net).kernel_size == (3, 3)  # else `in_chans` says it all
        changes, notes = _stem(backbone.net, inputs.channels) if small else ((), ())
        arguments: dict[str, object] = {"in_chans": inputs.channels}
    else:
        shape, net = SHAPES[name], backbone.net
        assert isinstance(net, ViT)
        architecture, changes = TIMM_OF[name], ()
        notes = (f"Its positions are those of images of {inputs.height}x{inputs.width} pixels.",)
        arguments = {
            "img_size": (inputs.height, inputs.width), "patch_size": net.patch, "in_chans": inputs.channels,
        }  # fmt: skip
        if name == "vit-micro":
            arguments |= {"embed_dim": shape.width, "depth": shape.depth, "num_heads": shape.heads}
        if pooling == "mean":
            arguments |= {"global_pool": "avg", "fc_norm": False}
    said = "".join(f", {key}={value!r}" for key, value in arguments.items())
    return Network(
        f'timm.create_model("{architecture}", num_classes=0{said})', ("import timm",), changes, notes,
        architecture, tuple(arguments.items()),
    )  # fmt: skip


def image_program(network: Network, mean: Sequence[float], std: Sequence[float]) -> str:
    """load.py of an encoder that torchvision or timm makes."""
    per_channel = [
        f"torch.tensor({[round(value, 7) for value in values]}).view(1, -1, 1, 1)" for values in (mean, std)
    ]
    lines = [
        '"""model = load(); features = encode(images), images [N, C, H, W] in [0, 1]."""',
        "",
        "from pathlib import Path",
        "",
        *sorted(line for line in network.imports if line.startswith("import")),
        "import torch",
        "from safetensors.torch import load_file",
        *sorted(line for line in network.imports if line.startswith("from")),
        "",
        f"MEAN = {per_channel[0]}",
        f"STD = {per_channel[1]}",
        "",
        "",
        "def load():",
        f"    model = {network.make}",
        *(f"    {line}" for line in network.changes),
        '    model.load_state_dict(load_file(Path(__file__).with_name("model.safetensors")))',
        "    return model.eval()",
        "",
        "",
        "@torch.no_grad()",
        "def encode(images, model=None):",
        "    return (model or load())((images - MEAN) / STD)",
    ]
    return "\n".join(lines) + "\n"


ONNX = '''"""{calls}: numpy, float32, images {shape} in [0, 1]."""

from pathlib import Path

import onnxruntime


def run(name, *values):
    session = onnxruntime.InferenceSession(Path(__file__).with_name(name + ".onnx"))
    return session.run(None, {{one.name: each for one, each in zip(session.get_inputs(), values)}})[0]
'''
"""load.py of networks in ONNX, before its functions."""
ONNX_PARTS = {
    "encoder": '\n\ndef encode(images):\n    return run("encoder", images)\n',
    "decoder": '\n\ndef decode(z):\n    return run("decoder", z)\n',
    "generator": '\n\ndef generate(z, label):\n    return run("generator", z, label)\n',
}


def onnx_program(parts: Sequence[str], shape: str, latent: int) -> str:
    """load.py of networks in ONNX."""
    return ONNX.format(calls=_calls(parts, latent), shape=shape) + "".join(ONNX_PARTS[part] for part in parts)


def _calls(parts: Sequence[str], latent: int) -> str:
    """How the functions of load.py are called."""
    calls = {
        "encoder": "features = encode(images)",
        "decoder": f"images = decode(z), z [N, {latent}]",
        "generator": f"images = generate(z, label), z [N, {latent}], label [N] int64",
    }
    return "; ".join(calls[part] for part in parts)


OWN = '''"""{calls}: torch, float32, images {shape} in [0, 1]; method = load(). Needs sslterm."""

import tomllib
from pathlib import Path

import torch
from safetensors.torch import load_file

from sslterm.config.read import parse_experiment
from sslterm.engine.build import build_method
from sslterm.methods.base import Inputs

HERE = Path(__file__).parent


def load():
    experiment = parse_experiment(tomllib.loads((HERE / "config.toml").read_text()), "config.toml")
    inputs = Inputs(
        channels={channels}, height={height}, width={width}, train_images={train_images},
        batch=experiment.train.batch, classes={classes}, frames={frames}, views=experiment.augment,
    )
    method = build_method(experiment, inputs)
    for file in {files}:  # what only the training needs is left as it was drawn
        method.load_state_dict(load_file(HERE / file), strict=False)
    return method.eval()
'''
OWN_PARTS = {
    "encoder": "\n\n@torch.no_grad()\ndef encode(images):\n    return load().encode(images)\n",
    "decoder": "\n\n@torch.no_grad()\ndef decode(z):\n    return load().decode(z)\n",
    "generator": "\n\n@torch.no_grad()\ndef generate(z, label):\n    return load().decode_class(z, label)\n",
}


def own_program(parts: Sequence[str], shape: str, latent: int, inputs: Inputs) -> str:
    """load.py of weights under our own names."""
    files = [f"{part}.safetensors" for part in parts]
    text = OWN.format(
        calls=_calls(parts, latent), shape=shape, channels=inputs.channels, height=inputs.height, width=inputs.width,
        train_images=inputs.train_images, classes=inputs.classes, frames=inputs.frames, files=files,
    )  # fmt: skip
    return text + "".join(OWN_PARTS[part] for part in parts)
