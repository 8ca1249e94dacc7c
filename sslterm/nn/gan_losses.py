"""What the players of an adversarial game minimise, and how the game stands.

Shapes: real, fake [B], what the discriminator or critic says of real and of generated images. Of a
discriminator they are logits: D = sigmoid(logit).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.nn.precision import in_float32


@in_float32
def cross_entropy(logits: Tensor, label: float) -> Tensor:
    """Binary cross-entropy of logits [B] against one label for all, in nats."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


@in_float32
def minimax(fake: Tensor) -> Tensor:
    """E log(1 - D(G(z))): what the generator minimises in the game as it is defined.

    Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1. Where D is sure, its gradient vanishes.
    """
    return -F.softplus(fake).mean()


@in_float32
def non_saturating(fake: Tensor) -> Tensor:
    """-E log D(G(z)): the same fixed point, and strong gradients early on (arXiv:1406.2661, §3)."""
    return F.softplus(-fake).mean()


@in_float32
def critic_gap(real: Tensor, fake: Tensor) -> Tensor:
    """E f(x) - E f(G(z)): for the best 1-Lipschitz critic, the Wasserstein-1 distance.

    Arjovsky et al. 2017, arXiv:1701.07875, Eq. 2. The critic maximises it.
    """
    return real.mean() - fake.mean()


@in_float32
def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - f(x)) + E max(0, 1 + f(G(z))): the discriminator stops where it is right by a margin of 1.

    Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957. The generator that goes with it
    minimises -E f(G(z)).
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


@in_float32
def standing(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """How the game stands, for the log: the shares judged rightly (above 0 is "real"), and the mean margin."""
    return {
        "accuracy_real": (real > 0).to(real.dtype).mean(),
        "accuracy_fake": (fake <= 0).to(fake.dtype).mean(),
        "margin": real.mean() - fake.mean(),
    }
