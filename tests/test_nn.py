"""Networks that know no method: shapes, stems, named layers, and float32 at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sslterm.nn.backbone import Backbone, BackboneName
from sslterm.nn.heads import Projector
from sslterm.nn.norm import BatchNorm
from sslterm.nn.precision import in_float32
from sslterm.nn.resnet import ResNet


def backbone(name: BackboneName, *, channels: int = 3) -> Backbone:
    torch.manual_seed(0)
    widths = (4, 6, 8) if name == "conv" else ()
    return Backbone(name, widths=widths, patch=0, channels=channels, pixel_mean=(0.5,), pixel_std=(0.25,))


@pytest.mark.parametrize(
    ("name", "features", "sides"),
    [
        ("conv", 8, [16, 8, 4]),
        ("resnet18-small", 512, [32, 16, 8, 4]),
        ("resnet18", 512, [8, 4, 2, 1]),
        ("resnet50-small", 2048, [32, 16, 8, 4]),
    ],
)
def test_backbones(name: BackboneName, features: int, sides: list[int]) -> None:
    net = backbone(name, channels=1).eval()
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        pooled, layers = net(images), net.layers(images)
    assert net.features == features
    assert pooled.shape == (2, features)
    assert list(layers) == [*(f"stage{number}" for number in range(1, len(sides) + 1)), "pooled"]
    assert [part.shape[-1] for part in layers.values() if part.ndim == 4] == sides
    torch.testing.assert_close(layers["pooled"], pooled)


@pytest.mark.parametrize("name", ["conv", "resnet18-small"])
def test_they_return_float32_whatever_the_arithmetic_inside(name: BackboneName) -> None:
    net = backbone(name)
    head = Projector(net.features, (16, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = net(torch.rand(4, 3, 32, 32))
        layers = net.layers(torch.rand(4, 3, 32, 32))
        embedding = head(pooled)
    assert {part.dtype for part in (pooled, embedding, *layers.values())} == {torch.float32}


def test_pixels_are_standardised_by_channel() -> None:
    images = torch.rand(2, 3, 8, 8)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.25, 0.125])
    net = Backbone(
        "conv", widths=(4,), patch=0, channels=3, pixel_mean=mean.tolist(), pixel_std=std.tolist()
    ).eval()
    expected = net.net((images - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1))
    torch.testing.assert_close(net(images), expected)


def test_what_does_not_go_together_is_refused() -> None:
    def build(name: BackboneName, widths: tuple[int, ...], mean: tuple[float, ...]) -> Backbone:
        return Backbone(name, widths=widths, patch=0, channels=3, pixel_mean=mean, pixel_std=(0.25,))

    for name, widths in (("conv", ()), ("resnet18", (16, 32))):
        with pytest.raises(ValueError, match="widths are for conv"):
            build(name, widths, (0.5,))
    with pytest.raises(ValueError, match="pixel_mean needs 1 number, or 3"):
        build("conv", (4,), (0.5, 0.5))


def test_resnet_is_torchvisions_with_statistics_over_ranks() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    ours = ResNet("resnet18", channels=3, small_images=False).train()
    theirs = resnet18(weights=None)
    theirs.fc = nn.Identity()
    state = ours.net.state_dict()
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    images = torch.rand(4, 3, 64, 64)
    torch.testing.assert_close(ours(images), theirs(images))
    assert not [part for part in ours.modules() if isinstance(part, nn.BatchNorm2d)]
    last_norms = [value for name, value in state.items() if name.endswith("bn2.weight")]
    assert len(last_norms) == 8
    assert not torch.cat(last_norms).any()  # every block starts as the identity


def test_projector_ends_linearly_and_has_no_biases() -> None:
    head = Projector(10, (20, 30, 5))
    kinds = [type(part) for part in head.layers]
    hidden = [nn.Linear, BatchNorm, nn.ReLU]
    assert kinds == [*hidden, *hidden, nn.Linear]
    assert all(part.bias is None for part in head.layers if isinstance(part, nn.Linear))
    assert head(torch.rand(4, 10)).shape == (4, 5)


def test_in_float32_widens_half_precision_and_shuts_autocast_out() -> None:
    seen = []

    def product(a: Tensor, b: Tensor) -> Tensor:
        seen.extend([a.dtype, b.dtype, (a.float() @ b.float().T).dtype])
        return a @ b.T

    full: Callable[..., Tensor] = in_float32(product)
    x = torch.rand(3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product(x, x).dtype == torch.bfloat16
        seen.clear()
        assert full(x.bfloat16(), b=x).dtype == torch.float32
        assert full(x.double(), x.double()).dtype == torch.float64
    assert seen == [torch.float32] * 3 + [torch.float64] * 2 + [torch.float32]
