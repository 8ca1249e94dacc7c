"""Features: what an evaluation sees, and that it leaves no trace in what it looks at."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.data.batch import Batch
from sslterm.data.source import Split
from sslterm.data.store import Store
from sslterm.errors import UsageError
from sslterm.evaluate.features import (
    BATCH_VALUES,
    choose,
    encode,
    encode_layers,
    evaluating,
    fitting,
    flat_features,
    own_randomness,
    pixels,
    rankme,
    relative_std,
    singular_values,
    stills,
)
from sslterm.evaluate.online import GALLERY, online_metrics, raw_pixel_metrics
from sslterm.evaluate.panels import capability_panels, principal_plane
from sslterm.methods.base import Method

CPU = torch.device("cpu")


def make_store(n: int = 40, *, classes: int = 4, side: int = 8, seed: int = 0) -> Store:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, 1, side, side), dtype=torch.uint8, generator=generator)
    return Store(Split(images, torch.arange(n) % classes), CPU)


class Noisy(Method):
    """Can do everything, by all that can betray an evaluation: dropout, batch statistics, global draws."""

    latent_prior = "normal"
    likelihood_kind = "bound"
    likelihood_protocol = "of a test"

    def __init__(self, latent_dim: int = 2) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(64, latent_dim), nn.BatchNorm1d(latent_dim), nn.Dropout()
        )
        self.back = nn.Linear(latent_dim, 64)
        self.frozen = nn.BatchNorm1d(3).eval()

    def encode(self, images: Tensor) -> Tensor:
        return self.net(images)

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        return {
            "first": self.net[1](images.flatten(1)),
            "map": images.expand(-1, 3, -1, -1),
            "last": self.net(images),
        }

    def decode(self, z: Tensor) -> Tensor:
        return self.back(z).sigmoid().view(-1, 1, 8, 8)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images) + 0.1 * torch.randn(len(images), self.latent_dim))

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        z = torch.randn(n, self.latent_dim, generator=generator)
        yield self.decode(0.5 * z)
        yield self.decode(z + 0 * torch.rand(()))

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return -torch.rand(len(images)) - torch.rand(len(images), generator=generator)


def state_of(method: nn.Module) -> tuple[list[bool], list[Tensor], Tensor]:
    return (
        [part.training for part in method.modules()],
        [tensor.clone() for tensor in method.state_dict().values()],
        torch.get_rng_state(),
    )


def assert_untouched(before: tuple[list[bool], list[Tensor], Tensor], method: nn.Module) -> None:
    modes, tensors, random_state = state_of(method)
    assert modes == before[0]
    assert all(torch.equal(a, b) for a, b in zip(tensors, before[1], strict=True))
    assert torch.equal(random_state, before[2])


def test_metrics_and_panels_leave_no_trace_even_between_two_of_them() -> None:
    method = Noisy().train()
    method.frozen.eval()
    store = make_store()
    batch = store.batch(torch.arange(40))
    torch.manual_seed(5)
    before = state_of(method)
    names = []
    for name, _ in online_metrics(method, store, store, seed=3):
        assert_untouched(before, method)  # suspended in the middle: the training may go on from here
        assert torch.is_grad_enabled()
        names.append(name)
    for panel in capability_panels(method, batch, seed=3):
        assert_untouched(before, method)
        assert torch.is_grad_enabled()
        names.append(panel.name)
    assert_untouched(before, method)
    assert names == [
        "test/rankme", "test/relative_std", "test/knn", "test/neg_elbo_nats", "test/mse",
        "samples", "reconstructions", "latent-plane", "embedding-map", "spectrum", "neighbours",
    ]  # fmt: skip


def test_metrics_and_panels_repeat_whatever_the_random_state() -> None:
    method, store = Noisy(), make_store()
    batch = store.batch(torch.arange(40))
    outcomes = []
    for seed_outside in (1, 2):
        torch.manual_seed(seed_outside)
        metrics = dict(online_metrics(method, store, store, seed=0))
        outcomes.append((metrics, [panel.array for panel in capability_panels(method, batch, seed=0)]))
    assert outcomes[0][0] == outcomes[1][0]
    assert all((a == b).all() for a, b in zip(outcomes[0][1], outcomes[1][1], strict=True))
    other = dict(online_metrics(method, store, store, seed=1))
    assert other["test/mse"] != outcomes[0][0]["test/mse"]


def test_a_mistake_inside_an_evaluation_leaves_no_trace_either() -> None:
    method = Noisy().train()
    before = state_of(method)
    with pytest.raises(ZeroDivisionError), evaluating(method), own_randomness(CPU, 0):
        1 / (torch.rand(3).ndim - 1)
    assert_untouched(before, method)


def test_draws_inside_own_randomness_follow_its_seed() -> None:
    def drawn(seed: int) -> Tensor:
        with own_randomness(CPU, seed):
            return torch.rand(4)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_encoding_is_in_evaluation_mode_without_gradients_and_in_order() -> None:
    method, store = Noisy(3).train(), make_store(1100)
    method.net[2].running_mean.normal_()  # type: ignore[union-attr]
    features = encode(method, store)
    method.eval()
    with torch.no_grad():
        expected = torch.cat(
            [method.encode(store.batch(torch.tensor([i])).images) for i in range(0, 1100, 97)]
        )
    torch.testing.assert_close(features.values[::97], expected)
    assert not features.values.requires_grad
    assert features.values.dtype == torch.float32
    assert torch.equal(features.labels, store.labels)
    some = encode(method, store, torch.tensor([7, 3]))
    torch.testing.assert_close(some.values, features.values[[7, 3]])


def test_features_stay_float32_under_autocast() -> None:
    method, store = Noisy(), make_store()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encode(method, store).values, encode(method, store).values.float())
        inside = encode(method, store).values
    assert torch.equal(inside, encode(method, store).values)


def test_layers_are_pooled_to_two_by_two_and_named() -> None:
    method, store = Noisy(), make_store()
    layers = encode_layers(method, store)
    assert list(layers) == ["first", "map", "last"]
    assert layers["map"].values.shape == (40, 12)
    image = store.batch(torch.tensor([5])).images[0, 0]
    quadrants = [image[:4, :4].mean(), image[:4, 4:].mean(), image[4:, :4].mean(), image[4:, 4:].mean()]
    torch.testing.assert_close(layers["map"].values[5, :4], torch.stack(quadrants))
    with pytest.raises(UsageError, match="frist") as error:
        encode_layers(method, store, names=("frist",))
    assert "first" in error.value.hint


def test_tokens_are_averaged_and_vectors_kept() -> None:
    tokens = torch.randn(3, 5, 7)
    torch.testing.assert_close(flat_features(tokens), tokens.mean(1))
    vectors = torch.randn(3, 5)
    assert torch.equal(flat_features(vectors), vectors)


def test_pixels_are_the_images() -> None:
    store = make_store(5)
    assert torch.equal(pixels(store).values, store.images.flatten(1).float() / 255)


def test_chosen_positions_are_distinct_and_nested() -> None:
    ten, all_of_them = choose(50, 10, seed=1), choose(50, None, seed=1)
    assert torch.equal(ten, all_of_them[:10])
    assert sorted(all_of_them.tolist()) == list(range(50))
    assert not torch.equal(ten, torch.arange(10))
    assert len(choose(5, 10, seed=1)) == 5


@pytest.mark.parametrize("shape", [(200, 16), (16, 200)])
def test_rankme_is_its_definition(shape: tuple[int, int]) -> None:
    features = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) @ torch.diag(
        torch.logspace(0, -3, shape[1])
    )
    sigma = torch.linalg.svdvals(features.double())
    torch.testing.assert_close(singular_values(features), sigma, rtol=1e-5, atol=1e-8)
    total = 0.0
    for value in sigma:
        share = float(value / sigma.sum()) + 1e-7
        total -= share * math.log(share)
    assert rankme(features) == pytest.approx(math.exp(total), rel=1e-6)


def test_rankme_of_known_spectra() -> None:
    assert rankme(torch.eye(32)) == pytest.approx(32, rel=1e-4)
    assert rankme(torch.ones(100, 32)) == pytest.approx(1, abs=1e-3)
    assert math.isnan(rankme(torch.full((4, 4), math.nan)))


def test_relative_std_of_a_sphere_is_one_and_of_a_point_zero() -> None:
    spread = torch.randn(20_000, 64, generator=torch.Generator().manual_seed(0))
    assert relative_std(spread) == pytest.approx(1, abs=0.01)
    assert relative_std(torch.ones(100, 64)) == pytest.approx(0, abs=1e-6)


def test_online_knn_needs_labels_on_both_sides() -> None:
    store = make_store()
    blind = Store(Split(store.images, torch.full((40,), -1)), CPU)
    assert "test/knn" not in dict(online_metrics(Noisy(), blind, store, seed=0))
    assert "test/knn" not in dict(online_metrics(Noisy(), store, blind, seed=0))
    assert dict(raw_pixel_metrics(blind, store, seed=0)) == {}


def test_online_knn_of_images_that_are_in_the_gallery_is_perfect() -> None:
    """At cosine 1 and temperature 0.07 an image outvotes nineteen unrelated ones."""
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(60, 1, 8, 8, dtype=torch.uint8)
    images.view(60, 64).scatter_(1, torch.arange(60)[:, None], 255)  # orthogonal: every other cosine is 0
    store = Store(Split(images, torch.randint(4, (60,), generator=generator)), CPU)
    assert dict(raw_pixel_metrics(store, store, seed=0)) == {"test/knn_pixels": 1.0}
    assert GALLERY >= 60


@pytest.mark.parametrize("shape", [(300, 5), (20, 50)])
def test_principal_plane_is_pca(shape: tuple[int, int]) -> None:
    features = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    features[:, :3] *= torch.tensor([30.0, 1, 20])
    points, share = principal_plane(features)
    decomposition = pytest.importorskip("sklearn.decomposition").PCA(2).fit(features.numpy())
    expected = torch.from_numpy(decomposition.transform(features.numpy()))
    torch.testing.assert_close(points.abs(), expected.abs(), rtol=1e-6, atol=1e-6)
    assert share == pytest.approx(decomposition.explained_variance_ratio_.tolist())
    one, share = principal_plane(features[:, :1])
    assert one.shape == (len(features), 2)
    assert share == pytest.approx((1.0, 0.0))


def test_the_principal_plane_of_a_collapsed_or_a_diverged_embedding_is_a_point() -> None:
    for features in (torch.full((20, 8), 3.0), torch.full((5, 8), 3.0), torch.full((5, 8), torch.nan)):
        points, shares = principal_plane(features.double())
        assert not points.any()
        assert shares == (0.0, 0.0)


def test_captions_say_how_many_and_which() -> None:
    store = make_store()
    panels = {
        panel.name: panel for panel in capability_panels(Noisy(), store.batch(torch.arange(40)), seed=9)
    }
    assert panels["samples"].caption == "64 samples, seed 9"
    assert panels["reconstructions"].caption.startswith("32 held-out images")
    assert panels["reconstructions"].array.shape == (64, 1, 8, 8)
    assert "normal quantiles 0.01 to 0.99" in panels["latent-plane"].caption
    assert "40 held-out images" in panels["embedding-map"].caption
    assert panels["embedding-map"].array.shape == (40, 3)
    wide = {p.name: p for p in capability_panels(Noisy(6), store.batch(torch.arange(40)), seed=9)}
    assert "latent-plane" not in wide
    assert "% of the variance" in wide["embedding-map"].caption
    assert "RankMe" in wide["spectrum"].caption


def test_a_map_names_its_classes() -> None:
    batch = make_store().batch(torch.arange(40))
    names = ("disc", "ring", "square", "star")
    panels = {p.name: p for p in capability_panels(Noisy(), batch, seed=9, class_names=names)}
    assert panels["embedding-map"].labels == names


def test_neighbours_are_the_nearest_by_cosine() -> None:
    method, images = Noisy(6), make_store().batch(torch.arange(40)).images
    panel = {p.name: p for p in capability_panels(method, make_store().batch(torch.arange(40)), seed=9)}[
        "neighbours"
    ]
    assert panel.columns == 8
    assert panel.array.shape == (64, *images.shape[1:])
    with torch.no_grad():
        features = method.eval().encode(images)
    for row in range(8):
        cosines = [float(F.cosine_similarity(features[row], other, dim=0)) for other in features]
        others = sorted((i for i in range(40) if i != row), key=lambda i: -cosines[i])[:7]
        wanted = images[[row, *others]].numpy()
        np.testing.assert_array_equal(panel.array[8 * row : 8 * row + 8], wanted)


def test_a_diverged_encoder_is_drawn_rather_than_fatal() -> None:
    method, store = Noisy(6), make_store()
    with torch.no_grad():
        method.net[1].weight.fill_(math.nan)  # type: ignore[union-attr]
    assert math.isnan(dict(online_metrics(method, store, store, seed=0))["test/rankme"])
    assert len(list(capability_panels(method, store.batch(torch.arange(40)), seed=0))) == 5


def test_a_map_without_labels_has_no_colours() -> None:
    store = make_store()
    batch = store.batch(torch.arange(40))
    blind = Batch(batch.images, batch.index, torch.full((40,), -1))
    panel = next(p for p in capability_panels(Noisy(), blind, seed=0) if p.name == "embedding-map")
    assert panel.array.shape == (40, 2)


def test_of_clips_the_middle_frame_is_the_baseline_and_few_are_held_at_once() -> None:
    clips = torch.arange(40 * 3, dtype=torch.uint8).view(40, 3, 1, 1, 1).expand(40, 3, 1, 4, 4).contiguous()
    store = Store(Split(clips, torch.zeros(40, dtype=torch.int64)), CPU)
    assert torch.equal((pixels(store).values[:, 0] * 255).round(), torch.arange(1.0, 120, 3))
    assert torch.equal(stills(clips), clips[:, 1])
    assert stills(clips[:, 0]).shape == (40, 1, 4, 4)
    assert fitting(500, (3, 32, 32)) == 500
    assert fitting(500, (4, 3, 144, 256)) == BATCH_VALUES // (4 * 3 * 144 * 256) < 500
    assert fitting(500, (1 << 30,)) == 1
