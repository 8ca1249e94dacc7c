"""Pictures of latent spaces, with decoders that write their code into the image."""

from __future__ import annotations

from statistics import NormalDist

import pytest
import torch
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.evaluate.latent import codes_of, latent_plane, walk
from sslterm.methods.base import Method


class Transparent(Method):
    """Decodes z to an image whose pixels are z itself, unclipped; encodes by reading them."""

    latent_prior = "normal"

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.unused = nn.Parameter(torch.zeros(()))

    def decode(self, z: Tensor) -> Tensor:
        return z.view(-1, 1, 1, self.latent_dim)


class Coded(Transparent):
    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        return {"code": self.encode(images)}

    def reconstruct(self, images: Tensor) -> Tensor:
        return images


class Priorless(Coded):
    latent_prior = "none"


def codes(n: int = 400, *, stds: tuple[float, ...] = (1.0, 5.0, 2.0), mean: float = 0.0) -> Tensor:
    z = torch.randn(n, len(stds), generator=torch.Generator().manual_seed(0))
    z = (z - z.mean(0)) / z.std(0, correction=0)
    return (z * torch.tensor(stds) + mean).view(n, 1, 1, len(stds))


def test_the_plane_lies_at_normal_quantiles_with_z1_rightwards_and_z2_upwards() -> None:
    panel = latent_plane(Transparent(2), torch.zeros(1, 1, 1, 2), steps=5)
    assert panel.columns == 5
    grid = torch.from_numpy(panel.array).view(5, 5, 2)
    shares = (0.01, 0.255, 0.5, 0.745, 0.99)
    quantiles = torch.tensor([NormalDist().inv_cdf(share) for share in shares])
    torch.testing.assert_close(grid[2, :, 0], quantiles, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(grid[:, 2, 1], quantiles.flip(0), atol=1e-6, rtol=1e-5)
    assert (grid[:, :, 0] == grid[0, :, 0]).all()
    assert (grid[:, :, 1] == grid[:, :1, 1]).all()


def test_without_a_prior_the_plane_covers_the_codes() -> None:
    images = codes(stds=(1.0, 4.0), mean=10.0)
    panel = latent_plane(Priorless(2), images, steps=3)
    grid = torch.from_numpy(panel.array).view(3, 3, 2)
    flat = images.flatten(1)
    for axis, line in ((0, grid[0, :, 0]), (1, grid[:, 0, 1].flip(0))):
        low, high = (torch.quantile(flat[:, axis], share) for share in (0.01, 0.99))
        torch.testing.assert_close(line, torch.stack([low, (low + high) / 2, high]))
    assert "400 held-out images" in panel.caption

    class Bare(Transparent):
        latent_prior = "none"

    with pytest.raises(UsageError, match="neither a prior nor codes"):
        latent_plane(Bare(2), images)


def test_a_walk_moves_one_dimension_from_minus_three_to_three_and_orders_by_variance() -> None:
    images = codes()
    panel = walk(Coded(3), images, dims=2, steps=7, seed=4)
    rows = torch.from_numpy(panel.array).view(2, 7, 3)
    assert "rows: z2, z3" in panel.caption
    torch.testing.assert_close(rows[0, :, 1], torch.linspace(-3, 3, 7))
    torch.testing.assert_close(rows[1, :, 2], torch.linspace(-3, 3, 7))
    base = rows[0, 0].clone()
    base[1] = rows[1, 0, 1]
    assert any(torch.allclose(base, image.flatten(), atol=1e-5) for image in images)  # a held-out code
    assert torch.equal(rows[0][:, [0, 2]], rows[0, :1, [0, 2]].expand(7, 2))
    assert panel.labels[0] == "-3 sd"
    assert panel.labels[3] == "+0 sd"


def test_without_a_prior_a_walk_is_measured_in_deviations_of_the_codes() -> None:
    panel = walk(Priorless(3), codes(mean=7.0), dims=1, steps=3)
    row = torch.from_numpy(panel.array).view(3, 3)
    torch.testing.assert_close(row[:, 1], torch.tensor([7.0 - 15, 7, 7 + 15]), rtol=1e-4, atol=1e-4)


def test_principal_directions_are_those_of_the_codes() -> None:
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)))[0]
    images = (codes().flatten(1) @ turn.T + 2).view(-1, 1, 1, 3)
    panel = walk(Coded(3), images, dims=3, steps=3, pca=True)
    rows = torch.from_numpy(panel.array).view(3, 3, 3)
    flat = images.flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat.T, correction=0))
    for row, value, vector in zip(rows, values.flip(0), vectors.T.flip(0), strict=True):
        step = row[2] - row[0]
        torch.testing.assert_close(step.norm(), 6 * value.sqrt(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            (step / step.norm() @ vector).abs(), torch.tensor(1.0), rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close((row[1] - flat.mean(0)) @ vector, torch.tensor(0.0), atol=1e-4, rtol=0)
    assert f"PC1 ({100 * float(values[-1] / values.sum()):.0f} %)" in panel.caption
    with pytest.raises(UsageError, match="--pca"):
        walk(Transparent(3), images, dims=3, steps=3, pca=True)


def test_where_nothing_encodes_dimensions_are_ordered_by_their_effect() -> None:
    class Weighted(Transparent):
        def decode(self, z: Tensor) -> Tensor:
            return super().decode(z * torch.tensor([0.1, 0.5, 2.0, 1.0]))

    panel = walk(Weighted(4), codes(), dims=2, steps=3, seed=1)
    assert "rows: z3, z4, by change of the picture" in panel.caption
    assert "drawn from the prior" in panel.caption
    rows = torch.from_numpy(panel.array).view(2, 3, 4)
    torch.testing.assert_close(rows[0, :, 2], torch.tensor([-6.0, 0.0, 6.0]))


def test_features_of_another_width_are_not_codes() -> None:
    class Discriminating(Coded):
        def encode(self, images: Tensor) -> Tensor:
            return torch.zeros(len(images), 99)

    assert codes_of(Discriminating(3), codes()) is None
    assert codes_of(Transparent(3), codes()) is None
    assert codes_of(Coded(3), codes()).shape == (400, 3)  # type: ignore[union-attr]
