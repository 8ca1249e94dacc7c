"""Spaces that need no labels: principal components of pixels, and encoders of other runs."""

from __future__ import annotations

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data.source import Split, load_source
from sslterm.data.store import Store
from sslterm.evaluate.feature_spaces import brought_to, encoder_space, pixel_space
from sslterm.evaluate.judge import judge_images, judge_store
from sslterm.methods.base import Method

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> tuple[Store, Store]:
    config = DataConfig(name="digits", path="", size=16, train_images=0, test_images=0, seed=0)
    source = load_source(config, lambda what, done, total: None)
    return Store(source.train, CPU), Store(source.test, CPU)


def test_pixels_lie_on_the_principal_components_of_training_images(digits: tuple[Store, Store]) -> None:
    train, test = digits
    space = pixel_space("digits", train, test)
    assert (space.name, space.dimensions, space.classes) == ("digits-16px-pixels-pca32", 32, 0)
    pca = PCA(32, svd_solver="full").fit(train.images.flatten(1).double().numpy() / 255)
    images = test.images[:50]
    expected = torch.from_numpy(pca.transform(images.flatten(1).double().numpy() / 255))
    found = judge_images(space, images).features.double()
    assert torch.allclose(found.abs(), expected.abs(), atol=1e-4)  # the signs of components are free
    assert space.digest == pixel_space("digits", train, test).digest
    assert judge_store(space, test, 20, seed=0).histogram.shape == (0,)


def test_large_pictures_of_few_images_give_as_many_dimensions_as_there_are() -> None:
    images = torch.randint(
        256, (20, 3, 40, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    store = Store(Split(images, torch.full((20,), -1)), CPU)
    space = pixel_space("few", store, store)
    assert space.name == "few-40px-pixels-pca20"
    assert judge_images(space, images).features.shape == (20, 20)


class Means(Method):
    """Encodes 4-pixel colour images by their mean colours."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.seen: list[torch.Size] = []

    def encode(self, images: Tensor) -> Tensor:
        self.seen.append(images.shape)
        return self.scale * images.mean((2, 3))

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        return {"means": self.encode(images)}


def test_an_encoder_sees_images_of_the_size_and_with_the_channels_it_was_trained_on() -> None:
    encoder = Means()
    space = encoder_space("means-1", encoder, (3, 4, 4), CPU)
    assert (space.name, space.dimensions, space.classes, space.accuracy) == ("means-1", 3, 0, None)
    grey = torch.full((6, 1, 16, 16), 51, dtype=torch.uint8)
    assert torch.allclose(judge_images(space, grey).features, torch.full((6, 3), 0.4))
    assert encoder.seen[-1] == (6, 3, 4, 4)
    assert encoder.training  # as it was
    before = space.digest
    with torch.no_grad():
        encoder.scale.add_(1)
    assert encoder_space("means-1", encoder, (3, 4, 4), CPU).digest != before


def test_colour_becomes_grey_by_luma() -> None:
    red = torch.zeros(1, 3, 2, 2)
    red[:, 0] = 1
    assert torch.allclose(brought_to(red, (1, 2, 2)), torch.full((1, 1, 2, 2), 0.299))
    assert brought_to(red, (3, 2, 2)) is red
