"""Classifier two-sample test: whether a classifier can tell samples from real images it has never seen.

Lopez-Paz & Oquab 2017, arXiv:1610.06545: a share of right answers near one half says that it cannot. It has a
unit that all spaces share, and an interval; what it does not see may still differ.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslterm.evaluate.distances import Estimate, share_of
from sslterm.evaluate.features import own_randomness

HIDDEN = 64
STEPS = 100
RATE = 1e-2
WEIGHT_DECAY = 1e-2


def two_sample_accuracy(fake: Tensor, real: Tensor, *, seed: int = 0) -> Estimate:
    """Accuracy on held-out features of a network that tells `fake` [N, D] from `real` [M, D].

    As many of each are taken, in random order: the first half to learn from, the second to be told apart, so
    that the answers on it are independent and their binomial interval is exact. The network has one hidden
    layer; it sees features standardised over the half it learns from, all at once, at every step.
    """
    each = min(len(fake), len(real)) // 2
    generator = torch.Generator().manual_seed(seed)
    halves = [
        [
            side[part].float()
            for part in torch.randperm(len(side), generator=generator)[: 2 * each].split(each)
        ]
        for side in (fake, real)
    ]
    learned, held_out = (
        torch.cat([side[half] for side in halves]) for half in (0, 1)
    )  # fakes, then real ones
    truth = (torch.arange(2 * each, device=fake.device) >= each).float()
    mean, std = learned.mean(0), learned.std(0)
    std = torch.where(std > 1e-6 * std.max(), std, torch.ones_like(std))  # dead units
    with own_randomness(fake.device, seed):
        network = nn.Sequential(nn.Linear(fake.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
    network.to(fake.device)
    _fit(network, (learned - mean) / std, truth)
    with torch.no_grad():
        said = network((held_out - mean) / std).squeeze(1) > 0
    return share_of(int((said == truth.bool()).sum()), 2 * each)


def _fit(network: nn.Module, features: Tensor, truth: Tensor) -> None:
    """AdamW on all features [N, D] at once, at a rate that falls to 0."""
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=RATE,
        weight_decay=WEIGHT_DECAY,
        fused=features.device.type in ("cpu", "cuda"),
    )
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        with torch.enable_grad():
            loss = F.binary_cross_entropy_with_logits(network(features).squeeze(1), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
