"""Optimizers from presets: which weights decay, and LARS against its formula and a reference."""

from __future__ import annotations

import pytest
import torch
from lightly.utils.lars import LARS as ReferenceLARS
from torch import nn

from sslterm.config.schema import (
    AdamConfig,
    ConstantSchedule,
    LARSConfig,
    OptimConfig,
    RMSPropConfig,
    SGDConfig,
)
from sslterm.engine.optim import make_optimizer, set_rate

CPU = torch.device("cpu")
CONSTANT = ConstantSchedule(name="constant", warmup_images=0)


def adam(name: str, *, decay_biases_and_norms: bool = True) -> AdamConfig:
    return AdamConfig(
        name=name,  # type: ignore[arg-type]
        lr=1e-2,
        betas=(0.8, 0.9),
        eps=1e-7,
        weight_decay=0.1,
        decay_biases_and_norms=decay_biases_and_norms,
        schedule=CONSTANT,
    )


def train(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5) -> list[torch.Tensor]:
    x = torch.randn(16, 6, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in network.parameters()]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3))


SGD = SGDConfig(
    name="sgd",
    lr=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=0.01,
    decay_biases_and_norms=True,
    schedule=CONSTANT,
)
RMSPROP = RMSPropConfig(
    name="rmsprop", lr=1e-3, alpha=0.9, eps=1e-6, momentum=0.5, weight_decay=0.01, decay_biases_and_norms=True,
    schedule=CONSTANT,
)  # fmt: skip


@pytest.mark.parametrize(
    ("config", "plain"),
    [
        (SGD, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
        (adam("adam"), lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.8, 0.9), eps=1e-7, weight_decay=0.1)),
        (
            adam("adamw"),
            lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.8, 0.9), eps=1e-7, weight_decay=0.1),
        ),
        (
            adam("adamax"),
            lambda p: torch.optim.Adamax(p, lr=1e-2, betas=(0.8, 0.9), eps=1e-7, weight_decay=0.1),
        ),
        (
            RMSPROP,
            lambda p: torch.optim.RMSprop(p, lr=1e-3, alpha=0.9, eps=1e-6, momentum=0.5, weight_decay=0.01),
        ),
    ],
    ids=["sgd", "adam", "adamw", "adamax", "rmsprop"],
)
def test_optimizer_is_torch_s(config: OptimConfig, plain: object) -> None:
    ours, theirs = network(), network()
    mine = train(ours, make_optimizer(config, list(ours.parameters()), CPU))
    reference = train(theirs, plain(list(theirs.parameters())))  # type: ignore[operator]
    for one, other in zip(mine, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_decay_leaves_biases_and_norms_alone_where_asked() -> None:
    net = network()
    optimizer = make_optimizer(adam("adamw", decay_biases_and_norms=False), list(net.parameters()), CPU)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    optimizer.step()
    for old, new in zip(before, net.parameters(), strict=True):
        expected = old * (1 - 1e-2 * 0.1) if old.ndim > 1 else old
        torch.testing.assert_close(new.detach(), expected)


def lars(*, lr: float = 0.3, bias_lr: float = 0.05, weight_decay: float = 0.01) -> LARSConfig:
    return LARSConfig(
        name="lars",
        lr=lr,
        bias_lr=bias_lr,
        momentum=0.9,
        trust=0.02,
        weight_decay=weight_decay,
        schedule=CONSTANT,
    )


def test_lars_is_the_formula() -> None:
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    bias = nn.Parameter(torch.tensor([1.0]))
    optimizer = make_optimizer(lars(), [weight, bias], CPU)
    weight.grad, bias.grad = torch.tensor([[0.6, 0.8]]), torch.tensor([2.0])
    optimizer.step()
    # g + decay * w = [.63, .84], norm 1.05; |w| = 5; step = lr * trust * 5 / 1.05 * [.63, .84]
    torch.testing.assert_close(
        weight.detach(), torch.tensor([[3.0 - 0.3 * 0.02 * 3.0, 4.0 - 0.3 * 0.02 * 4.0]])
    )
    torch.testing.assert_close(bias.detach(), torch.tensor([1.0 - 0.05 * 2.0]))


def test_lars_agrees_with_a_reference_over_several_steps() -> None:
    ours, theirs = network(), network()
    mine = train(ours, make_optimizer(lars(bias_lr=0.3, weight_decay=1e-9), list(ours.parameters()), CPU))
    # The reference adds the norms of gradient and decay, which is the same where there is hardly any decay; and it
    # excludes parameters from adaptation exactly where they have none.
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": 1e-9},
        {"params": [p for p in theirs.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    reference = train(theirs, ReferenceLARS(groups, lr=0.3, momentum=0.9, trust_coefficient=0.02))
    for one, other in zip(mine, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_schedules_scale_every_base_rate() -> None:
    net = network()
    optimizer = make_optimizer(lars(), list(net.parameters()), CPU)
    set_rate(optimizer, 0.5)
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.025, 0.15]
