"""Jigsaw: tiles and their orders, the context-free network, and what it says of puzzles."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.jigsaw import Jigsaw, in_order, puzzles_panel
from sslterm.nn.tiles import cut, normalized, pick
from tests.embedding_parts import ENCODER, STILL, batch_of, images_of, inputs, view

SIDE = 24


def build(given: Inputs | None = None, **changes: object) -> Jigsaw:
    fields = {
        "tile": 8, "tile_features": 6, "head": (10,), "grid": 3, "permutations": 12, "normalize": False,
        "channel_shift": 0,
    }  # fmt: skip
    torch.manual_seed(0)
    config = Jigsaw.Config(**{**ENCODER, **fields, **changes})  # type: ignore[arg-type]
    return Jigsaw(config, given or inputs(a=STILL, side=SIDE))


def numbered(n: int, side: int = SIDE, channels: int = 3) -> Tensor:
    """Images whose pixels say where they are: row * side + column."""
    return torch.arange(float(side * side)).view(1, 1, side, side).expand(n, channels, side, side)


def test_tiles_that_fill_their_cells_are_the_picture() -> None:
    images = images_of(4, side=SIDE)
    assert torch.equal(build().tiles(images), cut(images, 3))


@pytest.mark.parametrize(("grid", "tile", "room"), [(3, 5, 3), (2, 9, 3)])
def test_tiles_lie_anywhere_within_their_cells(grid: int, tile: int, room: int) -> None:
    method = build(grid=grid, tile=tile)
    tiles = method.tiles(numbered(600))
    assert tiles.shape == (600, grid**2, 3, tile, tile)
    first = tiles[:, :, 0, 0, 0].long()  # of every tile its upper left pixel
    rows, columns = first // SIDE, first % SIDE
    cell = SIDE // grid
    for number in range(grid**2):
        for place, start in ((rows, cell * (number // grid)), (columns, cell * (number % grid))):
            found = place[:, number] - start
            assert found.unique().tolist() == list(range(room + 1))
            assert (torch.bincount(found) / 600 - 1 / (room + 1)).abs().max() < 0.08
    assert (torch.corrcoef((rows - rows.float().mean(0)).T.double()) - torch.eye(grid**2)).abs().max() < 0.2
    steps = tiles[:, :, 0].diff(dim=3)
    assert (steps == 1).all(), "a tile is a piece of the picture"


def test_channels_shift_against_each_other_in_training_alone() -> None:
    method = build(tile=5, channel_shift=2).train()
    tiles = method.tiles(numbered(400))
    corner = tiles[:, :, :, 0, 0].long()  # [B, T, C]
    apart = (corner[:, 4, 1:] - corner[:, 4, :1]).flatten()  # in the centre no border is near
    down = (corner[:, 4] // SIDE).diff(dim=1).flatten()
    assert down.abs().max() == 4, "from -2 to 2"
    assert (apart == 0).float().mean() < 0.15
    method.eval()
    corner = method.tiles(numbered(400))[:, :, :, 0, 0]
    assert torch.equal(corner[..., :1].expand_as(corner), corner)


def test_the_loss_names_the_order_in_which_tiles_are_shown() -> None:
    method, batch = build().eval(), batch_of(6, side=SIDE)
    shown = []
    method.encoder.net.register_forward_pre_hook(lambda module, args: shown.append(args))
    seen: list[Tensor] = []
    answer = method.answer
    method.answer = lambda tiles: seen.append(tiles) or answer(tiles)  # type: ignore[method-assign, func-returns-value]
    loss, aux = method.loss(batch)
    right = []
    for tiles, shuffled in zip(cut(batch.images, 3), seen[0], strict=True):
        order = [next(i for i in range(9) if torch.equal(tiles[i], tile)) for tile in shuffled]
        right.append(method.orders.tolist().index(order))
    logits = answer(seen[0])
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor(right)))
    assert aux["accuracy"].item() == pytest.approx(
        (logits.argmax(1) == torch.tensor(right)).float().mean().item()
    )
    assert len(set(right)) > 2


def test_tiles_share_one_network_and_meet_in_order() -> None:
    method = build().eval()
    tiles = torch.rand(3, 9, 3, 8, 8)
    towers = [method.tower(method.encoder.layers(tiles[:, i])["stage2"].flatten(1)) for i in range(9)]
    torch.testing.assert_close(method.answer(tiles), method.head(torch.cat(towers, dim=1)))
    changed = tiles.clone()
    changed[:, 4] = torch.rand(3, 3, 8, 8)
    gradient_free = [
        method.tower(method.encoder.layers(changed[:, i])["stage2"].flatten(1)) for i in range(9)
    ]
    for number in range(9):
        assert torch.equal(towers[number], gradient_free[number]) == (number != 4), "context-free"


def test_normalization_takes_mean_and_deviation_from_what_the_network_sees() -> None:
    plain, normal = build(), build(normalize=True)
    images = images_of(2, side=8)
    assert torch.equal(plain.seen(images), images)
    assert torch.equal(normal.seen(images), normalized(images))
    torch.testing.assert_close(
        normal.eval().encode(images), normal.encode(0.3 * images + 0.2), rtol=2e-2, atol=2e-2
    )


def test_figures_are_of_puzzles_and_of_tiles() -> None:
    method, images = build().eval(), images_of(40, side=SIDE)
    asked: list[int] = []

    def answers(tiles: Tensor) -> Tensor:  # the right order for the first 10, the next one for the others
        for before, after in zip(cut(images, 3), tiles, strict=True):
            order = [next(i for i in range(9) if torch.equal(before[i], tile)) for tile in after]
            asked.append(method.orders.tolist().index(order))
        right = torch.tensor(asked)
        return F.one_hot(torch.where(torch.arange(40) < 10, right, (right + 1) % 12), 12).float()

    method.answer = answers  # type: ignore[method-assign]
    figures = method.solve(images)
    assert figures["accuracy"].tolist() == [1.0] * 10 + [0.0] * 30
    expected = [
        (method.orders[right] == method.orders[(right + 1) % 12]).float().mean().item()
        for right in asked[10:]
    ]
    assert figures["tiles_in_place"][:10].tolist() == [1.0] * 10
    assert figures["tiles_in_place"][10:].tolist() == pytest.approx(expected)


def test_chance_is_that_of_a_guess() -> None:
    method = build(permutations=60)
    guesses = torch.randint(60, (2, 20_000), generator=torch.Generator().manual_seed(0))
    in_place = (method.orders[guesses[0]] == method.orders[guesses[1]]).float().mean()
    said = float(method.solved["tiles_in_place"].rpartition(" ")[2].rstrip(")"))
    assert said == pytest.approx(float(in_place), abs=0.005)
    assert method.solved["accuracy"].endswith("(chance 0.0167)")


def test_in_order_undoes_every_order() -> None:
    method, tiles = build(), torch.rand(12, 9, 1, 2, 2)
    assert torch.equal(in_order(pick(tiles, method.orders), method.orders), tiles)


def test_the_panel_shows_the_puzzle_the_answer_and_the_truth() -> None:
    method, tiles = build(), torch.rand(12, 9, 3, 4, 4)
    right, given = method.orders, method.orders.roll(1, 0).clone()
    given[0] = right[0]
    panel = puzzles_panel(pick(tiles, right), right, given, 3)
    rows = torch.from_numpy(panel.array).unflatten(0, (12, 3))
    assert torch.equal(rows[0, 1], rows[0, 2])
    assert not torch.equal(rows[1, 1], rows[1, 2])
    assert torch.equal(rows[3, 2, :, 1:5, 7:11], tiles[3, 1]), "the second tile of the truth is the second"
    assert torch.equal(rows[3, 0, :, 1:5, 7:11], tiles[3, right[3, 1]])
    assert panel.caption.endswith("; 1 solved")


def test_orders_survive_in_the_checkpoint() -> None:
    method = build()
    assert "orders" in method.state_dict()
    assert torch.equal(method.orders, build(permutations=24).orders[:12])


def test_layers_lead_to_the_encoding_at_any_size() -> None:
    method, images = build().eval(), images_of(2, side=16)
    layers = method.layers(images)
    assert list(layers) == ["stage1", "stage2", "pooled"]
    assert torch.equal(layers["pooled"], method.encode(images))


def test_what_cannot_be_cut_is_refused_with_what_can() -> None:
    with pytest.raises(UsageError, match=r"cells of 8, and method\.tile = 9 does not fit") as caught:
        build(tile=9)
    assert "method.tile=7" in caught.value.hint
    assert "augment.a.size=30" in caught.value.hint
    build(tile=7)
    build(tile=9, given=inputs(a=view(size=30), side=SIDE))
    with pytest.raises(UsageError, match="4 tiles have 24 orders"):
        build(grid=2, permutations=25)
    with pytest.raises(UsageError, match="permutations = 1:"):
        build(permutations=1)
    grey = replace(inputs(a=STILL, side=SIDE), channels=1)
    with pytest.raises(UsageError, match="needs colours"):
        build(given=grey, channel_shift=1)
    build(given=grey)
    with pytest.raises(UsageError, match=r"method\.patch = 4 does not divide tiles of 6 pixels"):
        build(tile=6, backbone="vit-tiny", widths=(), patch=4)
