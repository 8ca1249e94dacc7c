"""Multinomial logistic regression on frozen features: the linear probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sslterm.evaluate.features import Features, choose

L2_GRID = (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Strengths that are tried, strong to weak, so that each fit starts from the one before."""
_PATH_TOLERANCE = 1e-3
"""Of the fits that only choose among them."""
_MOST_TO_CHOOSE = 10_000
"""Images that the choice is made on; the last fit is to all of them."""


@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear classifier of features.

    Attributes:
        mean, std: [D] of the features it was fitted to.
        weight: [classes, D], for standardised features.
        bias: [classes].
        l2: the penalty that it was fitted with.
    """

    mean: Tensor
    std: Tensor
    weight: Tensor
    bias: Tensor
    l2: float

    def predict(self, values: Tensor) -> Tensor:
        """[N, D] -> [N] classes."""
        return F.linear((values - self.mean) / self.std, self.weight, self.bias).argmax(1)

    def accuracy(self, test: Features) -> float:
        """Share of the labelled images of `test` that are classified correctly."""
        test = test.labelled()
        return float((self.predict(test.values) == test.labels).float().mean())


def fit_linear(train: Features, *, seed: int, l2: Sequence[float] = L2_GRID) -> LinearProbe:
    """Standardise, choose the penalty on a fifth of up to 10,000 images (drawn by class), and fit to all.

    Args:
        train: [N, D]; images without a label take no part.
        seed: of the split.
        l2: penalties to choose from, strong to weak; the stronger of two equally good ones is taken.
    """
    train = train.labelled()
    x, mean, std = standardised(train.values)
    y = train.labels
    classes = int(y.max()) + 1

    chosen, start = l2[len(l2) // 2], None
    few = choose(len(y), _MOST_TO_CHOOSE, seed=seed).to(y.device)
    fit, held = (few[part] for part in split_by_class(y[few], seed=seed))
    if len(l2) > 1 and len(held) > 0:
        chosen, start = _choose_penalty((x[fit], y[fit]), (x[held], y[held]), classes, l2)
        chosen *= len(fit) / len(y)  # of a mean: the same weight beside the sum over more images
    weight, bias = logistic_regression(x, y, classes=classes, l2=chosen, start=start)
    return LinearProbe(mean, std, weight, bias, chosen)


def standardised(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[N, D] with mean 0 and standard deviation 1 in every dimension that varies, and what these were, [D] each."""
    mean, std = values.mean(0), values.std(0, correction=0)
    std = torch.where(std > 1e-6 * mean.abs(), std, torch.ones_like(std))  # constant but for rounding
    return (values - mean) / std, mean, std


def _choose_penalty(
    fit: tuple[Tensor, Tensor], held: tuple[Tensor, Tensor], classes: int, l2: Sequence[float]
) -> tuple[float, tuple[Tensor, Tensor]]:
    """The penalty that is most accurate on `held`, and the weights it gave; ends after two that were no better."""
    weights, best, chosen, found, worse = None, -1.0, l2[0], None, 0
    for strength in l2:
        weights = logistic_regression(
            *fit, classes=classes, l2=strength, start=weights, tolerance=_PATH_TOLERANCE
        )
        accuracy = float((F.linear(held[0], *weights).argmax(1) == held[1]).float().mean())
        worse = 0 if accuracy > best else worse + 1
        if accuracy > best:
            best, chosen, found = accuracy, strength, weights
        if worse == 2:
            break
    assert found is not None
    return chosen, found


def logistic_regression(
    x: Tensor,
    y: Tensor,
    *,
    classes: int,
    l2: float,
    tolerance: float = 1e-4,
    max_steps: int = 300,
    start: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Minimise  mean_n CE(W x_n + b, y_n) + l2 / 2 ||W||^2  by full-batch L-BFGS.

    scikit-learn's `LogisticRegression(C=1 / (N l2))` has the same minimum.

    Args:
        x: [N, D], float32 or float64.
        y: [N] classes.
        tolerance: largest entry of the gradient at which it stops.
        start: (W, b) to start from; zeros without it.

    Returns:
        W [classes, D] and b [classes].
    """
    if start is None:
        start = x.new_zeros(classes, x.shape[1]), x.new_zeros(classes)
    weight, bias = (part.detach().clone().requires_grad_() for part in start)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=max_steps,
        history_size=10,
        tolerance_grad=tolerance,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = F.cross_entropy(F.linear(x, weight, bias), y) + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return weight.detach(), bias.detach()


def split_by_class(labels: Tensor, *, seed: int, share: float = 0.2) -> tuple[Tensor, Tensor]:
    """Positions to fit on and to hold out; every class of two or more images is in both."""
    generator = torch.Generator().manual_seed(seed)
    fit, held = [], []
    for label in torch.unique(labels).tolist():
        members = (labels == label).nonzero().squeeze(1).cpu()
        members = members[torch.randperm(len(members), generator=generator)]
        out = 0 if len(members) < 2 else max(1, round(share * len(members)))
        held.append(members[:out])
        fit.append(members[out:])
    return torch.cat(fit).to(labels.device), torch.cat(held).to(labels.device)
