"""NADE's hand-written gradient against autograd's, and its recurrence against the paper's algorithm, pixel by pixel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslterm.methods.autoregressive.nade import nade_logits


def by_the_algorithm(x: Tensor, w: Tensor, v: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Alg. 1 of the paper, in autograd's hands."""
    a = c.expand(len(x), -1)
    logits = []
    for d in range(x.shape[1]):
        logits.append(a.sigmoid() @ v[d] + b[d])
        a = a + x[:, d, None] * w[d]
    return torch.stack(logits, 1)


def weights(pixels: int = 10, hidden: int = 6, *, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(pixels, hidden), (pixels, hidden), (pixels,), (hidden,)]
    return [torch.randn(*shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes]


def bits(n: int = 5, pixels: int = 10, *, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.rand(n, pixels, generator=torch.Generator().manual_seed(1)) > 0.5).to(dtype)


@pytest.mark.parametrize("chunk", [1, 3, 5, 10, 14])
def test_logits_and_gradient_are_those_of_the_algorithm(chunk: int) -> None:
    x, parameters = bits(), weights()
    found, expected = nade_logits(x, *parameters, chunk=chunk), by_the_algorithm(x, *parameters)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    direction = torch.randn(5, 10, dtype=torch.float64)
    ours = torch.autograd.grad(found, parameters, direction)
    theirs = torch.autograd.grad(expected, parameters, direction)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_gradient_is_that_of_finite_differences() -> None:
    x = bits(3, 7)
    assert torch.autograd.gradcheck(lambda *p: nade_logits(x, *p, chunk=3), weights(7, 4))


def test_in_float32_at_the_paper_s_size_it_agrees_to_six_digits() -> None:
    x = bits(8, 784, dtype=torch.float32)
    parameters = [(0.05 * p).detach().requires_grad_() for p in weights(784, 100, dtype=torch.float32)]
    with torch.autocast("cpu", dtype=torch.bfloat16):  # which must not reach it
        found = nade_logits(x, *parameters)
    expected = by_the_algorithm(x.double(), *(p.double() for p in parameters))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-5)
    ours = torch.autograd.grad(found.square().mean(), parameters)
    theirs = torch.autograd.grad(expected.square().mean(), parameters)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-6 * float(other.abs().max()) + 1e-9)
