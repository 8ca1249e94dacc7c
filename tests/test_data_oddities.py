"""What is odd about images is said in one line each."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslterm.config.schema import ViewConfig
from sslterm.data.oddities import oddities
from sslterm.data.source import Split
from tests.embedding_parts import view

COLOURFUL = view(jitter=0.8, saturation=0.4, hue=0.1, grey=0.2)


def told(images: Tensor, **views: ViewConfig) -> list[str]:
    return list(oddities(Split(images, torch.full((len(images),), -1)), views))


def noise(n: int, channels: int = 3) -> Tensor:
    return torch.randint(256, (n, channels, 8, 8), generator=torch.Generator().manual_seed(0)).byte()


def test_ordinary_images_are_passed_over() -> None:
    assert told(noise(1000), a=COLOURFUL) == []
    assert told(noise(40, 1), a=view(jitter=0.8, brightness=0.4)) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_images_that_are_all_the_same(channels: int) -> None:
    (line,) = told(noise(1, channels).expand(5000, -1, -1, -1))
    assert line == "the training images are all the same (256 of 5,000 were looked at)"


def test_a_single_image() -> None:
    assert told(noise(1)) == ["there is one training image: nothing can be learned but to repeat it"]


def test_blank_images() -> None:
    blank = torch.arange(20, dtype=torch.uint8)[:, None, None, None].expand(20, 3, 8, 8)
    assert told(blank) == ["every training image is of one colour throughout (20 of 20 were looked at)"]


def test_grey_images_under_colour_augmentation() -> None:
    lines = [
        "the images are grey, so that saturation, hue, grey of [augment.a] can change nothing",
        "the images are grey, so that grey of [augment.b] can change nothing",
    ]
    views = {"a": COLOURFUL, "b": view(saturation=0.4, grey=0.2), "c": view(blur=0.5)}
    assert told(noise(40, 1), **views) == lines
    assert told(noise(40, 1).expand(-1, 3, -1, -1), **views) == lines


def test_clips_are_looked_at_too() -> None:
    clips = noise(6).view(2, 3, 3, 8, 8)
    assert told(clips, a=COLOURFUL) == []
    grey = clips[:, :, :1].expand(-1, -1, 3, -1, -1)
    assert len(told(grey, a=COLOURFUL)) == 1
