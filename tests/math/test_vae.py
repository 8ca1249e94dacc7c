"""The VAE's numbers against enumeration, quadrature, closed forms and torch.distributions."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.latent.latent_model import kl_to_standard_normal
from sslterm.methods.latent.vae import VAE
from sslterm.nn.observation import normal_log_density


def make(
    *, decoder: str = "bernoulli", binarization: str = "threshold", latent_dim: int = 2, beta: float = 1.0
) -> VAE:
    """A VAE of 3x2 images, with weights large enough that its posterior is not its prior."""
    config = VAE.Config(
        network="dense",
        widths=(8,),
        activation="tanh",
        latent_dim=latent_dim,
        decoder=decoder,  # type: ignore[arg-type]
        binarization=binarization,  # type: ignore[arg-type]
        beta=beta,
    )
    torch.manual_seed(0)
    method = VAE(config, Inputs(channels=1, height=3, width=2, train_images=10))
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            if name.startswith("decoder"):
                parameter.mul_(3)
    return method.eval()


def every_image() -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)), dtype=torch.float32).view(-1, 1, 3, 2)


@torch.no_grad()
def by_quadrature(method: VAE, x: Tensor, *, points: int = 161, reach: float = 8.0) -> Tensor:
    """log p(x) = log of the integral of p(x|z) N(z; 0, I) over a fine grid of the plane, [B]."""
    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    log_prior = Normal(0.0, 1.0).log_prob(z).sum(1) + 2 * math.log(float(axis[1] - axis[0]))
    decoded = Independent(Bernoulli(logits=method.decoder(z.float()).double()), 3)
    log_likelihood = torch.stack([decoded.log_prob(image.double()) for image in x])
    return (log_likelihood + log_prior).logsumexp(1)


def test_probabilities_of_all_images_sum_to_one() -> None:
    assert by_quadrature(make(), every_image()).logsumexp(0).exp().item() == pytest.approx(1.0, abs=1e-6)


def test_bounds_are_in_order_and_approach_the_likelihood() -> None:
    method = make()
    x = every_image()[[0, 7, 21, 42, 63]]
    truth = by_quadrature(method, x)
    means = []
    with torch.no_grad():
        for k in (1, 5, 50, 20_000):
            rounds = max(1, 40_000 // k)
            repeated = x.repeat_interleave(rounds, 0)
            bound = method.importance_log_prob(repeated, k, torch.Generator().manual_seed(k))
            means.append(bound.view(len(x), rounds).mean(1))
        elbo = method.log_prob(x.repeat_interleave(20_000, 0), torch.Generator().manual_seed(0))
    elbo = elbo.view(len(x), -1).mean(1)
    torch.testing.assert_close(means[0], elbo, atol=0.05, rtol=0)  # k = 1 is the ELBO, in expectation
    for smaller, larger in itertools.pairwise(means):
        assert (smaller <= larger + 0.02).all()
    assert (elbo < truth).all()
    torch.testing.assert_close(means[-1].double(), truth, atol=0.03, rtol=0)


def test_kl_is_the_closed_form_of_torch() -> None:
    mean, log_variance = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    expected = kl_divergence(
        Normal(mean, (0.5 * log_variance).exp()), Normal(torch.zeros(()), torch.ones(()))
    )
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)


def test_normal_density_is_torch_s() -> None:
    x, mean, log_variance = torch.randn(3, 4, 2, dtype=torch.float64)
    torch.testing.assert_close(
        normal_log_density(x, mean, log_variance), Normal(mean, (0.5 * log_variance).exp()).log_prob(x)
    )


def test_conditional_of_a_bernoulli_decoder_is_torch_s() -> None:
    method, x = make(), every_image()[:9]
    z = torch.randn(9, 2)
    expected = Independent(Bernoulli(logits=method.decoder(z)), 3).log_prob(x)
    torch.testing.assert_close(method.log_conditional(x, z), expected)


def test_nats_of_a_gaussian_decoder_are_those_of_eight_bits() -> None:
    """Flat noise under a very wide decoder costs log 256 a value, and the width's own density."""
    method = make(decoder="gaussian", binarization="none")
    with torch.no_grad():
        method.observation.log_deviation.fill_(math.log(50.0))
    x, z = torch.rand(4, 1, 3, 2), torch.randn(4, 2)
    expected = 6 * (Normal(0.0, 50.0).log_prob(torch.tensor(0.0)).item() - math.log(256))
    assert method.log_conditional(x, z).tolist() == pytest.approx([expected] * 4, abs=2e-3)


def test_dequantization_fills_each_of_256_bins() -> None:
    method = make(decoder="gaussian", binarization="none")
    levels = torch.arange(256).view(-1, 1, 1, 1) / 255
    x = method.observe(levels.expand(-1, 1, 3, 2))
    assert torch.equal((x * 256).floor().long(), torch.arange(256).view(-1, 1, 1, 1).expand(-1, 1, 3, 2))


def test_dynamic_binarization_draws_the_greys_as_probabilities() -> None:
    method = make(binarization="dynamic")
    greys = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0]).view(-1, 1, 1, 1).expand(-1, 1, 3, 2)
    torch.manual_seed(0)
    bits = torch.stack([method.observe(greys) for _ in range(4000)])
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(bits.mean((0, 2, 3, 4)), greys[:, 0, 0, 0], atol=0.01, rtol=0)


def test_the_loss_is_reconstruction_plus_beta_kl_and_logs_the_bound() -> None:
    method = make(beta=4.0)
    loss, aux = method.loss(Batch(every_image(), torch.arange(64), torch.full((64,), -1)))
    assert loss.item() == pytest.approx((aux["reconstruction_nats"] + 4 * aux["kl_nats"]).item(), rel=1e-6)
    assert aux["neg_elbo_nats"].item() == pytest.approx(
        (aux["reconstruction_nats"] + aux["kl_nats"]).item(), rel=1e-6
    )


def test_gradient_of_the_bound_is_unbiased_through_the_draw() -> None:
    """The reparameterized gradient of E_q[log p(x|z)] agrees with finite differences of the expectation."""
    method = make()
    x = every_image()[[21]]
    mean, log_variance = (part.detach() for part in method.posterior(x))
    noise = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(1))

    def expectation(shift: Tensor) -> Tensor:
        z = mean + shift + (0.5 * log_variance).exp() * noise
        return method.log_conditional(x.expand(len(z), 1, 3, 2), z).double().mean()

    shift = torch.zeros(2, requires_grad=True)
    (gradient,) = torch.autograd.grad(expectation(shift), shift)
    for axis in range(2):
        step = torch.zeros(2)
        step[axis] = 1e-2
        difference = (expectation(step) - expectation(-step)) / 2e-2
        assert gradient[axis].item() == pytest.approx(difference.item(), rel=2e-2, abs=2e-3)


def test_a_decoder_and_a_binarization_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UsageError, match="does not go with"):
        make(decoder="gaussian", binarization="dynamic")
    with pytest.raises(UsageError, match="does not go with"):
        make(binarization="none")
