"""Vision transformers: the block beside torch's own attention, positions beside their formula, crops of all sizes."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn import vit
from sslterm.nn.backbone import Backbone
from sslterm.nn.vit import Block, Size, ViT, positions


def torchs_attention(block: Block, width: int) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(width, block.heads, batch_first=True).double()
    state = {
        "in_proj_weight": block.qkv.weight,
        "in_proj_bias": block.qkv.bias,
        "out_proj.weight": block.out.weight,
        "out_proj.bias": block.out.bias,
    }
    theirs.load_state_dict(state)
    return theirs


def test_the_block_is_a_pre_norm_transformer_with_torchs_attention() -> None:
    torch.manual_seed(0)
    block = Block(24, 3).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)  # biases and norms that matter
    x = torch.randn(2, 7, 24, dtype=torch.float64, requires_grad=True)
    theirs = torchs_attention(block, 24)
    normed = F.layer_norm(x, (24,), block.norm1.weight, block.norm1.bias, eps=1e-6)
    mixed, weights = theirs(normed, normed, normed, average_attn_weights=False)
    middle = x + mixed
    normed = F.layer_norm(middle, (24,), block.norm2.weight, block.norm2.bias, eps=1e-6)
    first, _, second = block.mlp
    expected = middle + second(F.gelu(first(normed)))
    torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(block.attention(x), weights, rtol=1e-10, atol=1e-12)
    ours, wanted = (torch.autograd.grad(y.square().sum(), x)[0] for y in (block(x), expected))
    torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-10)


def test_positions_are_sines_and_cosines_of_column_and_row() -> None:
    height, width, features = 3, 5, 12
    table = positions(height, width, features)
    assert table.shape == (15, 12)
    for row in range(height):
        for column in range(width):
            for i in range(3):
                rate = 10_000 ** (-i / 3)
                expected = [
                    math.sin(column * rate),
                    math.cos(column * rate),
                    math.sin(row * rate),
                    math.cos(row * rate),
                ]
                ours = table[row * width + column].view(4, 3)[:, i].tolist()
                assert ours == pytest.approx(expected, abs=1e-6)


def small(patch: int = 4) -> ViT:
    torch.manual_seed(0)
    return ViT("vit-tiny", channels=3, patch=patch).eval()


def test_sizes_are_those_of_deit_and_one_for_a_cpu() -> None:
    """5.7, 22 and 86 million parameters, here without a classifier and without learned positions."""
    sizes = {
        "vit-micro": (96, 4, 3),
        "vit-tiny": (192, 12, 3),
        "vit-small": (384, 12, 6),
        "vit-base": (768, 12, 12),
    }
    assert sizes.keys() == set(get_args(Size))
    for size in get_args(Size):
        width, depth, heads = sizes[size]
        net = ViT(size, channels=3, patch=16)
        assert (net.features, len(net.blocks), net.blocks[0].heads) == (width, depth, heads)
        block = 12 * width**2 + 13 * width
        expected = depth * block + (3 * 16 * 16 + 1) * width + width + 2 * width
        assert sum(parameter.numel() for parameter in net.parameters()) == expected


def test_tokens_are_patches_through_a_linear_layer_and_their_place() -> None:
    net = small()
    images = torch.rand(2, 3, 8, 12)
    patches = images.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    expected = F.linear(patches, net.embed.weight.flatten(1), net.embed.bias) + positions(2, 3, 192)
    tokens = net.tokens(images)
    torch.testing.assert_close(tokens[:, 1:], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tokens[:, 0], net.token[:, 0].expand(2, -1))


def test_patches_can_be_left_out_in_any_order_and_keep_their_places() -> None:
    net, images = small(), torch.rand(2, 3, 8, 12)
    kept = torch.tensor([[5, 0], [2, 3]])
    every, some = net.tokens(images), net.tokens(images, kept)
    assert some.shape == (2, 3, 192)
    assert torch.equal(some[:, 0], every[:, 0])
    for row in range(2):
        assert torch.equal(some[row, 1:], every[row, 1 + kept[row]])
    seen: list[int] = []
    for block in net.blocks:
        block.register_forward_hook(lambda block, given, made: seen.append(given[0].shape[1]))
    encoded = net.encode_tokens(some)
    assert seen == [3] * 12
    whole = net.encode_tokens(net.tokens(images, torch.arange(6).expand(2, -1)))
    torch.testing.assert_close(whole[:, 0], net(images))
    assert not torch.allclose(encoded[:, 0], whole[:, 0], atol=1e-3)


def test_one_network_takes_crops_of_every_size() -> None:
    net = small()
    for side in (8, 16, 32):
        assert net(torch.rand(2, 3, side, side)).shape == (2, 192)
    with pytest.raises(ValueError, match="30 x 32 pixels do not divide into patches of 4"):
        net(torch.rand(2, 3, 30, 32))


def test_without_positions_the_order_of_patches_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net, images = small(), torch.rand(2, 3, 8, 8)
    swapped = torch.cat((images[..., 4:], images[..., :4]), dim=3)
    assert not torch.allclose(net(images), net(swapped), atol=1e-4)
    monkeypatch.setattr(vit, "positions", lambda h, w, features, device: torch.zeros(h * w, features))
    torch.testing.assert_close(net(images), net(swapped), rtol=1e-4, atol=1e-5)


def test_layers_lead_to_what_forward_gives() -> None:
    net, images = small(), torch.rand(2, 3, 16, 16)
    layers = net.layers(images)
    assert list(layers) == ["block3", "block6", "block9", "block12", "class-token"]
    assert layers["block3"].shape == (2, 17, 192)
    assert torch.equal(layers["class-token"], net(images))
    torch.testing.assert_close(net.norm(layers["block12"])[:, 0], net(images))
    micro = ViT("vit-micro", channels=3, patch=4)
    assert list(micro.layers(images)) == ["block3", "block4", "class-token"]


def test_attention_is_that_of_the_last_block_from_the_class_token() -> None:
    net, images = small(), torch.rand(2, 3, 16, 8)
    looks = net.attention(images)
    assert looks.shape == (2, 3, 4, 2)
    x = net.tokens(images)
    for block in net.blocks[:-1]:
        x = block(x)
    weights = net.blocks[-1].attention(x)[:, :, 0]  # [B, heads, T]
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))
    torch.testing.assert_close(looks.flatten(2), weights[..., 1:])


def test_query_key_and_value_are_drawn_as_layers_of_their_own() -> None:
    bound = math.sqrt(6 / (192 + 192))
    for part in small().blocks[0].qkv.weight.detach().chunk(3):
        assert 0.99 * bound < float(part.abs().max()) <= bound
        assert float(part.std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_it_returns_float32_under_autocast_and_compiles_whole() -> None:
    net, images = small(), torch.rand(2, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs: list[Tensor] = [net(images), *net.layers(images).values(), net.attention(images)]
    assert {part.dtype for part in outputs} == {torch.float32}
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), net(images))


def test_the_backbone_standardises_what_attention_looks_at() -> None:
    torch.manual_seed(0)
    options = {"widths": (), "patch": 4, "channels": 3}
    net = Backbone("vit-tiny", pixel_mean=(0.5,), pixel_std=(0.25,), **options).eval()  # type: ignore[arg-type]
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(net.attention(images), net.net.attention((images - 0.5) / 0.25))
