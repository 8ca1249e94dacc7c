"""The RBM against enumeration of all its states: free energy, log Z, Gibbs sampling, gradient, completion."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.data.source import Split
from sslterm.data.store import Store
from sslterm.errors import UsageError
from sslterm.evaluate.likelihood import likelihood, log_z_of
from sslterm.evaluate.online import online_metrics
from sslterm.methods.base import Inputs
from sslterm.methods.energy.rbm import RBM, free_energy
from sslterm.nn.ais import summarize
from sslterm.nn.bits import binarize

VISIBLE, HIDDEN = 9, 4
INPUTS = Inputs(channels=1, height=3, width=3, train_images=10)


def make(*, chains: int = 0, gibbs_steps: int = 1, binarization: str = "dynamic", scale: float = 0.8) -> RBM:
    """An RBM of 3x3 pixels, far enough from its independent start."""
    config = RBM.Config(
        hidden=HIDDEN, gibbs_steps=gibbs_steps, persistent_chains=chains, init_std=1.0,
        binarization=binarization,  # type: ignore[arg-type]
    )  # fmt: skip
    torch.manual_seed(0)
    method = RBM(config, INPUTS)
    with torch.no_grad():
        method.weight.mul_(scale)
        method.visible_bias.normal_(0, 0.5)
        method.hidden_bias.normal_(0, 0.5)
        method.base_bias.normal_(0, 0.5)
    return method.eval()


def states(n: int) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)))


def log_joint(method: RBM) -> Tensor:
    """-E(v, h) of every pair of states, [2^V, 2^H] float64."""
    v, h = states(VISIBLE).double(), states(HIDDEN).double()
    w, b, c = (p.detach().double() for p in (method.weight, method.visible_bias, method.hidden_bias))
    return (v @ b)[:, None] + (h @ c)[None] + v @ w @ h.T


def energies(method: RBM, v: Tensor) -> Tensor:
    return free_energy(v, method.weight, method.visible_bias, method.hidden_bias)


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)), torch.full((len(images),), -1))


def test_free_energies_are_those_of_the_sum_over_hidden_states() -> None:
    method = make()
    torch.testing.assert_close(
        energies(method, states(VISIBLE)).double(), -log_joint(method).logsumexp(1), atol=1e-5, rtol=1e-5
    )


def test_probabilities_of_all_images_sum_to_one() -> None:
    method = make()
    log_z = log_joint(method).logsumexp((0, 1))
    total = (-energies(method, states(VISIBLE)).double() - log_z).logsumexp(0).exp()
    assert total.item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_annealing_finds_the_enumerated_log_z(seed: int) -> None:
    method = make(scale=1.5)
    truth = log_joint(method).logsumexp((0, 1)).item()
    found = log_z_of(method, seed=seed, betas=300, chains=100)
    assert 0 < found.standard_error < 0.2
    assert abs(found.value - truth) < 3 * found.standard_error
    assert 1 < found.effective_chains <= 100


def test_annealing_is_exact_where_nothing_is_coupled() -> None:
    method = make(scale=0.0)
    with torch.no_grad():
        method.base_bias.copy_(method.visible_bias)
    found = log_z_of(method, seed=0, betas=10, chains=5)
    truth = log_joint(method).logsumexp((0, 1)).item()
    assert found.value == pytest.approx(truth, abs=1e-4)
    assert found.standard_error == pytest.approx(0.0, abs=1e-4)
    assert found.effective_chains == pytest.approx(5.0, abs=1e-3)


def test_a_single_annealing_step_is_plain_importance_sampling_without_bias() -> None:
    """Mean weight of one step from the first distribution, averaged over very many chains, is Z / Z_0."""
    method = make(scale=0.5)
    found = log_z_of(method, seed=1, betas=1, chains=200_000)
    truth = log_joint(method).logsumexp((0, 1)).item()
    assert found.value == pytest.approx(truth, abs=4 * found.standard_error)
    assert found.standard_error < 0.02


def test_the_summary_of_weights_is_what_numpy_would_say() -> None:
    weights = torch.tensor([1.0, 2.0, 4.0, 1.0], dtype=torch.float64)
    found = summarize(weights.log() + 700, 3.0, betas=7)
    assert found.value == pytest.approx(3.0 + 700 + math.log(2.0))
    assert found.standard_error == pytest.approx(weights.std().item() / 2 / 2.0)
    assert found.effective_chains == pytest.approx(64 / 22)
    assert (found.chains, found.betas) == (4, 7)


def test_gibbs_sampling_leaves_the_model_s_distribution_as_it_is() -> None:
    method = make()
    probability = log_joint(method).logsumexp(1).softmax(0)
    torch.manual_seed(1)
    rows = torch.multinomial(probability, 200_000, replacement=True)
    after, _ = method.gibbs((states(VISIBLE)[rows],), 3, torch.bernoulli)
    index = (after @ 2.0 ** torch.arange(VISIBLE - 1, -1, -1)).long()
    counts = torch.bincount(index, minlength=2**VISIBLE).double()
    expected = 200_000 * probability
    chi = ((counts - expected).square() / expected)[expected > 20].sum()
    cells = int((expected > 20).sum())
    assert chi < cells + 4 * math.sqrt(2 * cells)


def test_gradient_is_the_enumerated_one_in_expectation() -> None:
    """With chains from the model itself, the loss has the gradient of -log p, whose log Z is enumerated."""
    method = make(chains=400_000, binarization="threshold")
    images = torch.randint(2, (16, 1, 3, 3)).float()
    with torch.no_grad():
        probability = log_joint(method).logsumexp(1).softmax(0)
        method.chains.copy_(states(VISIBLE)[torch.multinomial(probability, 400_000, replacement=True)])
    parameters = [method.weight, method.visible_bias, method.hidden_bias]
    ours = torch.autograd.grad(method.loss(batch_of(images))[0], parameters)
    log_z = (-energies(method, states(VISIBLE)).double()).logsumexp(0)
    theirs = torch.autograd.grad(energies(method, images.flatten(1)).mean() + log_z, parameters)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other.float(), atol=5e-3, rtol=0)  # 0.5 / sqrt(400,000) = 0.0008
        assert other.abs().max() > 0.05


def test_gradient_of_contrastive_divergence_is_the_difference_of_correlations() -> None:
    method = make(gibbs_steps=2, binarization="threshold")
    images = torch.randint(2, (16, 1, 3, 3)).float()
    torch.manual_seed(5)
    loss, _ = method.loss(batch_of(images))
    gradient = torch.autograd.grad(loss, method.weight)[0]
    torch.manual_seed(5)
    v = images.flatten(1)
    with torch.no_grad():
        far = v
        for _ in range(2):  # the two layers in turn, from the same draws
            h = (torch.rand(16, HIDDEN) < (method.hidden_bias + far @ method.weight).sigmoid()).float()
            far = (torch.rand(16, VISIBLE) < (method.visible_bias + h @ method.weight.T).sigmoid()).float()
        near_h, far_h = ((method.hidden_bias + part @ method.weight).sigmoid() for part in (v, far))
        expected = -(v.T @ near_h - far.T @ far_h) / 16
    torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-4)


class _Update:
    step, images, progress = 0, 0, 0.0

    def __call__(self, name: str, loss_fn: object, batch: Batch) -> dict[str, Tensor]:
        return {}


def test_persistent_chains_move_at_every_step_and_start_at_the_mean_image() -> None:
    method = make(chains=5000)
    greys = torch.linspace(0.1, 0.9, VISIBLE).view(1, 1, 3, 3).expand(50, 1, 3, 3)

    def sweep(fn: object, index: Tensor | None = None) -> Tensor:
        assert index is not None
        assert index.tolist() == list(range(10))
        return fn(greys[index])  # type: ignore[no-any-return, operator]

    update = _Update()
    method.begin_epoch(sweep, update)  # type: ignore[arg-type]
    mean = (10 * greys[0].flatten() + 1) / 12
    torch.testing.assert_close(method.visible_bias.sigmoid(), mean)
    torch.testing.assert_close(method.base_bias.sigmoid(), mean)
    torch.testing.assert_close(method.chains.mean(0), mean, atol=0.03, rtol=0)
    before = method.chains.clone()
    method.step(iter([batch_of(greys)]), update)  # type: ignore[arg-type]
    assert not torch.equal(method.chains, before)
    assert set(method.chains.unique().tolist()) == {0.0, 1.0}
    update.step = 7
    bias = method.visible_bias.clone()
    method.begin_epoch(sweep, update)  # type: ignore[arg-type]
    assert torch.equal(method.visible_bias, bias)  # only before the first step


def test_completion_draws_from_the_conditional_of_what_is_missing() -> None:
    """The last pixels, given the first ones: frequencies of a long row of chains are the enumerated ones."""
    method = make(binarization="threshold")
    known = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    mask = torch.zeros(1, 1, 3, 3)
    mask[:, :, 2] = 1  # the last row: three pixels
    n = 4000
    images = torch.cat((known, torch.zeros(3))).view(1, 1, 3, 3).expand(n, 1, 3, 3)
    *_, final = method.complete(images, mask.expand(n, -1, -1, -1), torch.Generator().manual_seed(0))
    completed = states(3)
    candidates = torch.cat((known.expand(8, 6), completed), 1)
    share = (-energies(method, candidates)).double().softmax(0)
    expected = share @ completed.double()
    torch.testing.assert_close(final[:, 0, 2].double().mean(0), expected, atol=0.03, rtol=0)
    assert torch.equal(final[:, :, :2], images[:, :, :2])


@pytest.mark.parametrize("chains", [0, 7])
def test_samples_have_the_model_s_mean_image(chains: int) -> None:
    """Annealed from the mean image, and on from few persistent chains that are far from mixed (all black)."""
    method = make(chains=chains)
    *_, final = method.sample(3000, torch.Generator().manual_seed(0))
    probability = log_joint(method).logsumexp(1).softmax(0)
    torch.testing.assert_close(
        final.flatten(1).double().mean(0), probability @ states(VISIBLE).double(), atol=0.03, rtol=0
    )


def test_what_is_reported_of_an_estimated_likelihood() -> None:
    method = make(binarization="threshold")
    images = torch.randint(256, (150, 1, 3, 3), dtype=torch.uint8)
    store = Store(Split(images, torch.full((150,), -1)), torch.device("cpu"))
    nats, bits, constant, effective = likelihood(method, store, betas=200, chains=50)
    log_z = log_joint(method).logsumexp((0, 1)).item()
    v = (images > 127).float().flatten(1)
    exact = energies(method, v).double() + log_z
    assert (nats["name"], nats["kind"], nats["n"]) == ("nll_estimate_nats", "estimate", 150)
    assert nats["value"] - constant["value"] == pytest.approx(exact.mean().item() - log_z, abs=1e-4)
    assert nats["value"] == pytest.approx(exact.mean().item(), abs=3 * constant["standard_error"])
    of_images = exact.std().item() / 150**0.5
    assert nats["standard_error"] == pytest.approx(
        math.hypot(of_images, constant["standard_error"]), rel=1e-4
    )
    assert bits["value"] == pytest.approx(nats["value"] / (9 * math.log(2)))
    assert (constant["name"], constant["n"]) == ("log_z_nats", 50)
    assert (effective["name"], effective["unit"]) == ("ais_effective_chains", "chains")
    assert 1 <= effective["value"] <= 50
    assert nats["protocol"] == "binarized at 0.5; log Z by AIS, 200 betas, 50 chains"


def test_while_it_trains_a_quick_estimate_says_how_much_it_can_be_trusted() -> None:
    method = make(binarization="threshold")
    images = torch.randint(256, (40, 1, 3, 3), dtype=torch.uint8)
    store = Store(Split(images, torch.full((40,), -1)), torch.device("cpu"))
    found = dict(online_metrics(method, store, store, seed=0))
    quick = log_z_of(method, seed=0, betas=1000, chains=100)
    exact = energies(method, (images > 127).float().flatten(1)).mean().item()
    assert found["test/nll_estimate_nats"] == pytest.approx(exact + quick.value, abs=1e-4)
    assert found["test/log_z_error_nats"] == quick.standard_error
    assert found["test/ais_effective_chains"] == quick.effective_chains
    assert "test/nll_estimate_bits_per_dim" not in found  # a unit for 8-bit pixels


def test_binarization() -> None:
    greys = torch.tensor([0.2, 0.5, 0.9]).view(-1, 1, 1, 1).expand(-1, 1, 3, 3)
    assert make(binarization="threshold").observe(greys)[:, 0].tolist() == [0.0, 0.0, 1.0]
    method = make()
    bits = torch.stack([method.observe(greys) for _ in range(2000)])
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(bits.mean((0, 2)), greys[:, 0, 0, 0], atol=0.02, rtol=0)


def test_it_is_judged_by_the_bits_that_every_density_is_judged_by() -> None:
    greys = torch.rand(20, 1, 3, 3)
    seeded = [torch.Generator().manual_seed(3) for _ in range(2)]
    bits = binarize(greys, "dynamic", seeded[0]).flatten(1)
    assert torch.equal(make().observe(greys, seeded[1]), bits)


def test_colours_are_refused() -> None:
    with pytest.raises(UsageError, match="3 channels"):
        RBM(
            RBM.Config(hidden=4, gibbs_steps=1, persistent_chains=0, init_std=0.01, binarization="dynamic"),
            Inputs(channels=3, height=3, width=3, train_images=10),
        )
