"""Views as methods use them: calls, compilation, errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sslterm.augment import View
from sslterm.errors import UsageError
from tests import augment_oracle as oracle


def test_calls_are_new_views_and_repeat_with_the_random_state():
    view, images = View(oracle.EVERYTHING), oracle.photographs(16)
    torch.manual_seed(0)
    first, second = view(images), view(images)
    torch.manual_seed(0)
    again = view(images)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_a_call_is_sample_and_apply():
    view, images = View(oracle.EVERYTHING), oracle.photographs(16)
    torch.manual_seed(0)
    called = view(images)
    torch.manual_seed(0)
    assert torch.equal(view.apply(images, view.sample(16, 32, 32, device=images.device)), called)


def test_the_view_of_nothing_is_a_copy():
    images = oracle.photographs(16)
    copy = View(oracle.NOTHING)(images)
    assert torch.equal(copy, images)
    assert copy.data_ptr() != images.data_ptr()


def test_views_need_no_gradient():
    images = oracle.photographs(16).requires_grad_()
    assert not View(oracle.EVERYTHING)(images * 1).requires_grad


def test_autocast_does_not_lower_the_precision_of_views():
    view, images = View(oracle.EVERYTHING), oracle.photographs(16)
    torch.manual_seed(0)
    expected = view(images)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(view(images), expected)


def test_compiled_losses_keep_two_views_apart_and_draw_what_eager_ones_draw():
    view, images = View(oracle.EVERYTHING), oracle.photographs(16)

    def loss(images: Tensor) -> Tensor:
        return (view(images) - view(images)).square().mean()

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.manual_seed(0)
    expected = loss(images)
    torch.manual_seed(0)
    assert expected > 0.01
    torch.testing.assert_close(compiled(images), expected)


def test_equal_configs_make_equal_views():
    images = oracle.photographs(16)
    torch.manual_seed(0)
    expected = View(oracle.EVERYTHING)(images)
    torch.manual_seed(0)
    assert torch.equal(View(replace(oracle.EVERYTHING))(images), expected)
    torch.manual_seed(0)
    assert not torch.equal(View(replace(oracle.EVERYTHING, jitter=0.0))(images), expected)


@pytest.mark.parametrize("operation", ["jitter", "grey", "sobel"])
def test_colour_operations_refuse_images_without_colours(operation):
    images = torch.rand(4, 5, 8, 8)
    with pytest.raises(UsageError, match="1 or 3 channels, and these have 5"):
        View(replace(oracle.NOTHING, **{operation: 0.5}))(images)
    cropped = View(replace(oracle.NOTHING, crop=(0.1, 0.9), blur=0.5, noise=0.5))(images)
    assert cropped.shape == images.shape
