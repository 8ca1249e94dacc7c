"""What is said of a latent space: its middle, directions and ranges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sslterm.errors import DataError, UsageError
from sslterm.evaluate.space import MOST_DIRECTIONS, describe_space
from sslterm.evaluate.tsne import tsne_map
from sslterm.worker.embedding import nearest
from tests.test_evaluate_latent import Coded, Priorless, Transparent, codes


def test_a_normal_space_has_its_prior_as_scale_and_the_codes_as_order() -> None:
    space = describe_space(Coded(3), codes())
    assert (space.dimensions, space.prior, space.codes) == (3, "normal", 400)
    assert torch.equal(space.origin, torch.zeros(3))
    family = space.families["dimensions"]
    assert family.names == ("z2", "z3", "z1")  # standard deviations are 1, 5 and 2
    assert torch.equal(family.vectors, torch.eye(3)[[1, 2, 0]])
    assert family.quantiles is None


def test_principal_directions_come_with_the_quantiles_of_the_codes() -> None:
    images = codes(mean=2.0)
    family = describe_space(Coded(3), images).families["principal"]
    flat = images.flatten(1).double()
    assert family.quantiles is not None
    for vector, quantiles in zip(family.vectors, family.quantiles, strict=True):
        expected = np.quantile(flat.numpy() @ vector.double().numpy(), np.linspace(0, 1, 101))
        np.testing.assert_allclose(quantiles.numpy(), expected, atol=1e-5)
    torch.testing.assert_close(family.vectors @ family.vectors.T, torch.eye(3), atol=1e-5, rtol=0)


def test_without_a_prior_the_middle_and_the_ranges_are_those_of_the_codes() -> None:
    images = codes(stds=(1.0, 4.0), mean=10.0)
    space = describe_space(Priorless(2), images)
    torch.testing.assert_close(space.origin, images.flatten(1).mean(0))
    family = space.families["dimensions"]
    assert family.names == ("z1", "z2")  # two dimensions stay in their own order
    assert family.quantiles is not None
    assert list(space.families) == ["dimensions"]

    class Bare(Transparent):
        latent_prior = "none"

    with pytest.raises(UsageError, match="neither a prior nor codes"):
        describe_space(Bare(2), images)


def test_where_nothing_encodes_directions_are_ordered_by_their_effect() -> None:
    class Weighted(Transparent):
        def decode(self, z: Tensor) -> Tensor:
            return super().decode(z * torch.tensor([0.1, 0.5, 2.0, 1.0]))

    space = describe_space(Weighted(4), codes())
    assert space.families["dimensions"].names == ("z3", "z4", "z2", "z1")
    assert list(space.families) == ["dimensions"]
    assert space.codes == 0


def test_a_diverged_encoder_leaves_the_prior_and_large_spaces_are_cut() -> None:
    class Diverged(Coded):
        def encode(self, images: Tensor) -> Tensor:
            return images.flatten(1) * torch.nan

    assert describe_space(Diverged(3), codes()).codes == 0
    wide = describe_space(Transparent(200), codes())
    assert wide.families["dimensions"].vectors.shape == (MOST_DIRECTIONS, 200)


def test_neighbours_are_the_most_similar_by_cosine() -> None:
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.rand(50, 1) * 9
    places, similarities = nearest(features, 7, 5)
    x = features.double().numpy()
    cosine = x @ x[7] / np.linalg.norm(x, axis=1) / np.linalg.norm(x[7])
    order = [int(i) for i in np.argsort(-cosine) if i != 7][:5]
    assert places == order
    np.testing.assert_allclose(similarities, cosine[order], atol=1e-6)
    assert nearest(features[:3], 0, 9)[0] in ([1, 2], [2, 1])  # no more than there are
    assert nearest(torch.full((3, 2), torch.nan), 0, 2)[1] == [0.0, 0.0]


def test_tsne_keeps_two_clusters_apart_and_tells_how_far_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 60, generator=generator) + 30 * (torch.arange(40) % 2)[:, None]
    told: list[tuple[str, int, int]] = []
    points, what = tsne_map(features, seed=0, progress=lambda *news: told.append(news))
    even, odd = points[::2], points[1::2]
    between = float((even.mean(0) - odd.mean(0)).norm())
    assert between > 2 * float((even - even.mean(0)).norm(dim=1).max())
    assert "perplexity 13, seed 0) of the first 50 principal components of the 60-dimensional" in what
    assert told[0] == ("t-SNE", 0, 1000)
    assert told[-1] == ("t-SNE", 1000, 1000)
    again, _ = tsne_map(features, seed=0)
    assert torch.equal(points, again)
    for bad in (features[:5], features * torch.nan):
        with pytest.raises(DataError):
            tsne_map(bad, seed=0)
