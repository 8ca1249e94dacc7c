"""Multi-crop: which crops there are, how they pass a network, and which pairs of them are compared."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.encoder import build_encoder
from sslterm.methods.joint_embedding.multi_crop import (
    MultiCrop,
    MultiCropConfig,
    crops_panel,
    cross_entropies,
    through,
)
from tests.embedding_parts import ENCODER, VIT, images_of, inputs, view


@dataclass(frozen=True, kw_only=True)
class Config(MultiCropConfig):
    pass


def multi_crop(local_crops: int, *views: str) -> MultiCrop:
    return MultiCrop(Config(**ENCODER, local_crops=local_crops), inputs(*views))


def test_there_are_two_large_crops_and_the_small_ones() -> None:
    crops = multi_crop(3, "a", "b", "local").crops(images_of(5))
    assert [crop.shape for crop in crops] == [(5, 3, 16, 16)] * 2 + [(5, 3, 8, 8)] * 3
    assert not torch.equal(crops[2], crops[3])


def test_without_local_crops_the_preset_has_no_view_of_them() -> None:
    assert len(multi_crop(0, "a", "b").crops(images_of(2))) == 2
    with pytest.raises(UsageError, match=r"\[augment.local\]"):
        multi_crop(0, "a", "b", "local")
    with pytest.raises(UsageError, match=r"\[augment.local\]"):
        multi_crop(2, "a", "b")


def test_crops_of_equal_size_pass_the_network_together_and_in_order() -> None:
    seen = []

    def network(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape))
        return images.mean((2, 3))

    crops = [images_of(4, seed)[..., :side, :side] for seed, side in enumerate((16, 16, 8, 8, 8))]
    outputs = through(network, crops)
    assert seen == [(8, 3, 16, 16), (12, 3, 8, 8)]
    torch.testing.assert_close(outputs, torch.cat([crop.mean((2, 3)) for crop in crops]))


def by_pairs(targets: Tensor, logits: Tensor) -> Tensor:
    """Eq. 1 of DINO and of SwAV, number by number."""
    losses = []
    for t in range(len(targets)):
        for s in range(len(logits)):
            if s == t:
                continue
            for image in range(targets.shape[1]):
                p = logits[s, image].exp() / logits[s, image].exp().sum()
                losses.append(-sum(targets[t, image, k] * p[k].log() for k in range(len(p))))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("crops", [2, 5])
def test_every_large_crop_is_compared_with_every_other_crop(crops: int) -> None:
    generator = torch.Generator().manual_seed(crops)
    targets = torch.rand(2, 4, 6, generator=generator, dtype=torch.float64)
    targets /= targets.sum(2, keepdim=True)
    logits = torch.randn(crops, 4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    expected, ours = by_pairs(targets, logits), cross_entropies(targets, logits)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (ours, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-14)


def test_the_panel_has_a_row_of_crops_for_each_image() -> None:
    crops = multi_crop(2, "a", "b", "local").crops(images_of(11))
    panel = crops_panel(crops)
    assert (panel.columns, panel.array.shape) == (4, (8 * 4, 3, 16, 16))
    for image in range(8):
        row = panel.array[4 * image : 4 * image + 4]
        assert (row[0] == crops[0][image].numpy()).all()
        assert (row[3][:, 4:12, 4:12] == crops[3][image].numpy()).all()
        assert not row[3][:, :4].any()


def test_patches_must_divide_every_view() -> None:
    config = Config(**{**VIT, "patch": 8}, local_crops=1)
    build_encoder(config, inputs("a", "b", "local"))
    odd = inputs("a", "b", "local")
    odd.views["local"] = view(size=12)  # type: ignore[index]
    with pytest.raises(UsageError, match="patch = 8 does not divide images or views of 12 pixels"):
        build_encoder(config, odd)
