"""`export`: what was learned, in the forms that other programs read, checked against the run itself."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sslterm.errors import SsltermError, UsageError
from sslterm.evaluate.features import evaluating, own_randomness
from sslterm.methods.base import Encodes, Inputs, Latent, Method
from sslterm.nn.foreign import Library, names_in, to_library
from sslterm.nn.resnet import ResNet
from sslterm.nn.touched import touched
from sslterm.nn.vit import ViT
from sslterm.run.files import draft_of
from sslterm.worker.desk import Desk
from sslterm.worker.encoders import Encoder, find_encoder
from sslterm.worker.loaders import Network, image_program, of_timm, of_torchvision, onnx_program, own_program
from sslterm.worker.model_card import Card, write_card
from sslterm.worker.onnx_file import write_onnx
from sslterm.worker.outputs import Report, stages
from sslterm.worker.requests import Export

IMAGES = 16
"""Held-out images, and as many of noise, that an export is checked with."""
TOLERANCE = 1e-4
"""Most that a value may differ, over the largest of all (or 1 where that is less)."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "safetensors": (), "torchvision": (), "timm": ("timm",), "onnx": ("onnx", "onnxscript", "onnxruntime"),
}  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """How far what was exported is from the run."""

    part: str
    inputs: str
    n: int
    largest_difference: float
    largest_value: float


class _Part(nn.Module):
    """One computation of a method as a network of its own."""

    def __init__(self, method: Method, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.method = method
        self._compute = compute

    def forward(self, values: Tensor) -> Tensor:
        return self._compute(values)


def export(desk: Desk, request: Export, report: Report) -> dict[str, Any]:
    """Write a folder with weights, load.py, configuration, a picture and a README; whole or not at all."""
    method, progress = desk.loaded.method, stages(report)
    if not isinstance(method, Encodes | Latent):
        raise desk.cannot("export")
    for library in NEEDED[request.to]:
        if find_spec(library) is None:
            raise UsageError(
                f"--to {request.to} needs {library}, which is not installed", "pip install 'sslterm[export]'"
            )
    target = Path(request.out)
    if target.exists() and not (request.force and target.is_dir() and (target / "load.py").exists()):
        raise UsageError(
            f"{target} exists already", "name another with --out, or replace an earlier export with --force"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(target)
    draft.mkdir()
    try:
        shutil.copyfile(desk.run.config, draft / "config.toml")
        with evaluating(method), own_randomness(desk.device, 0), torch.no_grad():
            progress(f"writing {request.to}", 0, 2)
            encoder, parts, network = _write(desk, request, draft)
            progress("checking it against the run", 1, 2)
            checks = _check(desk, draft, encoder, parts, request.to)
        write_card(
            draft, desk,
            Card(
                request.to, encoder.which, encoder.method is method, tuple(parts),
                network.notes if network else (), tuple(checks),
            ),
        )  # fmt: skip
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    finally:
        with suppress(OSError):
            shutil.rmtree(draft)
    return {
        "path": str(target),
        "to": request.to,
        "encoder": encoder.which,
        "images": desk.loaded.images,
        "files": sorted(path.name for path in target.iterdir()),
        "checked": [vars(check) | {"tolerance": TOLERANCE} for check in checks],
    }


def _write(desk: Desk, request: Export, folder: Path) -> tuple[Encoder, list[str], Network | None]:
    method, inputs = desk.loaded.method, desk.loaded.inputs
    encoder = Encoder(method, "", None, "")
    if isinstance(method, Encodes):
        encoder = find_encoder(method, _held_out(desk)[:2], request.encoder)
    elif request.encoder != "auto":
        raise UsageError(f"{desk.loaded.experiment.run.method} has no encoder", "leave --encoder out")
    if request.to in ("torchvision", "timm"):
        network = _write_model(desk, encoder, "timm" if request.to == "timm" else "torchvision", folder)
        return encoder, ["encoder"], network
    parts = ["encoder"] if isinstance(method, Encodes) else []
    parts += ["decoder"] if isinstance(method, Latent) else []
    for part in parts:
        compute, example = _computation(desk, encoder.method, part)
        if request.to == "onnx":
            write_onnx(_Part(encoder.method, compute), example, part, folder / f"{part}.onnx")
        else:
            names = touched(encoder.method, partial(compute, example))
            tensors = {name: tensor.cpu().contiguous().clone() for name, tensor in names.items()}
            about = {"run": desk.run.name, "method": desk.loaded.experiment.run.method, "part": part}
            save_file(tensors, folder / f"{part}.safetensors", metadata=about)
    latent = method.latent_dim if isinstance(method, Latent) else 0
    shape = shape_of(inputs)
    text = onnx_program(parts, shape, latent) if request.to == "onnx" else own_program(parts, shape, inputs)
    (folder / "load.py").write_text(text)
    return encoder, parts, None


def shape_of(inputs: Inputs) -> str:
    """What goes in, as it is written: "[N, 3, 32, 32]"."""
    frames = f"{inputs.frames}, " if inputs.frames else ""
    return f"[N, {frames}{inputs.channels}, {inputs.height}, {inputs.width}]"


def _held_out(desk: Desk) -> Tensor:
    return desk.held_out(min(IMAGES, len(desk.test)), seed=0)


def _computation(desk: Desk, method: Method, part: str) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """`encode` or `decode`, and two rows of what it takes."""
    if part == "encoder":
        assert isinstance(method, Encodes)
        return method.encode, _held_out(desk)[:2]
    assert isinstance(method, Latent)
    return method.decode, torch.randn(2, method.latent_dim)


# -- the models of other libraries


def _write_model(desk: Desk, encoder: Encoder, library: Library, folder: Path) -> Network:
    inputs, name = desk.loaded.inputs, str(desk.loaded.experiment.method.get("backbone", ""))
    backbone = encoder.backbone
    method = desk.loaded.experiment.run.method
    if backbone is None or not names_in(backbone, library):
        what = "the small net `conv`" if backbone is not None else "a network of its own"
        raise UsageError(
            f"{library} has no such encoder: {method} of this run has {what}",
            "use --to onnx; ResNets and ViTs, which it has, are chosen with --set method.backbone",
        )
    pooling = _pooling(encoder, _held_out(desk), method, library)
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
        if _distance(backbone(images), truth) == 0:
            return "own"
        net = backbone.net
        if isinstance(net, ViT):
            tokens = net.encode_tokens(net.tokens(backbone.standardised(images)))
            if _distance(tokens[:, 1:].mean(1), truth) <= TOLERANCE:
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


# -- whether it is the same


def _check(desk: Desk, folder: Path, encoder: Encoder, parts: list[str], to: str) -> list[Checked]:
    """Run load.py, and compare.

    Raises:
        SsltermError: what comes out is something else.
    """
    program = runpy.run_path(str(folder / "load.py"))
    checks = []
    for part in parts:
        compute, example = _computation(desk, encoder.method, part)
        generator = torch.Generator().manual_seed(0)
        if part == "encoder":
            images = _held_out(desk)
            noise = torch.rand(images.shape, generator=generator)
            given = {"held-out images": images, "random images": noise}
        else:
            given = {"random codes": torch.randn(IMAGES, example.shape[1], generator=generator)}
        for what, values in given.items():
            truth = compute(values)
            found = _called(program["encode" if part == "encoder" else "decode"], values, to)
            if found.shape != truth.shape or _distance(found, truth) > TOLERANCE:
                raise SsltermError(
                    f"the exported {part} differs from the run on {what}: nothing was written",
                    "this is a mistake in sslterm; another --to may do",
                )
            largest = float((found - truth).abs().max())
            checks.append(Checked(part, what, len(values), largest, float(truth.abs().max())))
    return checks


def _called(program: Callable[[Any], Any], values: Tensor, to: str) -> Tensor:
    """What load.py makes of some inputs."""
    if to != "onnx":
        found: Tensor = program(values)
        return found
    try:
        return torch.from_numpy(program(values.numpy()))
    except Exception as error:  # onnxruntime's own, which it shares with nobody
        raise UsageError(
            "ONNX cannot hold this network for any number of images at once", "use --to safetensors"
        ) from error


def _distance(found: Tensor, truth: Tensor) -> float:
    """The largest difference, over the largest value or 1."""
    if found.shape != truth.shape or not bool(found.isfinite().all()):
        return float("inf")
    return float((found - truth).abs().max() / truth.abs().max().clamp_min(1))
