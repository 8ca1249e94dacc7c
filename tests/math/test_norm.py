"""Batch normalization over ranks is that of one process, gradients and running statistics included."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from sslterm.nn.norm import BatchNorm, SplitBatchNorm, convert_batch_norms, split_batch_norms
from sslterm.rows import shard

SHAPES = [(8, 5), (8, 5, 3, 4)]


def example(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """An input whose halves differ in mean and scale, and the weight of every output in a loss."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float32)
    x[4:] = 3 * x[4:] + 2
    return x, torch.randn(shape, generator=generator)


def fresh_norm(*, affine: bool, portions: int = 1) -> BatchNorm:
    options = {"affine": affine, "momentum": 0.3}
    norm = SplitBatchNorm(5, portions, **options) if portions > 1 else BatchNorm(5, **options)
    if norm.weight is not None and norm.bias is not None:
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(0.5, 2, 5))
            norm.bias.copy_(torch.linspace(-1, 1, 5))
    return norm


@pytest.mark.parametrize("shape", SHAPES)
def test_is_torchs_on_one_process(shape: tuple[int, ...]) -> None:
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    ours, theirs = fresh_norm(affine=True), kind(5, momentum=0.3)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    x, _ = example(shape)
    for _ in range(3):
        assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_remembers_only_what_it_is_told_to() -> None:
    norm = fresh_norm(affine=True)
    x, _ = example((8, 5))
    with_memory = norm(x)
    before = norm.running_mean.clone()
    assert not torch.equal(before, torch.zeros(5))
    assert torch.equal(norm(x, remember=False), with_memory)
    assert torch.equal(norm.running_mean, before)


CASES = [
    (shape, affine, portions)
    for portions in (1, 4)
    for shape, affine in zip(SHAPES, (False, True), strict=True)
]


def gradients(norm: BatchNorm, x: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """What three passes through `norm` leave, the last of which is not remembered."""
    x = x.clone().requires_grad_()
    for remember in (True, True, False):
        y = norm(x, remember=remember)
    (y * weights).square().sum().backward()
    found = {name: parameter.grad for name, parameter in norm.named_parameters()}
    return {"y": y.detach(), "x": x.grad, **dict(norm.named_buffers()), **found}


def _normalize_on_a_rank(rank: int, meeting: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    results = []
    for shape, affine, portions in CASES:
        norm = fresh_norm(affine=affine, portions=portions)
        results.append(gradients(norm, *map(shard, example(shape))))
        for parameter in norm.parameters():
            dist.all_reduce(parameter.grad)  # in place: it is in the results as well
    torch.save(results, f"{out}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_are_as_one(tmp_path: Path) -> None:
    spawn(_normalize_on_a_rank, (str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    over_ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for number, (shape, affine, portions) in enumerate(CASES):
        expected = gradients(fresh_norm(affine=affine, portions=portions), *example(shape))
        for rank, results in enumerate(over_ranks):
            assert results[number].keys() == expected.keys()
            for name, value in results[number].items():
                wanted = expected[name].chunk(2)[rank] if name in ("x", "y") else expected[name]
                torch.testing.assert_close(
                    value, wanted, rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}"
                )


def test_converts_a_network_with_its_weights_and_statistics() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Sequential(nn.Flatten(), nn.LazyBatchNorm1d())
    )
    x = torch.rand(8, 3, 4, 4)
    for _ in range(5):
        net(x)
    expected = net.eval()(x)
    converted = convert_batch_norms(net)
    assert converted is net
    assert not [part for part in net.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    assert torch.equal(converted(x), expected)
    assert not net[1].training
    assert isinstance(convert_batch_norms(nn.BatchNorm1d(4)), BatchNorm)


def test_refuses_what_it_cannot_convert() -> None:
    for norm in (nn.BatchNorm1d(4, momentum=None), nn.BatchNorm1d(4, track_running_stats=False)):
        with pytest.raises(ValueError, match="moving average"):
            convert_batch_norms(norm)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_portion_has_statistics_of_its_own(shape: tuple[int, ...]) -> None:
    split, (x, weights) = fresh_norm(affine=True, portions=4), example(shape)
    rows = x.clone().requires_grad_()
    output = split(rows)
    (output * weights).sum().backward()
    means, variances = [], []
    for part in range(4):  # rows 0 and 1, 2 and 3, ...
        norm, at = fresh_norm(affine=True), slice(2 * part, 2 * part + 2)
        alone = x[at].clone().requires_grad_()
        expected = norm(alone)
        (expected * weights[at]).sum().backward()
        torch.testing.assert_close(output[at], expected)
        torch.testing.assert_close(rows.grad[at], alone.grad)
        means.append(norm.running_mean)
        variances.append(norm.running_var)
    torch.testing.assert_close(split.running_mean, torch.stack(means).mean(0))
    torch.testing.assert_close(split.running_var, torch.stack(variances).mean(0))


def test_a_split_norm_is_ordinary_in_evaluation_and_remembers_what_it_is_told_to() -> None:
    split, whole = fresh_norm(affine=True, portions=4), fresh_norm(affine=True)
    x, _ = example((8, 5))
    split(x)
    before = split.running_var.clone()
    split(2 * x, remember=False)
    assert torch.equal(split.running_var, before)
    whole.load_state_dict(split.state_dict())
    assert torch.equal(split.eval()(x), whole.eval()(x))


@pytest.mark.parametrize("portions", [3, 16])
def test_a_batch_that_cannot_be_cut_is_refused(portions: int) -> None:
    with pytest.raises(ValueError, match=f"8 rows on each of 1 ranks cannot be cut into {portions} portions"):
        SplitBatchNorm(5, portions)(example((8, 5))[0])


def test_splits_every_norm_of_a_network() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 5), nn.Sequential(BatchNorm(5, eps=0.1, momentum=0.2), nn.ReLU()))
    net.append(BatchNorm(5, affine=False))
    for _ in range(3):
        net(example((8, 5))[0])
    expected = net.eval()(example((8, 5))[0])
    split = split_batch_norms(net, 4)
    assert split is net
    inner, last = net[1][0], net[2]
    assert isinstance(inner, SplitBatchNorm)
    assert isinstance(last, SplitBatchNorm)
    assert (inner.portions, inner.eps, inner.momentum, inner.training) == (4, 0.1, 0.2, False)
    assert last.weight is None
    assert torch.equal(net(example((8, 5))[0]), expected)
    assert isinstance(split_batch_norms(BatchNorm(5), 2), SplitBatchNorm)
