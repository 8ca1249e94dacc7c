"""`digits`: scikit-learn's 1,797 real handwritten digits of 8x8 pixels (Alpaydin & Kaynak 1998).

The test part of UCI's "Optical Recognition of Handwritten Digits", the whole of it, split once and for all.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from sslterm.config.schema import DataConfig
from sslterm.data.catalog import DIGITS
from sslterm.data.progress import Progress
from sslterm.data.resize import resize
from sslterm.data.source import Source, Split, balanced_order, choose

TEST_IMAGES = 297
SPLIT_SEED = 8
"""The split does not depend on `data.seed`: what was held out once is never trained on."""


def load(config: DataConfig, progress: Progress) -> Source:
    """1,500 train and 297 test images, classes in their proportions; resized where `size` is not 8."""
    bunch = load_digits()
    ink = torch.from_numpy(bunch.images).unsqueeze(1)  # [1797, 1, 8, 8], 0..16
    images = resize((ink * (255 / 16)).round().to(torch.uint8), config.size)
    whole = Split(images, torch.from_numpy(bunch.target).long())
    order = balanced_order(whole.labels, SPLIT_SEED)
    test, train = whole[order[:TEST_IMAGES].sort().values], whole[order[TEST_IMAGES:].sort().values]
    return Source(
        name="digits",
        train=choose(train, config.train_images, "data.train_images", config.seed, 0),
        test=choose(test, config.test_images, "data.test_images", config.seed, 1),
        class_names=DIGITS,
    )
