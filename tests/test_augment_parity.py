"""Every operation against torchvision's functional, given the same parameters, for every way to run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode

from sslterm.augment import Table, eager, filters, native, why_not_native
from sslterm.augment.table import sample
from sslterm.config.schema import ViewConfig
from tests import augment_oracle as oracle

CPU = torch.device("cpu")
TOLERANCE = 1e-5
IMAGES = 96


def masked(config: ViewConfig, images: Tensor, table: Table) -> Tensor:
    """The form that runs on a GPU, here on the CPU."""
    return eager._apply(config, images, table, eager._masked)


@pytest.fixture(params=["eager", "masked", "native"])
def apply(request: pytest.FixtureRequest) -> Callable[[ViewConfig, Tensor, Table], Tensor]:
    if request.param == "native" and why_not_native():
        pytest.skip(why_not_native())
    return {"eager": eager.apply, "masked": masked, "native": native.apply}[request.param]


def draw(config: ViewConfig, images: Tensor) -> Table:
    torch.manual_seed(0)
    return sample(config, len(images), *images.shape[2:], device=CPU)


@pytest.mark.parametrize("name", oracle.OPERATIONS)
@pytest.mark.parametrize("channels", [3, 1])
def test_operation_equals_torchvision(apply, name, channels):
    config, images = oracle.OPERATIONS[name], oracle.photographs(IMAGES, channels)
    table = draw(config, images)
    expected = oracle.views(config, images, table)
    changes_nothing = channels == 1 and name in ("saturation", "hue", "grey")
    assert torch.equal(expected, images) == changes_nothing
    torch.testing.assert_close(apply(config, images, table), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (3, 9), (3, 65)])
def test_all_operations_together_equal_torchvision(apply, channels, size):
    images = oracle.photographs(IMAGES, channels, size)
    table = draw(oracle.EVERYTHING, images)
    expected = oracle.views(oracle.EVERYTHING, images, table)
    torch.testing.assert_close(apply(oracle.EVERYTHING, images, table), expected, rtol=0, atol=TOLERANCE)


def test_oblong_images_are_cropped_to_their_own_shape(apply):
    images = oracle.photographs(IMAGES, 3, 40)[:, :, :24]
    config = replace(oracle.EVERYTHING, rotate=0.0)
    table = draw(config, images)
    expected = oracle.views(config, images, table)
    torch.testing.assert_close(apply(config, images, table), expected, rtol=0, atol=TOLERANCE)


def test_channels_last_and_sliced_images_give_the_same_views(apply):
    images = oracle.photographs(IMAGES)
    table = draw(oracle.EVERYTHING, images)
    expected = apply(oracle.EVERYTHING, images, table)
    assert expected.is_contiguous()
    rows_of_more = torch.cat((images, images), dim=1)[:, 3:]
    for other in (images.to(memory_format=torch.channels_last), rows_of_more):
        assert torch.equal(apply(oracle.EVERYTHING, other, table), expected)


def test_neutral_table_changes_nothing(apply):
    images = oracle.photographs(IMAGES)
    table = Table.neutral(IMAGES, 32, 32, device=CPU)
    assert torch.equal(apply(oracle.EVERYTHING, images, table), images)


def test_what_the_config_turns_off_is_off_whatever_the_table_says(apply):
    images = oracle.photographs(IMAGES)
    table = draw(oracle.EVERYTHING, images)
    only_geometry = replace(oracle.NOTHING, crop=(0.08, 1.0), flip=0.5)
    kept = Table.neutral(IMAGES, 32, 32, device=CPU)
    expected = oracle.views(only_geometry, images, replace(kept, box=table.box, flip=table.flip))
    torch.testing.assert_close(apply(only_geometry, images, table), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("channels", [3, 1])
def test_views_are_finite_and_in_range(apply, channels):
    flat = torch.tensor([0.0, 1.0, 0.5, 1e-8, 1 - 2**-24, 1e-38]).repeat_interleave(40)
    images = flat[:, None, None, None].repeat(1, channels, 16, 16)
    primaries = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).repeat_interleave(30, dim=0)[
        :, :channels
    ]
    images = torch.cat(
        (images, primaries[:, :, None, None].expand(-1, -1, 16, 16), torch.rand(500, channels, 16, 16))
    )
    images[-200:] = images[-200:].round()
    config = replace(oracle.EVERYTHING, brightness=2.0, contrast=3.0, saturation=3.0, noise_std=1.0)
    result = apply(config, images, draw(config, images))
    assert torch.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= 1


def test_images_are_left_as_they_were(apply):
    images = oracle.photographs(IMAGES)
    before = images.clone()
    apply(oracle.EVERYTHING, images, draw(oracle.EVERYTHING, images))
    assert torch.equal(images, before)


def test_an_empty_batch_stays_empty(apply):
    images = torch.empty(0, 3, 8, 8)
    assert apply(oracle.EVERYTHING, images, draw(oracle.EVERYTHING, images)).shape == (0, 3, 8, 8)


@pytest.mark.skipif(
    torch.version.cuda is None, reason="this torch knows no CUDA devices, not even pretended ones"
)
def test_on_a_gpu_the_host_waits_for_nothing():
    """Tensors without values: asking for one, or mixing devices, is an error."""
    with FakeTensorMode():
        images = torch.rand(8, 3, 32, 32, device="cuda")
        table = sample(oracle.EVERYTHING, 8, 32, 32, device=images.device)
        views = eager.apply(oracle.EVERYTHING, images, table)
        assert views.shape == images.shape
        assert views.device == images.device
        with pytest.raises(DynamicOutputShapeException):
            eager._apply(oracle.EVERYTHING, images, table, eager._indexed)


def test_noise_is_standard_normal_and_each_image_has_its_own():
    seeds = torch.randint(1 << 48, (200,), generator=torch.Generator().manual_seed(1))
    normal = filters.standard_normal(seeds, 3 * 32 * 32 + 1)
    assert normal.shape == (200, 3073)
    assert stats.kstest(normal.flatten()[::3].numpy(), "norm").pvalue > 0.01
    neighbours = torch.stack([(normal[:, :-k] * normal[:, k:]).mean() for k in (1, 2, 3, 32, 96, 1024)])
    assert neighbours.abs().max() < 5 / normal.numel() ** 0.5
    between = torch.corrcoef(normal) - torch.eye(200)
    assert between.abs().max() < 5.5 / 3073**0.5  # 5.5 standard deviations: 20,000 pairs
    consecutive = filters.standard_normal(torch.arange(200), 3072)
    assert (torch.corrcoef(consecutive) - torch.eye(200)).abs().max() < 5.5 / 3072**0.5


def test_blur_reaches_as_far_as_the_image_allows():
    assert filters.blur_radius(2.0, 32, 32) == 6
    assert filters.blur_radius(2.0, 4, 32) == 3
    assert filters.blur_radius(0.1, 32, 32) == 1
