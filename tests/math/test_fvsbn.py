"""FVSBN against logistic regressions fitted one by one, and its parameters against what they must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sslterm.data.batch import Batch
from sslterm.methods.autoregressive.fvsbn import FVSBN
from sslterm.methods.base import Inputs


def make(order: str = "raster", *, height: int = 2, width: int = 3) -> FVSBN:
    torch.manual_seed(0)
    config = FVSBN.Config(order=order, binarization="threshold")  # type: ignore[arg-type]
    return FVSBN(config, Inputs(channels=1, height=height, width=width, train_images=1))


def test_an_untrained_one_knows_nothing() -> None:
    nats = -make().log_prob(torch.rand(5, 1, 2, 3), torch.Generator())
    torch.testing.assert_close(nats, torch.full((5,), 6 * torch.tensor(2.0).log().item()))


@pytest.mark.parametrize("order", ["raster", "random"])
def test_at_its_optimum_every_conditional_is_a_logistic_regression(order: str) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.rand(3000, 2, generator=generator) > 0.5
    chance = 0.15 + 0.35 * hidden.float().repeat(1, 3) + 0.3 * hidden[:, :1]
    images = (torch.rand(3000, 6, generator=generator) < chance).float().view(-1, 1, 2, 3)
    method = make(order)
    batch = Batch(images, torch.arange(3000), torch.full((3000,), -1))
    optimizer = torch.optim.LBFGS(method.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss, _ = method.loss(batch)
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    x = images.flatten(1).numpy()[:, method.order.numpy()]
    for d in range(1, 6):
        fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=2000).fit(x[:, :d], x[:, d])
        ours = method.weight.tril(-1)[d, :d].detach().numpy()
        assert ours == pytest.approx(fitted.coef_[0], abs=2e-2)
        assert method.bias[d].item() == pytest.approx(float(fitted.intercept_[0]), abs=2e-2)
    first = torch.special.logit(images.flatten(1)[:, method.order[0]].mean())
    assert method.bias[0].item() == pytest.approx(float(first), abs=1e-3)


def test_weights_that_are_not_used_get_no_gradient() -> None:
    method = make()
    loss, _ = method.loss(Batch(torch.rand(50, 1, 2, 3), torch.arange(50), torch.full((50,), -1)))
    loss.backward()
    gradient = method.weight.grad
    assert gradient is not None
    assert (gradient.triu() == 0).all()
    assert (gradient[torch.ones(6, 6).tril(-1).bool()] != 0).all()
