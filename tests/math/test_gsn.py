"""The chain of a generative stochastic network on distributions that can be enumerated."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.energy.gsn import GSN, Draws, salt_and_pepper

CHAINS, STEPS = 2000, 30


def make(side: int = 2, channels: int = 1, **changes: Any) -> GSN:
    torch.manual_seed(0)
    fields: dict[str, Any] = {
        "hidden": (16, 16), "walkback": 4, "corruption": 0.3, "noise_std": 0.5, "quiet_first": False,
        "binarization": "threshold",
    }  # fmt: skip
    inputs = Inputs(channels=channels, height=side, width=side, train_images=10, batch=4)
    return GSN(GSN.Config(**{**fields, **changes}), inputs)


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)), torch.full((len(images),), -1))


def test_salt_and_pepper_changes_half_of_its_share() -> None:
    torch.manual_seed(0)
    bits = (torch.arange(40_000) % 2).float().view(100, 400)
    noisy = salt_and_pepper(bits, 0.4, Draws())
    assert set(noisy.unique().tolist()) == {0.0, 1.0}
    for value in (0.0, 1.0):
        assert (noisy != bits)[bits == value].float().mean().item() == pytest.approx(0.2, abs=0.01)


def test_odd_layers_hear_the_even_ones_first() -> None:
    """One quiet step of three layers by hand (Fig. 3)."""
    method = make(hidden=(5, 6, 7))
    for bias in method.biases:
        torch.nn.init.normal_(bias)
    x, hidden = torch.rand(3, 4), [torch.randn(3, size) for size in (5, 6, 7)]
    (w1, w2, w3), (b0, b1, b2, b3) = method.weights, method.biases
    h1 = (x @ w1 + hidden[1] @ w2.T + b1).tanh()
    h3 = (hidden[1] @ w3 + b3).tanh()
    h2 = (h1 @ w2 + h3 @ w3.T + b2).tanh()
    logits, layers = method.transition(x, hidden, None)
    torch.testing.assert_close(logits, h1 @ w1.T + b0)
    for ours, theirs in zip(layers, (h1, h2, h3), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_noise_stands_before_and_after_the_activation() -> None:
    method = make(hidden=(1,), noise_std=2.0)
    with torch.no_grad():
        method.weights[0].zero_()
        method.biases[1].fill_(0.7)
    torch.manual_seed(0)
    h = method.activation([torch.zeros(200_000, 4), torch.zeros(200_000, 1)], 1, Draws())
    before = (0.7 + 2 * torch.randn(200_000)).tanh()
    assert h.mean().item() == pytest.approx(before.mean().item(), abs=0.02)
    assert h.var().item() == pytest.approx(before.var().item() + 4, rel=0.02)


def test_the_first_hidden_layer_may_be_spared_the_noise() -> None:
    method = make(quiet_first=True)
    layers = [torch.rand(3, 4), torch.randn(3, 16), torch.randn(3, 16)]
    assert torch.equal(method.activation(layers, 1, Draws()), method.activation(layers, 1, None))
    assert not torch.equal(method.activation(layers, 2, Draws()), method.activation(layers, 2, None))


def test_the_loss_follows_the_chain_and_aims_at_the_image() -> None:
    method, images = make(), (torch.rand(6, 1, 2, 2) > 0.5).float()
    torch.manual_seed(1)
    loss, aux = method.loss(batch_of(images))
    torch.manual_seed(1)
    x, state, hidden, errors = images.flatten(1), images.flatten(1), method.at_rest(6), []
    for _ in range(4):
        logits, hidden = method.transition(state, hidden, Draws())
        errors.append(F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / 6)
        state = (torch.rand(6, 4) < logits.sigmoid()).float()
    assert loss.item() == pytest.approx(sum(errors).item() / 4, rel=1e-6)  # type: ignore[union-attr]
    assert aux["last_step_nats"].item() == pytest.approx(errors[-1].item(), rel=1e-6)


def test_the_first_weights_are_trained_through_later_steps() -> None:
    """The hidden layers carry gradients from step to step; what is drawn carries none."""
    method = make(hidden=(16, 16))
    images = (torch.rand(6, 1, 2, 2) > 0.5).float()
    loss, _ = method.loss(batch_of(images))
    gradients = torch.autograd.grad(loss, list(method.weights))
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def train(method: GSN, data: Tensor, steps: int) -> None:
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / steps)
        chosen = data[torch.randint(len(data), (128,))]
        optimizer.zero_grad()
        method.loss(batch_of(chosen))[0].backward()
        optimizer.step()


EVERY = torch.stack([(torch.arange(16) >> shift) & 1 for shift in (3, 2, 1, 0)], dim=1).float()
"""All pictures of four bits."""


def after_corruption(share: float) -> Tensor:
    """C(y | x) of all pictures, [16, 16]."""
    changed = (EVERY[:, None] != EVERY[None]).float().sum(2)
    return (share / 2) ** changed * (1 - share / 2) ** (4 - changed)


def stationary(chances: Tensor, share: float) -> Tensor:
    """Of the chain x -> C(y | x) -> P(x' | y), where bits of P are independent: chances [16, 4] of 1 given y."""
    restored = (chances[:, None] * EVERY + (1 - chances[:, None]) * (1 - EVERY)).prod(2)
    step = (after_corruption(share) @ restored).double()
    return torch.linalg.matrix_power(step, 4096)[0].float()


def variation(p: Tensor, q: Tensor) -> float:
    return 0.5 * float((p - q).abs().sum())


def restored(method: GSN) -> Tensor:
    """P of every picture, [16, 4], of one layer without hidden noise."""
    (weight,), (below, above) = method.weights, method.biases
    return ((EVERY @ weight + above).tanh() @ weight.T + below).sigmoid().detach()


SHARE = 0.3


@pytest.fixture(scope="module")
def learned() -> tuple[GSN, Tensor]:
    """A network of one layer without hidden noise, so that pixels are all that the chain remembers; and the truth."""
    torch.manual_seed(1)
    truth = torch.distributions.Dirichlet(torch.ones(16)).sample()
    data = EVERY[torch.multinomial(truth, 20_000, replacement=True)].view(-1, 1, 2, 2)
    method = make(hidden=(32,), noise_std=0.0, corruption=SHARE, walkback=1)
    train(method, data, 300)
    return method.eval(), truth


def test_the_chain_is_that_of_the_best_denoiser_and_approaches_the_data(learned: tuple[GSN, Tensor]) -> None:
    """Stationary distributions by enumeration: of the network, and of Bayes' rule for every pixel (Theorem 1).

    Pixels are drawn independently of each other given what is seen, which is right as corruption goes to 0.
    """
    method, truth = learned
    joint = truth[:, None] * after_corruption(SHARE)  # p(x) C(y | x)
    bayes = (joint / joint.sum(0)).T @ EVERY
    with torch.no_grad():
        ours = (
            (EVERY @ method.weights[0] + method.biases[1]).tanh() @ method.weights[0].T + method.biases[0]
        ).sigmoid()
    reached, best = stationary(ours, SHARE), stationary(bayes, SHARE)
    assert variation(reached, best) < 0.07
    mean = truth @ EVERY
    independent = (EVERY * mean + (1 - EVERY) * (1 - mean)).prod(1)
    assert variation(reached, truth) < 0.6 * variation(independent, truth)
    exact = [
        variation(stationary((part / part.sum(0)).T @ EVERY, share), truth)
        for share in (0.3, 0.1, 0.02)
        for part in [truth[:, None] * after_corruption(share)]
    ]
    assert exact == sorted(exact, reverse=True)
    assert exact[-1] < 0.06


def test_walking_visits_the_stationary_distribution(learned: tuple[GSN, Tensor]) -> None:
    method, _ = learned
    draws = Draws(torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = (
            (EVERY @ method.weights[0] + method.biases[1]).tanh() @ method.weights[0].T + method.biases[0]
        ).sigmoid()
        start = torch.zeros(CHAINS, 4)
        *_, last = method.walk(start, method.at_rest(CHAINS), STEPS, draws)
    codes = (draws.bits(last) @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    visited = torch.bincount(codes, minlength=16) / CHAINS
    assert variation(visited, stationary(ours, SHARE)) < 0.06


def test_filling_in_keeps_what_is_known_and_goes_with_it(learned: tuple[GSN, Tensor]) -> None:
    """The lower row given the upper one, beside the truth's conditional."""
    method, truth = learned
    mask = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).expand(CHAINS, 1, 2, 2)
    means = []
    for upper in ((0.0, 0.0), (1.0, 1.0)):
        images = torch.tensor([upper, (1.0, 1.0)]).expand(CHAINS, 1, 2, 2)
        with torch.no_grad():
            *_, filled = method.complete(images, mask, torch.Generator().manual_seed(0))
        assert torch.equal(filled[:, :, 0], images[:, :, 0])
        fits = (EVERY[:, :2] == torch.tensor(upper)).all(1).float() * truth
        expected = (fits @ EVERY[:, 2:]) / fits.sum()
        means.append((filled[:, 0, 1].mean(0), expected))
    (ours_0, true_0), (ours_1, true_1) = means
    assert (true_0 - true_1).abs().max() > 0.15  # the rows depend on each other
    assert torch.equal((ours_0 - ours_1).sign(), (true_0 - true_1).sign())
    torch.testing.assert_close(ours_0 - ours_1, true_0 - true_1, atol=0.2, rtol=0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": 3}, "pixels are binary"),
        ({"hidden": ()}, "method.hidden is empty"),
        ({"hidden": (8, 8, 8), "walkback": 2}, "nothing comes back from layer 3"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make(**changes)
