"""Likelihoods against a model whose evidence is known in closed form."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sslterm.data.source import Split
from sslterm.data.store import Store
from sslterm.evaluate.features import choose
from sslterm.evaluate.independent import independent_log_probs
from sslterm.evaluate.likelihood import BATCH, likelihood, log_probs
from sslterm.evaluate.online import online_metrics
from sslterm.methods.base import Method
from sslterm.nn.bits import PROTOCOLS, binarize

CPU = torch.device("cpu")
DIMENSIONS, LATENT, NOISE = 4, 2, 0.3


class LinearGaussian(Method):
    """x = W z + noise with z ~ N(0, I): probabilistic PCA, with a posterior that is deliberately too wide."""

    likelihood_kind = "bound"
    likelihood_protocol = "linear Gaussian"

    def __init__(self, widen: float = 1.5) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(DIMENSIONS, LATENT, generator=generator))
        self.widen = widen

    def evidence(self, x: Tensor) -> Tensor:
        covariance = self.weight @ self.weight.T + NOISE**2 * torch.eye(DIMENSIONS)
        return torch.distributions.MultivariateNormal(torch.zeros(DIMENSIONS), covariance).log_prob(
            x.flatten(1)
        )

    def log_weights(self, x: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """log p(x, z) - log q(z|x), [k, B]."""
        precision = torch.eye(LATENT) + self.weight.T @ self.weight / NOISE**2
        covariance = torch.linalg.inv(precision)
        mean = x.flatten(1) @ self.weight @ covariance / NOISE**2
        root = self.widen * torch.linalg.cholesky(covariance)
        q = torch.distributions.MultivariateNormal(mean, scale_tril=root)
        z = mean + torch.randn(k, len(x), LATENT, generator=generator) @ root.T
        normal = torch.distributions.Normal
        joint = normal(z @ self.weight.T, NOISE).log_prob(x.flatten(1)).sum(-1) + normal(0, 1).log_prob(
            z
        ).sum(-1)
        return joint - q.log_prob(z)

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return self.log_weights(images, 1, generator)[0]

    def importance_log_prob(self, images: Tensor, k: int, generator: torch.Generator) -> Tensor:
        return self.log_weights(images, k, generator).logsumexp(0) - math.log(k)


class Exact(LinearGaussian):
    likelihood_kind = "exact"
    importance_log_prob = None  # type: ignore[assignment]

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return self.evidence(images)


def make_store(n: int = 950) -> Store:
    images = torch.randint(256, (n, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Store(Split(images, torch.full((n,), -1)), CPU)


def test_the_bound_rises_with_k_towards_the_evidence() -> None:
    method, store = LinearGaussian(), make_store()
    images = store.batch(torch.arange(950)).images
    with torch.no_grad():
        truth = float(method.evidence(images).double().mean())
    index = torch.arange(950)
    elbo = float(log_probs(method, store, index, seed=0).mean())
    bounds = [float(log_probs(method, store, index, seed=0, k=k).mean()) for k in (1, 10, 100, 3000)]
    assert bounds[0] == pytest.approx(elbo, abs=1e-9)
    assert bounds[0] < bounds[1] < bounds[2] < bounds[3] < truth + 0.003
    assert bounds[3] == pytest.approx(truth, abs=0.003)
    assert truth - elbo > 0.1


def test_results_say_what_they_are() -> None:
    method, store = LinearGaussian(), make_store()
    nats, bits, weighted = likelihood(method, store, n=400, k=50, seed=2)
    assert [row["name"] for row in (nats, bits, weighted)] == [
        "neg_elbo_nats",
        "neg_elbo_bits_per_dim",
        "iw_nll_nats@50",
    ]
    assert [row["unit"] for row in (nats, bits, weighted)] == ["nats", "bits/dim", "nats"]
    for row in (nats, bits, weighted):
        assert (row["kind"], row["n"], row["split"], row["seed"]) == ("bound", 400, "test", 2)
        assert row["protocol"] == "linear Gaussian"
    assert bits["value"] == pytest.approx(nats["value"] / (4 * math.log(2)))
    assert weighted["value"] < nats["value"]


def test_mean_and_standard_error_of_an_exact_likelihood() -> None:
    method, store = Exact(), make_store()
    (nats, _) = likelihood(method, store, k=50)
    values = -method.evidence(store.batch(torch.arange(950)).images).detach().double()
    assert nats["name"] == "nll_nats"
    assert nats["kind"] == "exact"
    assert nats["n"] == 950
    assert nats["value"] == pytest.approx(float(values.mean()), rel=1e-6)
    assert nats["standard_error"] == pytest.approx(float(values.std()) / 950**0.5, rel=1e-5)
    (alone, _) = likelihood(method, store, n=1)
    assert alone["standard_error"] is None


def test_uniform_noise_has_eight_bits_per_dim() -> None:
    class Uniform(Exact):
        def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
            return torch.full((len(images),), -DIMENSIONS * math.log(256))

    _, bits = likelihood(Uniform(), make_store())
    assert bits["value"] == pytest.approx(8.0)


def test_a_seed_repeats_and_a_smaller_n_is_a_part_of_a_larger() -> None:
    method, store = LinearGaussian(), make_store()
    order = torch.randperm(950, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(4)
    before = torch.get_rng_state()
    whole = log_probs(method, store, order, seed=0)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(whole, log_probs(method, store, order, seed=0))
    assert not torch.equal(whole, log_probs(method, store, order, seed=1))
    assert torch.equal(whole[: 3 * BATCH], log_probs(method, store, order[: 3 * BATCH], seed=0))


def test_binarization_is_the_same_for_the_bound_and_the_weighted_bound() -> None:
    class Binarizing(LinearGaussian):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Tensor] = []

        def observe(self, images: Tensor, generator: torch.Generator) -> Tensor:
            x = (torch.rand(images.shape, generator=generator) < images).float()
            self.seen.append(x)
            return x

        def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
            return super().log_prob(self.observe(images, generator), generator)

        def importance_log_prob(self, images: Tensor, k: int, generator: torch.Generator) -> Tensor:
            return super().importance_log_prob(self.observe(images, generator), k, generator)

    method, store = Binarizing(), make_store(250)
    list(likelihood(method, store, k=7))
    assert len(method.seen) == 6
    for plain, weighted in zip(method.seen[:3], method.seen[3:], strict=True):
        assert torch.equal(plain, weighted)
    assert not torch.equal(method.seen[0], method.seen[1])  # batches differ in their noise


# -- what a likelihood is to be read beside


class Bernoullis(Method):
    """Independent pixels with given frequencies, of greys that are drawn as bits."""

    likelihood_kind = "exact"

    def __init__(self, chance: Tensor, how: str) -> None:
        super().__init__()
        self.chance, self.how = nn.Parameter(chance), how
        self.likelihood_protocol = PROTOCOLS[how]

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        bits = binarize(images, self.how, generator)  # type: ignore[arg-type]
        return torch.distributions.Bernoulli(self.chance).log_prob(bits).flatten(1).sum(1)


@pytest.mark.parametrize("how", ["dynamic", "fixed", "threshold"])
def test_the_independent_baseline_is_that_model_on_the_same_bits(how: str) -> None:
    train, test = make_store(400), make_store(250)
    greys = train.images.float() / 255
    ones = greys.sum(0) if how == "dynamic" else binarize(greys, how).sum(0)  # type: ignore[arg-type]
    method = Bernoullis((ones + 1) / 402, how)
    nats, bits = likelihood(method, test, seed=3, train=train)
    assert nats["baseline_independent"] == pytest.approx(nats["value"], rel=1e-5)
    assert bits["baseline_independent"] == pytest.approx(bits["value"], rel=1e-5)
    assert "baseline_untrained" not in nats


def test_fixed_bits_are_told_by_their_hash() -> None:
    train, test = make_store(50), make_store(130)
    method = Bernoullis(torch.full(test.shape, 0.5), "fixed")
    rows = [
        next(iter(likelihood(method, test, n=n, seed=seed, train=train)))
        for n, seed in ((None, 0), (None, 5), (9, 0))
    ]
    bits = np.packbits((binarize(test.images.float() / 255, "fixed").flatten(1) > 0).numpy(), axis=1)
    said = (
        f"fixed binarization; bits of these images sha256 {hashlib.sha256(bits.tobytes()).hexdigest()[:12]}"
    )
    assert [row["protocol"] for row in rows[:2]] == [said, said]  # whatever the seed of an evaluation
    assert rows[2]["protocol"] != said  # of other images
    assert rows[0]["value"] == pytest.approx(rows[1]["value"])


def test_independent_levels_are_counted_with_one_more_of_each() -> None:
    images = torch.zeros(3, 1, 1, 2, dtype=torch.uint8)
    images[2, 0, 0, 1] = 255
    train = Store(Split(images, torch.full((3,), -1)), CPU)
    test = Store(Split(images[1:], torch.full((2,), -1)), CPU)
    found = independent_log_probs("8-bit pixels", train, test, torch.tensor([0, 1]), seed=0, size=1)
    assert found is not None
    expected = [math.log(4 / 259) + math.log(3 / 259), math.log(4 / 259) + math.log(2 / 259)]
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


def test_baselines_that_are_not_known_are_absent() -> None:
    nats, _, weighted = likelihood(LinearGaussian(), make_store(), k=5, train=make_store(100))
    assert not {"baseline_independent", "baseline_untrained"} & set(nats)
    nats, bits, weighted = likelihood(LinearGaussian(), make_store(), k=5, untrained=Exact())
    (alone, _) = likelihood(Exact(), make_store())
    assert nats["baseline_untrained"] == pytest.approx(alone["value"], rel=1e-9)
    assert bits["baseline_untrained"] == pytest.approx(nats["baseline_untrained"] / (4 * math.log(2)))
    assert "baseline_untrained" not in weighted  # it would cost as many samples again


@pytest.mark.parametrize(("passes", "images"), [(1, 950), (40, 250), (5_000, 100)])
def test_online_a_density_of_many_forward_passes_is_taken_of_fewer_images(passes: int, images: int) -> None:
    method, store = Exact(), make_store()
    method.likelihood_passes = passes
    index = choose(950, images, seed=3)
    expected = -method.evidence(store.batch(index).images).detach().double().mean()
    numbers = dict(online_metrics(method, store, store, seed=3))
    assert numbers["test/nll_nats"] == pytest.approx(float(expected), abs=1e-5)
