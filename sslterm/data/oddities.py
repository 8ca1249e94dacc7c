"""What is odd about images, before hours are spent on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from sslterm.config.schema import ViewConfig
from sslterm.data.source import Split

LOOKED_AT = 256
"""Images, spread evenly over the training set."""


def oddities(train: Split, views: Mapping[str, ViewConfig]) -> Iterator[str]:
    """One line for each thing that a person should know before training on these images with these views."""
    total = len(train.images)
    index = torch.linspace(0, total - 1, min(total, LOOKED_AT)).round().long()
    images = train.images[index]
    if total == 1:
        yield "there is one training image: nothing can be learned but to repeat it"
    elif bool((images == images[:1]).all()):
        yield f"the training images are all the same ({len(images)} of {total:,} were looked at)"
    elif bool((images.flatten(1) == images.flatten(1)[:, :1]).all()):
        yield f"every training image is of one colour throughout ({len(images)} of {total:,} were looked at)"
    *_, channels, _, _ = images.shape
    grey = channels == 1 or (channels == 3 and bool((images == images.narrow(-3, 0, 1)).all()))
    for name, view in views.items() if grey else ():
        idle = [
            field
            for field, acts in (
                ("saturation", view.jitter and view.saturation),
                ("hue", view.jitter and view.hue),
                ("grey", view.grey),
            )
            if acts
        ]
        if idle:
            yield f"the images are grey, so that {', '.join(idle)} of [augment.{name}] can change nothing"
