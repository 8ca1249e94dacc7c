"""The linear probe as papers run it: momentum SGD over a sweep of rates, here all rates at once.

A last layer is trained on frozen features for a number of epochs with a cosine schedule, once for each rate, and the
rate is chosen on images held out from training (e.g. He et al. 2020, arXiv:1911.05722, §4.1; Caron et al. 2021,
arXiv:2104.14294, App. C). `linear.py` finds the optimum of the regularised loss instead; the two should nearly agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.evaluate.features import Features
from sslterm.evaluate.linear import LinearProbe, split_by_class, standardised

RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Of a batch of 256, for standardised features."""
EPOCHS = 30
BATCH = 256
MOMENTUM = 0.9


def fit_linear_sgd(
    train: Features, *, seed: int, rates: Sequence[float] = RATES
) -> tuple[LinearProbe, float]:
    """Standardise, choose the rate on a fifth of the images (drawn by class), and train on all with it.

    Args:
        train: [N, D]; images without a label take no part.
        seed: of the split and of the order of images.

    Returns:
        the classifier, and the rate it was trained with.
    """
    train = train.labelled()
    x, mean, std = standardised(train.values)
    y, classes = train.labels, int(train.labels.max()) + 1
    chosen = rates[len(rates) // 2]
    fit, held = split_by_class(y, seed=seed)
    if len(rates) > 1 and len(held) > 0:
        weights, biases = _train(x[fit], y[fit], classes, rates, seed)
        logits = torch.einsum("nd,lcd->lnc", x[held], weights) + biases[:, None]
        accuracies = (logits.argmax(2) == y[held]).float().mean(1)
        chosen = rates[int(accuracies.argmax())]
    (weight,), (bias,) = _train(x, y, classes, [chosen], seed)
    return LinearProbe(mean, std, weight, bias, 0.0), chosen


def _train(x: Tensor, y: Tensor, classes: int, rates: Sequence[float], seed: int) -> tuple[Tensor, Tensor]:
    """Momentum SGD on the cross entropy, all rates side by side on the same batches.

    Returns:
        weights [L, classes, D] and biases [L, classes].
    """
    generator = torch.Generator().manual_seed(seed)
    batch = min(BATCH, len(x))
    lr = torch.tensor(rates, dtype=x.dtype, device=x.device)[:, None, None] * batch / BATCH
    inputs = F.pad(x, (0, 1), value=1.0)  # the bias is the weight of a constant
    weights = x.new_zeros(len(rates), classes, inputs.shape[1])
    velocity = torch.zeros_like(weights)
    steps, step = EPOCHS * (len(x) // batch), 0
    for _ in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator).to(x.device)
        for index in order[: len(x) // batch * batch].split(batch):
            rows = inputs[index]  # [B, D + 1]
            residual = (weights @ rows.T).softmax(1) - F.one_hot(y[index], classes).T  # [L, classes, B]
            velocity.mul_(MOMENTUM).add_(residual @ rows / batch)
            weights.sub_(lr * (0.5 * (1 + math.cos(math.pi * step / steps))) * velocity)
            step += 1
    return weights[..., :-1], weights[..., -1]
