"""The Barlow Twins loss at D = 4096, N = 256: Gram form against lightly's D x D matrix, forward and backward.

    python tests/benchmarks/bench_barlow_loss.py [--rounds 9] [--images 256] [--dimensions 4096] [--threads 2]

Both sides take the same float32 embeddings, in interleaved rounds of one process. The relative difference of
their gradients stands beside the speed; the exit code is 1 where the median ratio is below TARGET or it is
above 1e-5.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import torch
from lightly.loss import BarlowTwinsLoss
from torch import Tensor

from sslterm.methods.joint_embedding.barlow_twins import barlow_twins_loss

TARGET = 15.0
"""Times as fast as lightly."""
CLOSE = 1e-5
"""Largest relative difference of the gradients."""
LAMBDA = 0.0051

Side = Callable[[Tensor, Tensor], Tensor]


def seconds(side: Side, z: tuple[Tensor, Tensor]) -> tuple[float, Tensor]:
    """Time of a forward and backward pass, and the gradient of both embeddings, [2, N, D]."""
    leaves = [part.detach().clone().requires_grad_() for part in z]
    start = time.perf_counter()
    side(*leaves).backward()  # type: ignore[no-untyped-call]
    spent = time.perf_counter() - start
    return spent, torch.stack([leaf.grad for leaf in leaves if leaf.grad is not None])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--dimensions", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    common = torch.randn(given.images, given.dimensions)
    z = (common + 0.5 * torch.randn_like(common), common + 0.5 * torch.randn_like(common))
    sides: dict[str, Side] = {
        "sslterm": lambda a, b: barlow_twins_loss(a, b, LAMBDA)[0],
        "lightly": BarlowTwinsLoss(lambda_param=LAMBDA),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    gradients = {}
    for turn in range(given.rounds + 1):
        for name, side in sides.items():
            spent, gradients[name] = seconds(side, z)
            if turn:  # the first round warms up
                times[name].append(spent)
    ratios = [theirs / ours for ours, theirs in zip(times["sslterm"], times["lightly"], strict=True)]
    ours, theirs = gradients["sslterm"].double(), gradients["lightly"].double()
    difference = float((ours - theirs).norm() / theirs.norm())
    versions = f"torch {torch.__version__}, lightly {version('lightly')}"
    print(f"{versions}, {given.threads} threads, {platform.machine()}")
    print(f"N = {given.images}, D = {given.dimensions}, float32, {given.rounds} rounds")
    for name, values in times.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name:8} {1000 * middle:8.1f} ms  ({1000 * low:.1f} to {1000 * high:.1f})")
    ratio = statistics.median(ratios)
    print(f"ratio    {ratio:8.1f}     ({min(ratios):.1f} to {max(ratios):.1f}); target {TARGET:g}")
    print(f"relative difference of the gradients {difference:.1e}; target {CLOSE:g}")
    return 0 if ratio >= TARGET and difference <= CLOSE else 1


if __name__ == "__main__":
    sys.exit(main())
