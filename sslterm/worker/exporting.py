"""`export`: what was learned, in the forms that other programs read, checked against the run itself."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from sslterm.errors import UsageError
from sslterm.evaluate.features import evaluating, own_randomness
from sslterm.methods.base import ClassLatent, Encodes, Latent
from sslterm.nn.foreign import Library
from sslterm.nn.touched import touched
from sslterm.run.files import draft_of
from sslterm.worker.desk import Desk
from sslterm.worker.encoders import Encoder, find_encoder
from sslterm.worker.export_check import TOLERANCE, check
from sslterm.worker.export_parts import Part, computation, held_out, instead, parts_of, shape_of
from sslterm.worker.library_model import write_model
from sslterm.worker.loaders import Network, onnx_program, own_program
from sslterm.worker.model_card import Card, write_card
from sslterm.worker.onnx_file import with_numbers, write_onnx
from sslterm.worker.outputs import Report, stages
from sslterm.worker.requests import Export

LIBRARIES: tuple[Library, ...] = ("torchvision", "timm")
"""Targets that make the network themselves."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "safetensors": (), "torchvision": (), "timm": ("timm",), "onnx": ("onnx", "onnxscript", "onnxruntime"),
}  # fmt: skip


def export(desk: Desk, request: Export, report: Report) -> dict[str, Any]:
    """Write a folder with weights, load.py, configuration, a picture and a README; whole or not at all."""
    method, progress = desk.loaded.method, stages(report)
    _require_form(desk, request)
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
            checks = check(desk, draft, encoder, parts, request.to)
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
        "checked": [vars(one) | {"tolerance": TOLERANCE} for one in checks],
    }


def _require_form(desk: Desk, request: Export) -> None:
    """Refuse what the target cannot hold, as far as it is known before anything is computed.

    Raises:
        UsageError: the method has no encoder or decoder, or not what the target takes, or a library is missing.
    """
    method, name, to = desk.loaded.method, desk.loaded.experiment.run.method, request.to
    if not parts_of(method):
        raise UsageError(f"{name} has no encoder, and no decoder of codes alone", desk.cannot("export").hint)
    if to == "onnx" and method.onnx_lacks:
        raise UsageError(f"ONNX cannot hold {name}: {method.onnx_lacks}", "use --to safetensors")
    if to in LIBRARIES and not isinstance(method, Encodes):
        raise UsageError(f"{to} is for encoders, and {name} has none", instead(method))
    if request.encoder != "auto" and not isinstance(method, Encodes):
        raise UsageError(f"{name} has no encoder", "leave --encoder out")
    for library in NEEDED[to]:
        if find_spec(library) is None:
            raise UsageError(
                f"--to {to} needs {library}, which is not installed", "pip install 'sslterm[export]'"
            )


def _write(desk: Desk, request: Export, folder: Path) -> tuple[Encoder, list[str], Network | None]:
    method, inputs = desk.loaded.method, desk.loaded.inputs
    encoder = Encoder(method, "", None, "")
    if isinstance(method, Encodes):
        encoder = find_encoder(method, held_out(desk)[:2], request.encoder)
    if request.to in LIBRARIES:
        network = write_model(desk, encoder, request.to, folder)
        return encoder, ["encoder"], network
    parts = parts_of(method)
    for part in parts:
        compute, example = computation(desk, encoder.method, part)
        if request.to == "onnx":
            settled = with_numbers(encoder.method)
            compute, _ = computation(desk, settled, part)
            compute(*example)  # standing statistics, say, are made when they are first needed: no layer of it
            write_onnx(Part(settled, compute), example, part, folder / f"{part}.onnx")
        else:
            names = touched(encoder.method, partial(compute, *example))
            tensors = {name: tensor.cpu().contiguous().clone() for name, tensor in names.items()}
            about = {"run": desk.run.name, "method": desk.loaded.experiment.run.method, "part": part}
            save_file(tensors, folder / f"{part}.safetensors", metadata=about)
    latent = method.latent_dim if isinstance(method, Latent | ClassLatent) else 0
    shape = shape_of(inputs)
    text = (
        onnx_program(parts, shape, latent)
        if request.to == "onnx"
        else own_program(parts, shape, latent, inputs)
    )
    (folder / "load.py").write_text(text)
    return encoder, parts, None
