"""What a decoder is asked: pictures of its latent space, single codes while one moves in it, paths."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.evaluate.features import choose, seeded
from sslterm.evaluate.latent import PLANE_STEPS, has_plane, latent_plane, walk
from sslterm.evaluate.paths import PathKind, default_path, path_through
from sslterm.evaluate.space import Family, describe_space
from sslterm.methods.base import Latent
from sslterm.run.packed import pack, pack_rows, unpack_rows
from sslterm.run.panels import Panel
from sslterm.worker.arithmetic import arithmetic
from sslterm.worker.codes import CODES, decoded, encoded, flat, latent_of, layout_of, of_class
from sslterm.worker.desk import Desk
from sslterm.worker.outputs import Report, pack_images, stages, to_bytes, within_bounds, write_output
from sslterm.worker.requests import Code, Decode, Explore, Interpolate, Traverse

MOST_CODES = 1024
"""Codes that are decoded for one request."""
MOST_STEPS = 101
"""Codes from one point of a path to the next."""
FINER = 4
"""Frames of an animation for each step of its strip."""


def traverse(desk: Desk, request: Traverse, report: Report) -> dict[str, Any]:
    """The plane of a latent space, rows along its directions, a path between two codes, or their arithmetic."""
    method = latent_of(desk, label=request.label)
    if request.steps == 1:
        raise UsageError("traverse: steps = 1 is out of range: it must be at least 2")
    stages(report)("decoding", 0, 1)
    if request.arithmetic:
        return arithmetic(desk, method, request)
    if request.between:
        return _path(desk, method, request)
    images = desk.held_out(CODES, seed=request.seed)
    if has_plane(method) and not request.dims and not request.pca:
        panel = latent_plane(method, images, steps=request.steps or PLANE_STEPS)
        stem = f"latent-plane-{desk.loaded.images}"
    else:
        dims, steps = request.dims or 10, request.steps or 11
        panel = walk(method, images, dims=dims, steps=steps, pca=request.pca, seed=request.seed)
        stem = f"traversal-{desk.loaded.images}-seed{request.seed}" + ("-pca" if request.pca else "")
    panel, stem = of_class(desk, method, panel, stem)
    path = write_output(desk.run, panel, stem, request.out)
    return {"path": path, **layout_of(method, panel)}


def _path(desk: Desk, method: Latent, request: Traverse) -> dict[str, Any]:
    if len(request.between) != 2:
        raise UsageError("a path needs two seeds", "give --from SEED and --to SEED")
    ends = request.ends
    if ends == "auto":
        ends = "prior" if method.latent_prior == "normal" else "codes"
    if ends == "prior" and method.latent_prior != "normal":
        raise UsageError("this latent space has no prior to draw from", "take codes of images: --ends codes")
    drawn = [_end(desk, method, seed, ends) for seed in request.between]
    names = tuple(name for name, _ in drawn)
    kind = _kind(method, request.path)
    panel, z = _strip(
        desk, method, torch.stack([z for _, z in drawn]), steps=request.steps or 11, kind=kind, names=names
    )
    frames = to_bytes(_animation(desk, method, z, kind)) if request.gif else None
    first, last = request.between
    stem = f"path-{desk.loaded.images}-{ends}{first}-{last}"
    panel, stem = of_class(desk, method, panel, stem)
    path = write_output(desk.run, panel, stem, request.out, also={"z": flat(z)}, frames=frames)
    gif = str(path).rpartition(".")[0] + ".gif" if request.gif else None
    return {"path": path, **layout_of(method, panel), "gif": gif, "kind": kind, "ends": ends}


def _end(desk: Desk, method: Latent, seed: int, ends: str) -> tuple[str, Tensor]:
    """The code that a seed means, and what it is called."""
    if ends == "prior":
        draw = torch.randn(method.latent_dim, generator=seeded(torch.device("cpu"), seed))
        return f"a draw from the prior (seed {seed})", draw
    index = choose(len(desk.test), 1, seed=seed)
    return f"test[{int(index)}] (seed {seed})", encoded(desk, method, desk.test.batch(index).images)[0]


def _kind(method: Latent, wanted: Literal["auto", "linear", "spherical"]) -> PathKind:
    return default_path(method.latent_prior, method.latent_dim) if wanted == "auto" else wanted


def _strip(
    desk: Desk, method: Latent, points: Tensor, *, steps: int, kind: PathKind, names: tuple[str, ...]
) -> tuple[Panel, Tensor]:
    """A row of images from each point to the next, and their codes [K - 1, steps, D]."""
    z = path_through(points, steps, kind)
    images = decoded(desk, method, z.flatten(0, 1))
    around = f"{kind} path" if kind == "linear" else "spherical path (slerp)"
    panel = Panel(
        name="path",
        kind="images",
        array=images.numpy(),
        caption=f"{around} in {steps} steps: {' to '.join(names) or f'{len(points)} codes'}",
        columns=steps,
        low=0.0,
        high=1.0,
        labels=tuple(f"{share:.2g}" for share in np.linspace(0, 1, steps)),
        x_label="share of the path" if len(z) == 1 else "share of the way to the next",
    )
    return panel, z


def _animation(desk: Desk, method: Latent, z: Tensor, kind: PathKind) -> Tensor:
    """The images of a path [K - 1, steps, D] in finer steps, without those that would come twice."""
    points = torch.cat([z[:, 0], z[-1:, -1]])
    finer = path_through(points, FINER * (z.shape[1] - 1) + 1, kind)
    frames = torch.cat([finer[:, :-1].flatten(0, 1), finer[-1:, -1]])
    return decoded(desk, method, frames)


# -- asked while one moves


def explore(desk: Desk, request: Explore) -> dict[str, Any]:
    """What there is to explore."""
    method = latent_of(desk)
    space = describe_space(method, desk.held_out(CODES, seed=request.seed), seed=request.seed)
    return {
        "dimensions": space.dimensions,
        "prior": space.prior,
        "origin": pack(space.origin.cpu().numpy()),
        "families": {name: _family(family) for name, family in space.families.items()},
        "codes": space.codes,
        "shape": list(desk.loaded.inputs.shape),
        "images": desk.loaded.images,
    }


def _family(family: Family) -> dict[str, Any]:
    quantiles = None if family.quantiles is None else pack(family.quantiles.numpy())
    return {
        "names": family.names,
        "vectors": pack(family.vectors.cpu().numpy()),
        "quantiles": quantiles,
        "order": family.order,
    }


def decode_codes(desk: Desk, request: Decode) -> dict[str, Any]:
    """What codes are decoded to."""
    method = latent_of(desk)
    z = _read(method, request.z)
    if len(z) > MOST_CODES:
        raise UsageError(f"{len(z)} codes are too many at once: at most {MOST_CODES}")
    return {"images": pack_images(within_bounds(decoded(desk, method, z), request.side))}


def _read(method: Latent, text: str) -> Tensor:
    try:
        rows = unpack_rows(text, method.latent_dim)
    except ValueError as error:
        raise UsageError(f"z: {error}") from error
    if not np.isfinite(rows).all():
        raise UsageError("z: a code is not finite")
    return torch.from_numpy(rows)


def code_of(desk: Desk, request: Code) -> dict[str, Any]:
    """A held-out image and its code."""
    method = latent_of(desk)
    order = choose(len(desk.test), None, seed=0)
    index = order[request.place % len(order)].view(1)
    batch = desk.test.batch(index)
    code = encoded(desk, method, batch.images)
    label, names = int(batch.label), desk.loaded.source.class_names
    return {
        "z": pack_rows(code.numpy()),
        "place": request.place,
        "index": int(index),
        "label": label,
        "class_name": names[label] if 0 <= label < len(names) else "",
        "image": pack_images(within_bounds(batch.images)),
    }


def interpolate(desk: Desk, request: Interpolate) -> dict[str, Any]:
    """Images along a path through points, and where they were saved."""
    method = latent_of(desk)
    points = _read(method, request.z)
    if len(points) < 2:
        raise UsageError("a path needs two points")
    if not 2 <= request.steps <= MOST_STEPS or request.steps * (len(points) - 1) > MOST_CODES:
        raise UsageError(f"{request.steps} steps through {len(points)} points: at most {MOST_STEPS} each")
    kind = _kind(method, request.path)
    panel, z = _strip(desk, method, points, steps=request.steps, kind=kind, names=request.names)
    path = gif = None
    if request.save:
        frames = to_bytes(_animation(desk, method, z, kind))
        stem = f"path-{desk.loaded.images}" + (f"-{''.join(request.names)}" if request.names else "")
        path = write_output(desk.run, panel, stem, "", also={"z": flat(z)}, frames=frames)
        gif = path.removesuffix(".png") + ".gif"
    images = pack_images(within_bounds(torch.from_numpy(panel.array)))
    return {"kind": kind, "z": pack(flat(z)), "images": images, "path": path, "gif": gif}
