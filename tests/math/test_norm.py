"""Batch normalization over ranks is that of one process, gradients and running statistics included."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from sslterm.nn.norm import BatchNorm, convert_batch_norms
from sslterm.rows import shard

SHAPES = [(8, 5), (8, 5, 3, 4)]


def example(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """An input whose halves differ in mean and scale, and the weight of every output in a loss."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float32)
    x[4:] = 3 * x[4:] + 2
    return x, torch.randn(shape, generator=generator)


def fresh_norm(*, affine: bool) -> BatchNorm:
    norm = BatchNorm(5, affine=affine, momentum=0.3)
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


CASES = [(SHAPES[0], False), (SHAPES[1], True)]


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
    for shape, affine in CASES:
        norm = fresh_norm(affine=affine)
        results.append(gradients(norm, *map(shard, example(shape))))
        for parameter in norm.parameters():
            dist.all_reduce(parameter.grad)  # in place: it is in the results as well
    torch.save(results, f"{out}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_are_as_one(tmp_path: Path) -> None:
    spawn(_normalize_on_a_rank, (str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    over_ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for number, (shape, affine) in enumerate(CASES):
        expected = gradients(fresh_norm(affine=affine), *example(shape))
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
