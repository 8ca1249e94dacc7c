"""Pictures of a latent space: the plane of a two-dimensional one, and walks along directions of any."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.evaluate.features import device_of, evaluating, own_randomness, seeded
from sslterm.methods.base import Encodes, Latent, Reconstructs
from sslterm.run.panels import Panel

PLANE_STEPS = 20
QUANTILES = (0.01, 0.99)
"""The shares of the prior (or of the codes) between which the plane lies."""
REACH = 3.0
"""Standard deviations to either side that a walk goes."""


def codes_of(method: Latent, images: Tensor) -> Tensor | None:
    """Codes of images in the space that `decode` reads, [B, latent_dim]; None where there is no such encoder.

    A method may encode into another space than the one it decodes from (a GAN's discriminator features); it
    does have codes where it reconstructs or is invertible, and what it encodes into is as wide as what it
    decodes from.
    """
    if not encodes_for_decoding(method):
        return None
    assert isinstance(method, Encodes)
    codes = method.encode(images).float()
    return codes if codes.shape[1:] == (method.latent_dim,) else None


def encodes_for_decoding(method: Latent) -> bool:
    """Whether what it encodes into is the space that it decodes from."""
    undone = isinstance(method, Reconstructs) or getattr(method, "invertible", False)  # a flow's are exact
    return isinstance(method, Encodes) and undone


def decode(method: Latent, z: Tensor) -> Tensor:
    """[N, latent_dim] -> [N, C, H, W] in portions."""
    return torch.cat([method.decode(part) for part in torch.split(z, 250)]).float()


def has_plane(method: Latent) -> bool:
    """Whether the latent space has two dimensions and a known range: a prior, or codes."""
    return method.latent_dim == 2 and (method.latent_prior == "normal" or encodes_for_decoding(method))


def latent_plane(method: Latent, images: Tensor, *, steps: int = PLANE_STEPS) -> Panel:
    """Decoded grid over a two-dimensional latent space, z1 to the right and z2 upwards.

    Under a normal prior the grid lies at its quantiles, so that every picture stands for the same share of
    the prior (Kingma & Welling 2014, Fig. 4); without one, at even steps over the codes of `images`.
    """
    assert isinstance(method, nn.Module)
    assert method.latent_dim == 2
    low, high = QUANTILES
    with evaluating(method):
        if method.latent_prior == "normal":
            shares = torch.linspace(low, high, steps, dtype=torch.float64)
            axes = torch.special.ndtri(shares).float().expand(2, steps)
            where = f"normal quantiles {low:g} to {high:g}"
        else:
            codes = codes_of(method, images)
            if codes is None:
                raise UsageError(
                    "this latent space has neither a prior nor codes, so that its range is unknown"
                )
            ends = torch.quantile(codes.cpu(), torch.tensor([low, high]), dim=0)  # [2 ends, 2 axes]
            axes = torch.stack([torch.linspace(float(a), float(b), steps) for a, b in ends.T])
            where = f"quantiles {low:g} to {high:g} of the codes of {len(codes)} held-out images"
        z2, z1 = torch.meshgrid(axes[1].flip(0), axes[0], indexing="ij")
        z = torch.stack([z1.flatten(), z2.flatten()], 1).to(device_of(method))
        decoded = decode(method, z)
    return Panel(
        name="latent-plane",
        kind="images",
        array=decoded.cpu().numpy(),
        caption=f"{steps}x{steps} decoded codes at {where}",
        columns=steps,
        low=0.0,
        high=1.0,
        x_label=f"z1 from {float(axes[0, 0]):.2f} to {float(axes[0, -1]):.2f}",
        y_label=f"z2 from {float(axes[1, 0]):.2f} to {float(axes[1, -1]):.2f}",
    )


@dataclass(frozen=True)
class Directions:
    """Where a walk starts, and the directions it takes.

    Attributes:
        base: [D] the code that is walked away from.
        center: [D] the mean of the codes.
        vectors: [K, D] unit vectors, most important first.
        stds: [K] standard deviation of the codes along them.
        names: of the directions.
        order: what they are ordered by.
    """

    base: Tensor
    center: Tensor
    vectors: Tensor
    stds: Tensor
    names: tuple[str, ...]
    order: str


def walk(method: Latent, images: Tensor, *, dims: int, steps: int, pca: bool = False, seed: int = 0) -> Panel:
    """One row for each of the `dims` most important directions: a code moved along it from -3 to 3 sd.

    Args:
        images: [B, C, H, W] held out; the walk starts from the code of one, drawn by `seed`.
        pca: walk along principal directions of the codes in place of latent dimensions.

    Raises:
        UsageError: `pca` without an encoder into the latent space.
    """
    assert isinstance(method, nn.Module)
    device = device_of(method)
    with evaluating(method), own_randomness(device, seed):
        codes = codes_of(method, images)
        if pca:
            if codes is None:
                raise UsageError(
                    "--pca takes principal directions of codes, and nothing encodes into this latent space",
                    "leave it out to walk along latent dimensions",
                )
            directions = principal(codes, seed)
        elif codes is not None:
            directions = by_variance(method, codes, seed)
        else:
            directions = by_effect(method, seed)
        count = min(dims, len(directions.vectors))
        t = torch.linspace(-REACH, REACH, steps, device=device)
        rows = []
        for vector, std in zip(directions.vectors[:count], directions.stds[:count], strict=True):
            along = (
                directions.center - directions.base
            ) @ vector + t * std  # replaces the base's own coordinate
            rows.append(directions.base + along[:, None] * vector)
        decoded = decode(method, torch.cat(rows))
    start = "of a held-out image" if codes is not None else "drawn from the prior"
    return Panel(
        name="traversal",
        kind="images",
        array=decoded.cpu().numpy(),
        caption=(
            f"a code {start} (seed {seed}); rows: {', '.join(directions.names[:count])}, "
            f"by {directions.order}; columns: {-REACH:g} to {REACH:g} sd"
        ),
        columns=steps,
        low=0.0,
        high=1.0,
        labels=tuple(f"{round(float(sd), 1) or 0:+g} sd" for sd in t),
        x_label="standard deviations",
        y_label="direction",
    )


def by_variance(method: Latent, codes: Tensor, seed: int) -> Directions:
    """Latent dimensions by the variance of the codes: the activity of Burda et al. 2016, arXiv:1509.00519."""
    variance = codes.var(0, correction=0)
    order = variance.argsort(descending=True)
    normal = method.latent_prior == "normal"
    return Directions(
        base=codes[_pick(len(codes), seed)],
        center=torch.zeros_like(codes[0]) if normal else codes.mean(0),
        vectors=torch.eye(codes.shape[1], device=codes.device)[order],
        stds=torch.ones_like(variance) if normal else variance[order].sqrt(),
        names=tuple(f"z{position + 1}" for position in order.tolist()),
        order="variance of the codes",
    )


def principal(codes: Tensor, seed: int) -> Directions:
    """Principal directions of codes [N, D], by their variance."""
    center = codes.mean(0)
    covariance = (codes - center).T @ (codes - center) / len(codes)
    values, vectors = torch.linalg.eigh(covariance.cpu().double())
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    share = values / values.sum().clamp_min(1e-12)
    return Directions(
        base=codes[_pick(len(codes), seed)],
        center=center,
        vectors=vectors.T.to(codes),
        stds=values.sqrt().to(codes),
        names=tuple(f"PC{number + 1} ({100 * float(part):.0f} %)" for number, part in enumerate(share)),
        order="variance of the codes",
    )


def by_effect(method: Latent, seed: int) -> Directions:
    """Latent dimensions by how much the picture changes from -2 to 2 sd: where nothing encodes."""
    device = device_of(method)  # type: ignore[arg-type]
    base = torch.randn(method.latent_dim, generator=seeded(torch.device("cpu"), seed)).to(device)
    unit = torch.eye(method.latent_dim, device=device)
    there, back = (decode(method, base * (1 - unit) + 2 * sign * unit) for sign in (1, -1))
    effect = (there - back).square().flatten(1).mean(1)
    order = effect.argsort(descending=True)
    return Directions(
        base=base,
        center=torch.zeros_like(base),
        vectors=unit[order],
        stds=torch.ones_like(base),
        names=tuple(f"z{position + 1}" for position in order.tolist()),
        order="change of the picture",
    )


def _pick(total: int, seed: int) -> int:
    return int(torch.randint(total, (), generator=seeded(torch.device("cpu"), seed)))
