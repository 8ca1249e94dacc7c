"""The store, and the stream whose whole state is one integer."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslterm.data.batch import Batch
from sslterm.data.source import Split
from sslterm.data.store import Store, _choose_placement
from sslterm.data.stream import BatchStream
from sslterm.errors import UsageError

CPU = torch.device("cpu")


def make_store(count: int) -> Store:
    """Images that say which they are: image i has the value i % 256 everywhere and the label i."""
    values = torch.arange(count)
    images = (values % 256).to(torch.uint8)[:, None, None, None].expand(count, 1, 2, 2).contiguous()
    return Store(Split(images, values), CPU)


def drawn(stream: BatchStream, batches: int) -> torch.Tensor:
    return torch.cat([next(stream).index for _ in range(batches)])


def test_a_batch_is_the_images_at_an_index_as_floats() -> None:
    store = make_store(300)
    index = torch.tensor([299, 0, 255, 17, 17])
    batch = store.batch(index)
    assert batch.images.dtype == torch.float32
    assert torch.equal(batch.images, store.images[index].float().div_(255))
    assert torch.equal(batch.index, index)
    assert batch.label.tolist() == [299, 0, 255, 17, 17]
    assert batch.images.max() == 1.0
    assert (len(store), store.shape, store.placement) == (300, (1, 2, 2), "device")


def test_changing_a_batch_changes_no_image() -> None:
    store = make_store(4)
    store.batch(torch.arange(4)).images.fill_(0)
    assert store.batch(torch.tensor([3])).images.max() == 3 / 255


def test_a_batch_of_clips_has_frames() -> None:
    images = torch.randint(0, 256, (5, 4, 3, 2, 2), dtype=torch.uint8)
    batch = Store(Split(images, torch.zeros(5, dtype=torch.int64)), CPU).batch(torch.tensor([4, 1]))
    assert batch.images.shape == (2, 4, 3, 2, 2)
    assert torch.equal((batch.images * 255).round().to(torch.uint8), images[[4, 1]])


@pytest.mark.parametrize(
    ("kind", "free_there", "free_here", "placement"),
    [
        ("cpu", 0, 0, "device"),
        ("mps", 0, 0, "device"),
        ("cuda", 2_000, 2_000, "device"),
        ("cuda", 1_600, 2_000, "pinned"),
        ("cuda", 1_600, 1_600, "host"),
    ],
)
def test_images_lie_where_they_leave_room(
    monkeypatch: pytest.MonkeyPatch, kind: str, free_there: int, free_here: int, placement: str
) -> None:
    """1,000 bytes of images, of which a place takes up to 60 % of what is free."""
    images = torch.zeros(250, 1, 2, 2, dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_there, 10_000))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free_here))
    assert _choose_placement(images, torch.device(kind)) == placement


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("placement", ["device", "pinned", "host"])
def test_batches_are_the_same_from_everywhere(monkeypatch: pytest.MonkeyPatch, placement: str) -> None:
    plain = make_store(300)
    split = Split(plain.images, plain.labels)
    monkeypatch.setattr("sslterm.data.store._choose_placement", lambda images, device: placement)
    store = Store(split, torch.device("cuda"))
    here, there = (BatchStream(one, batch=70, seed=0) for one in (plain, store))
    for _ in range(9):
        mine, theirs = next(here), next(there)
        assert theirs.images.is_cuda
        assert torch.equal(mine.images, theirs.images.cpu())
        assert torch.equal(mine.index, theirs.index.cpu())
        assert torch.equal(mine.label, theirs.label.cpu())


def test_every_epoch_has_every_image_once_in_another_order() -> None:
    stream = BatchStream(make_store(60), batch=12, seed=0)
    epochs = [drawn(stream, 5) for _ in range(3)]
    for epoch in epochs:
        assert epoch.sort().values.tolist() == list(range(60))
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[1], epochs[2])
    other = drawn(BatchStream(make_store(60), batch=12, seed=1), 5)
    assert not torch.equal(epochs[0], other)


def test_an_epoch_may_turn_in_the_middle_of_a_batch() -> None:
    stream = BatchStream(make_store(10), batch=4, seed=3)
    epochs = []
    for _ in range(5):
        epochs.append(stream.epoch)
        next(stream)
    assert epochs == [0, 0, 0, 1, 1]  # at 0, 4, 8, 12, 16 images
    stream.position = 0
    order = drawn(stream, 5)
    assert order[:10].sort().values.tolist() == list(range(10))
    assert order[10:].sort().values.tolist() == list(range(10))
    assert stream.position == 20
    assert stream.images_per_epoch == 10


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 23),
    rows=st.integers(1, 6),
    world=st.sampled_from([1, 2, 4]),
    start=st.integers(0, 12),
    seed=st.integers(0, 2**40),
)
def test_ranks_together_see_what_one_process_sees(
    count: int, rows: int, world: int, start: int, seed: int
) -> None:
    """From any position, in any number of ranks, and with batches of more images than there are."""
    store, batch = make_store(count), rows * world
    alone = BatchStream(store, batch=batch, seed=seed, position=start * batch)
    ranks = [
        BatchStream(store, batch=batch, seed=seed, position=start * batch, rank=rank, world=world)
        for rank in range(world)
    ]
    for _ in range(4):
        whole = next(alone)
        parts = [next(stream) for stream in ranks]
        assert torch.equal(whole.index, torch.cat([part.index for part in parts]))
        assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
        assert {stream.position for stream in ranks} == {alone.position}


def test_a_stream_goes_on_from_any_position() -> None:
    straight = drawn(BatchStream(make_store(50), batch=8, seed=9), 20)
    for done in range(20):
        resumed = BatchStream(make_store(50), batch=8, seed=9, position=done * 8)
        assert torch.equal(drawn(resumed, 20 - done), straight[done * 8 :])
    stream = BatchStream(make_store(50), batch=8, seed=9)
    drawn(stream, 13)
    stream.position = 5 * 8
    assert torch.equal(drawn(stream, 2), straight[40:56])


def test_a_run_saved_on_four_ranks_goes_on_with_two() -> None:
    store = make_store(37)
    straight = drawn(BatchStream(store, batch=8, seed=2), 10)
    four = [BatchStream(store, batch=8, seed=2, rank=rank, world=4) for rank in range(4)]
    for stream, _ in itertools.product(four, range(5)):
        next(stream)
    two = [
        BatchStream(store, batch=8, seed=2, position=four[0].position, rank=rank, world=2)
        for rank in range(2)
    ]
    after = torch.cat([next(stream).index for _ in range(5) for stream in two])
    assert torch.equal(after, straight[40:])


def test_orders_do_not_repeat_and_do_not_favour_a_place() -> None:
    """Mean place of each of 20 images over 2,000 epochs: 9.5, with a standard error of 0.13."""
    store = make_store(20)
    stream = BatchStream(store, batch=20, seed=0)
    orders = torch.stack([next(stream).index for _ in range(2_000)])
    assert len(orders.unique(dim=0)) == 2_000
    places = orders.argsort(1).double().mean(0)
    assert (places - 9.5).abs().max() < 5 * 0.13


def test_the_random_state_of_training_is_left_alone() -> None:
    before = torch.get_rng_state()
    drawn(BatchStream(make_store(10), batch=5, seed=0), 7)
    assert torch.equal(before, torch.get_rng_state())


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(UsageError, match=r"train\.batch = 10 cannot be divided among 4 ranks") as caught:
        BatchStream(make_store(20), batch=10, seed=0, world=4)
    assert "such as 8" in caught.value.hint


def test_a_batch_can_be_cut() -> None:
    batch = make_store(10).batch(torch.arange(10))
    part = batch[2:5]
    assert isinstance(part, Batch)
    assert (len(part), part.index.tolist(), part.label.tolist()) == (3, [2, 3, 4], [2, 3, 4])
