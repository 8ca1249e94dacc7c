"""The deep Boltzmann machine against enumeration of all its states, layer by layer and as a whole."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.evaluate.likelihood import log_z_of
from sslterm.methods.base import Inputs
from sslterm.methods.energy.dbm import DBM, entropy

VISIBLE, FIRST, SECOND = 6, 4, 3
INPUTS = Inputs(channels=1, height=3, width=2, train_images=10)


def make(*, chains: int = 5, pretraining: float = 0.4, mean_field_steps: int = 10, scale: float = 0.7) -> DBM:
    config = DBM.Config(
        hidden=(FIRST, SECOND), pretraining=pretraining, mean_field_steps=mean_field_steps, gibbs_steps=2,
        persistent_chains=chains, init_std=1.0, binarization="threshold",
    )  # fmt: skip
    torch.manual_seed(0)
    method = DBM(config, INPUTS)
    with torch.no_grad():
        method.first_weight.mul_(scale)
        method.second_weight.mul_(scale)
        for bias in (method.visible_bias, method.first_bias, method.second_bias, method.base_bias):
            bias.normal_(0, 0.4)
    return method.eval()


def states(n: int) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)))


def log_joint(method: DBM) -> Tensor:
    """-E of every triple of states, written out, [2^V, 2^J1, 2^J2] float64."""
    v, h1, h2 = (states(n).double() for n in (VISIBLE, FIRST, SECOND))
    p = {name: value.detach().double() for name, value in method.named_parameters()}
    below = (v @ p["visible_bias"])[:, None] + (h1 @ p["first_bias"])[None] + v @ p["first_weight"] @ h1.T
    above = (h2 @ p["second_bias"])[None] + h1 @ p["second_weight"] @ h2.T
    return below[:, :, None] + above[None]


def draw_exactly(method: DBM, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """States from the model's own distribution."""
    flat = torch.multinomial(log_joint(method).flatten().softmax(0), n, replacement=True)
    h2, rest = flat % 2**SECOND, flat // 2**SECOND
    return states(VISIBLE)[rest // 2**FIRST], states(FIRST)[rest % 2**FIRST], states(SECOND)[h2]


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)), torch.full((len(images),), -1))


def test_energy_is_the_paper_s() -> None:
    method = make()
    table = log_joint(method)
    for i, j, k in ((3, 7, 1), (63, 15, 7), (20, 0, 4)):
        state = (states(VISIBLE)[[i]], states(FIRST)[[j]], states(SECOND)[[k]])
        assert method.energy(state).item() == pytest.approx(-table[i, j, k].item(), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_annealing_finds_the_enumerated_log_z(seed: int) -> None:
    method = make(scale=1.3)
    found = log_z_of(method, seed=seed, betas=300, chains=100)
    truth = log_joint(method).logsumexp((0, 1, 2)).item()
    assert 0 < found.standard_error < 0.2
    assert abs(found.value - truth) < 3 * found.standard_error


def test_the_bound_is_below_the_likelihood_and_not_far() -> None:
    method = make()
    truth = log_joint(method).logsumexp((1, 2))
    with torch.no_grad():
        bound = method.bound(states(VISIBLE)).double()
    assert (bound < truth).all()
    assert (truth - bound).mean() < 0.2
    assert (truth - bound).max() < 0.7


def test_mean_field_ends_where_the_bound_is_flat() -> None:
    method = make()
    v = states(VISIBLE)
    with torch.no_grad():
        mu1, mu2 = method.mean_field(v, 500)
    logits = [mu.logit().requires_grad_() for mu in (mu1, mu2)]
    probabilities = [logit.sigmoid() for logit in logits]
    bound = entropy(probabilities[0]) + entropy(probabilities[1]) - method.energy((v, *probabilities))
    for gradient in torch.autograd.grad(bound.sum(), logits):
        assert gradient.abs().max() < 1e-4


def test_more_mean_field_never_lowers_the_bound() -> None:
    v = states(VISIBLE)
    method = make()
    with torch.no_grad():
        bounds = []
        for steps in (0, 1, 3, 10, 50):
            mu1, mu2 = method.mean_field(v, steps)
            bounds.append(entropy(mu1) + entropy(mu2) - method.energy((v, mu1, mu2)))
    for fewer, more in itertools.pairwise(bounds[1:]):
        assert (more >= fewer - 1e-4).all()


def test_entropy_is_torch_s() -> None:
    p = torch.rand(5, 4, dtype=torch.float64)
    torch.testing.assert_close(entropy(p), torch.distributions.Bernoulli(p).entropy().sum(1))
    assert entropy(torch.tensor([[0.0, 1.0]])).item() == 0


def test_gibbs_sampling_leaves_the_model_s_distribution_as_it_is() -> None:
    method = make()
    torch.manual_seed(1)
    v, h1, h2 = method.gibbs(draw_exactly(method, 200_000), 2, torch.bernoulli)
    digits = torch.cat((v, h1, h2), 1)
    index = (digits @ 2.0 ** torch.arange(digits.shape[1] - 1, -1, -1)).long()
    expected = 200_000 * log_joint(method).flatten().softmax(0)
    counts = torch.bincount(index, minlength=len(expected)).double()
    enough = expected > 10
    chi = ((counts - expected).square() / expected)[enough].sum()
    assert chi < enough.sum() + 4 * math.sqrt(2 * int(enough.sum()))


def test_gradient_of_the_joint_stage_is_that_of_the_bound() -> None:
    """With chains from the model itself: of log Z, enumerated, minus the bound's part with mu held fixed."""
    method = make(chains=300_000)
    images = torch.randint(2, (16, 1, 3, 2)).float()
    v = images.flatten(1)
    torch.manual_seed(2)
    with torch.no_grad():
        for buffer, value in zip(
            (method.chains, method.first_chains, method.second_chains),
            draw_exactly(method, 300_000),
            strict=True,
        ):
            buffer.copy_(value)
        mu1, mu2 = method.mean_field(v, method.config.mean_field_steps)
    parameters = list(method.parameters())
    ours = torch.autograd.grad(method.loss(batch_of(images))[0], parameters)

    vs, h1s, h2s = (states(n) for n in (VISIBLE, FIRST, SECOND))
    every = [part.flatten(0, 2) for part in (
        vs[:, None, None].expand(-1, 2**FIRST, 2**SECOND, -1), h1s[None, :, None].expand(2**VISIBLE, -1, 2**SECOND, -1),
        h2s[None, None].expand(2**VISIBLE, 2**FIRST, -1, -1),
    )]  # fmt: skip
    log_z = (-method.energy((every[0], every[1], every[2]))).logsumexp(0)
    theirs = torch.autograd.grad(method.energy((v, mu1, mu2)).mean() + log_z, parameters)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=6e-3, rtol=0)
        assert other.abs().max() > 0.02


def test_pretraining_trains_one_layer_at_a_time_with_doubled_inputs() -> None:
    method = make()
    images = torch.randint(2, (8, 1, 3, 2)).float()
    v = images.flatten(1)
    torch.manual_seed(3)
    first, second = torch.autograd.grad(
        method.first_layer_loss(batch_of(images))[0],
        [method.first_weight, method.second_weight],
        allow_unused=True,
    )
    assert second is None
    torch.manual_seed(3)
    with torch.no_grad():
        h = (2 * v @ method.first_weight + method.first_bias).sigmoid()
        drawn = (torch.rand(8, FIRST) < h).float()
        far = (
            torch.rand(8, VISIBLE) < (drawn @ method.first_weight.T + method.visible_bias).sigmoid()
        ).float()
        far_h = (2 * far @ method.first_weight + method.first_bias).sigmoid()
    torch.testing.assert_close(first, -(v.T @ h - far.T @ far_h) / 8, atol=1e-6, rtol=1e-4)

    torch.manual_seed(4)
    first, second = torch.autograd.grad(
        method.second_layer_loss(batch_of(images))[0],
        [method.first_weight, method.second_weight],
        allow_unused=True,
    )
    assert first is None
    torch.manual_seed(4)
    with torch.no_grad():
        h1 = (torch.rand(8, FIRST) < h).float()
        h2 = (h1 @ method.second_weight + method.second_bias).sigmoid()
        drawn = (torch.rand(8, SECOND) < h2).float()
        far = (
            torch.rand(8, FIRST) < (2 * drawn @ method.second_weight.T + method.first_bias).sigmoid()
        ).float()
        far_h2 = (far @ method.second_weight + method.second_bias).sigmoid()
    torch.testing.assert_close(second, -(h1.T @ h2 - far.T @ far_h2) / 8, atol=1e-6, rtol=1e-4)


class _Update:
    """Notes which loss a step hands over."""

    step, images, progress = 0, 0, 0.0
    seen = ""

    def __call__(self, name: str, loss_fn: object, batch: Batch) -> dict[str, Tensor]:
        self.seen = loss_fn.__name__  # type: ignore[attr-defined]
        return {}


def test_stages_follow_the_progress_of_the_training() -> None:
    method, update = make(pretraining=0.4), _Update()
    images = torch.rand(4, 1, 3, 2)
    seen, moved = [], []
    for progress in (0.0, 0.19, 0.2, 0.39, 0.4, 0.99):
        update.progress = progress
        before = torch.cat((method.chains, method.first_chains, method.second_chains), 1)
        method.step(iter([batch_of(images)]), update)  # type: ignore[arg-type]
        seen.append(update.seen)
        moved.append(
            not torch.equal(before, torch.cat((method.chains, method.first_chains, method.second_chains), 1))
        )
    assert seen == ["first_layer_loss"] * 2 + ["second_layer_loss"] * 2 + ["loss"] * 2
    assert moved == [False] * 4 + [True] * 2


def test_completion_draws_from_the_conditional_of_what_is_missing() -> None:
    method, n = make(), 4000
    known = torch.tensor([1.0, 0.0, 1.0, 1.0])
    mask = torch.zeros(n, 1, 3, 2)
    mask[:, :, 2] = 1
    images = torch.cat((known, torch.zeros(2))).view(1, 1, 3, 2).expand(n, 1, 3, 2)
    *_, final = method.complete(images, mask, torch.Generator().manual_seed(0))
    rows = [int("".join(str(int(bit)) for bit in (*known, *rest)), 2) for rest in states(2)]
    share = log_joint(method).logsumexp((1, 2))[rows].softmax(0)
    torch.testing.assert_close(final[:, 0, 2].double().mean(0), share @ states(2).double(), atol=0.03, rtol=0)
    assert torch.equal(final[:, :, :2], images[:, :, :2])


def test_the_protocol_says_that_it_is_a_bound() -> None:
    method, images = make(), torch.randint(2, (5, 1, 3, 2)).float()
    assert method.likelihood_protocol == "binarized at 0.5; variational bound"
    with torch.no_grad():
        nats = method.log_unnormalized(images, torch.Generator())
        torch.testing.assert_close(nats, method.bound(images.flatten(1)))
