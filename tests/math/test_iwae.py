"""IWAE against a linear-Gaussian model, whose evidence and posterior are known, and against Eq. 14 by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.latent.iwae import IWAE, effective_draws, importance_weighted_bound
from sslterm.methods.latent.vae import VAE
from sslterm.nn.observation import normal_log_density

NOISE = 0.3


def config(**changes: object) -> dict[str, object]:
    table: dict[str, object] = {
        "network": "dense", "widths": (8,), "activation": "tanh", "latent_dim": 2, "decoder": "bernoulli",
        "binarization": "threshold", "draws": 5,
    }  # fmt: skip
    return table | changes


def make(**changes: object) -> IWAE:
    torch.manual_seed(0)
    inputs = Inputs(channels=1, height=3, width=2, train_images=10)
    return IWAE(IWAE.Config(**config(**changes)), inputs)  # type: ignore[arg-type]


def some_images(n: int = 4) -> Tensor:
    return torch.randint(2, (n, 1, 3, 2), generator=torch.Generator().manual_seed(2)).float()


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)), torch.full((len(images),), -1))


class LinearGaussian(IWAE):
    """x = W z + noise: probabilistic PCA, with an encoder that is deliberately too wide in every dimension."""

    def __init__(self, draws: int) -> None:
        inputs = Inputs(channels=1, height=3, width=2, train_images=10)
        settings = config(draws=draws, widths=(), decoder="gaussian", binarization="none")
        super().__init__(IWAE.Config(**settings), inputs)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(0)
        self.w = torch.linalg.qr(torch.randn(6, 2, generator=generator))[0] * torch.tensor([1.0, 2.0])

    def observe(self, images: Tensor, generator: object = None) -> Tensor:
        return images

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        precision = torch.eye(2) + self.w.T @ self.w / NOISE**2  # diagonal: the columns of W are orthogonal
        mean = x.flatten(1) @ self.w / NOISE**2 / precision.diagonal()
        return mean, (2.0 / precision.diagonal()).log().expand_as(mean)  # twice the variance

    def log_conditional(self, x: Tensor, z: Tensor) -> Tensor:
        return Normal(z @ self.w.T, NOISE).log_prob(x.flatten(1)).sum(1)

    def evidence(self, x: Tensor) -> Tensor:
        covariance = self.w @ self.w.T + NOISE**2 * torch.eye(6)
        return MultivariateNormal(torch.zeros(6), covariance).log_prob(x.flatten(1))


def test_bounds_of_a_linear_gaussian_model_are_in_order_and_converge() -> None:
    images = torch.randn(20, 1, 3, 2, generator=torch.Generator().manual_seed(1))
    truth = LinearGaussian(1).evidence(images)
    bounds = []
    for draws, rounds in ((1, 2000), (5, 500), (50, 100), (500, 20)):
        method, generator = LinearGaussian(draws), torch.Generator().manual_seed(draws)
        nats = method.log_prob(images.repeat_interleave(rounds, 0), generator)
        bounds.append(nats.view(20, rounds).mean(1))
    elbo = bounds[0]
    for smaller, larger in itertools.pairwise(bounds):
        assert (smaller <= larger + 0.02).all()
    assert (elbo < truth - 0.1).all()  # the posterior is too wide by a known amount:
    gap = (
        0.5 * 2 * (2 - 1 - math.log(2))
    )  # KL of normal distributions with twice the variance, two dimensions
    torch.testing.assert_close(truth - elbo, torch.full((20,), gap), atol=0.12, rtol=0)
    torch.testing.assert_close(bounds[-1], truth, atol=0.15, rtol=0)
    assert (bounds[-1] - truth).mean().abs() < 0.02


def test_the_loss_is_the_negative_bound_of_k_draws() -> None:
    method, images = make(draws=7), some_images()
    torch.manual_seed(3)
    loss, aux = method.loss(batch_of(images))
    torch.manual_seed(3)
    noise = torch.randn(4, 7, 2)
    mean, log_variance = method.posterior(images)
    expected = []
    for b in range(4):
        weights = []
        for k in range(7):
            z = mean[b] + (0.5 * log_variance[b]).exp() * noise[b, k]
            joint = method.log_conditional(images[[b]], z[None])[0] + Normal(0.0, 1.0).log_prob(z).sum()
            weights.append(joint - Normal(mean[b], (0.5 * log_variance[b]).exp()).log_prob(z).sum())
        expected.append((torch.stack(weights).exp().mean().log(), torch.stack(weights).mean()))
    bound, elbo = (torch.stack(part).mean() for part in zip(*expected, strict=True))
    assert loss.item() == pytest.approx(-bound.item(), rel=1e-5)
    assert aux["iw_nll_nats"].item() == loss.item()
    assert aux["neg_elbo_nats"].item() == pytest.approx(-elbo.item(), rel=1e-5)
    assert loss < aux["neg_elbo_nats"]


def test_its_gradient_weighs_the_draws_by_their_importance() -> None:
    """Eq. 14: sum_i w~_i grad log w_i, with w~ held fixed."""
    method, images = make(draws=6), some_images()
    parameters = list(method.parameters())
    torch.manual_seed(4)
    ours = torch.autograd.grad(method.loss(batch_of(images))[0], parameters)
    torch.manual_seed(4)
    noise = torch.randn(4, 6, 2).transpose(0, 1)
    log_weights = method.log_weights(images, *method.posterior(images), noise)
    shares = (log_weights.detach().double().exp() / log_weights.detach().double().exp().sum(0)).float()
    theirs = torch.autograd.grad(-(shares * log_weights).sum(0).mean(), parameters)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_one_draw_is_the_elbo_of_the_vae_in_expectation() -> None:
    iwae = make(draws=1)
    settings = {key: value for key, value in config().items() if key != "draws"}
    inputs = Inputs(channels=1, height=3, width=2, train_images=10)
    vae = VAE(VAE.Config(**settings, beta=1.0), inputs)  # type: ignore[arg-type]
    vae.load_state_dict(iwae.state_dict())  # the same networks under the same names
    images = some_images().repeat_interleave(20_000, 0)
    with torch.no_grad():
        one = iwae.log_prob(images, torch.Generator().manual_seed(0)).view(4, -1).mean(1)
        elbo = vae.log_prob(images, torch.Generator().manual_seed(1)).view(4, -1).mean(1)
    torch.testing.assert_close(one, elbo, atol=0.02, rtol=0)


def test_bounds_of_enormous_weights_do_not_overflow() -> None:
    log_weights = torch.tensor([[800.0, -900.0], [802.0, -900.0]])
    expected = torch.tensor([802 + math.log1p(math.exp(-2.0)) - math.log(2), -900.0])
    torch.testing.assert_close(importance_weighted_bound(log_weights), expected)


def test_effective_draws_count_what_carries_the_weight() -> None:
    log_weights = torch.tensor([[0.0, 0.0, 500.0], [0.0, -500.0, 0.0], [0.0, -500.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(effective_draws(log_weights), torch.tensor([4.0, 2.0, 1.0]))


def test_the_log_probability_is_the_bound_of_its_k_and_says_so() -> None:
    method, images = make(draws=9), some_images()
    with torch.no_grad():
        ours = method.log_prob(images, torch.Generator().manual_seed(5))
        theirs = method.importance_log_prob(images, 9, torch.Generator().manual_seed(5))
    assert torch.equal(ours, theirs)
    assert method.likelihood_protocol == "binarized at 0.5; bound of 9 draws"


def test_weights_are_joint_over_posterior() -> None:
    method, images = make(), some_images()
    mean, log_variance = method.posterior(images)
    noise = torch.randn(3, 4, 2)
    z = mean + (0.5 * log_variance).exp() * noise
    expected = torch.stack([method.log_conditional(images, one) for one in z])
    expected = (
        expected + Normal(0.0, 1.0).log_prob(z).sum(-1) - normal_log_density(z, mean, log_variance).sum(-1)
    )
    torch.testing.assert_close(method.log_weights(images, mean, log_variance, noise), expected)


def test_colours_are_refused_by_a_bernoulli_decoder() -> None:
    inputs = Inputs(channels=3, height=4, width=4, train_images=10)
    with pytest.raises(UsageError, match="3 channels") as refused:
        IWAE(IWAE.Config(**config()), inputs)  # type: ignore[arg-type]
    assert "gaussian" in refused.value.hint
