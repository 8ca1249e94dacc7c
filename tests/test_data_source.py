"""What `load_source` promises of every source, and the digits."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from sklearn.datasets import load_digits

from sslterm.config.schema import ClipConfig, DataConfig
from sslterm.data.catalog import SOURCES
from sslterm.data.progress import silent
from sslterm.data.source import Source, Split, balanced_order, choose, load_source, seeded
from sslterm.errors import UsageError

DRAWN = ("shapes", "painted", "patterns", "scenes", "sprites")


def load(
    name: str, *, size: int = 0, train: int = 0, test: int = 0, seed: int = 0, frames: int = 3
) -> Source:
    """A source that needs no download; `frames` counts for video alone."""
    section = {
        "name": name, "path": "", "size": size, "train_images": train, "test_images": test, "seed": seed
    }  # fmt: skip
    if SOURCES[name].kind == "clips":
        return load_source(ClipConfig(**section, frames=frames, stride=2, motion=1.0), silent)
    return load_source(DataConfig(**section), silent)


def rows(images: torch.Tensor) -> set[bytes]:
    """Images as things that can be compared."""
    return {image.numpy().tobytes() for image in images}


def test_catalog_is_read_without_torch() -> None:
    """`sslterm data list` and shell completion read the catalog; importing torch would make them slow."""
    code = "import sys; import sslterm.data.catalog as c; assert c.SOURCES; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["digits", *DRAWN])
def test_catalog_says_what_a_source_gives(name: str) -> None:
    entry = SOURCES[name]
    source = load(name, train=40, test=20)
    *_, channels, height, width = source.train.images.shape
    assert (channels, height, width) == (entry.channels, entry.side, entry.side)
    assert source.class_names == entry.class_names
    assert (len(source.train), len(source.test)) == (40, 20)
    assert len(source.train.labels.unique()) == 10


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_images_are_a_function_of_seed_split_and_position(name: str) -> None:
    few, more = load(name, train=37, test=9), load(name, train=300, test=150)
    assert torch.equal(few.train.images, more.train.images[:37])
    assert torch.equal(few.test.images, more.test.images[:9])
    assert torch.equal(few.train.labels, more.train.labels[:37])
    for mine, theirs in ((few.train.factors, more.train.factors), (few.train.masks, more.train.masks)):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert torch.equal(mine, theirs[:37])
    assert not rows(more.train.images) & rows(more.test.images), "train and test share an image"
    assert not rows(more.train.images) & rows(load(name, train=300, test=1, seed=1).train.images)
    assert len(rows(more.train.images)) == 300, "an image is drawn twice"


def test_drawing_does_not_depend_on_the_number_of_threads() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = load("patterns", train=300, test=1)
        torch.set_num_threads(4)
        together = load("patterns", train=300, test=1)
        assert torch.get_num_threads() == 4, "drawing left another number of threads behind"
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone.train.images, together.train.images)


def test_drawing_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    load("patterns", train=10, test=1)
    load("digits")
    assert torch.equal(before, torch.get_rng_state())


def test_digits_are_scikit_learns_split_once_and_for_all() -> None:
    source = load("digits")
    assert source.train.images.shape == (1500, 1, 8, 8)
    assert source.test.images.shape == (297, 1, 8, 8)
    real = torch.from_numpy(load_digits().images)
    both = torch.cat((source.train.images, source.test.images)).squeeze(1)
    assert both.min() == 0
    assert both.max() == 255
    back = (both.double() * 16 / 255).round()
    order, real_order = (sorted(image.flatten().tolist() for image in images) for images in (back, real))
    assert order == real_order, "not the 1,797 images of scikit-learn"
    assert torch.equal(source.test.labels, load("digits", seed=5).test.labels), (
        "the split depends on data.seed"
    )
    # All test counts are within one of the classes' proportions.
    counts, totals = source.test.labels.bincount(), torch.from_numpy(load_digits().target).bincount()
    assert (counts - totals * 297 / 1797).abs().max() < 1


def test_digits_resized_are_pictures_of_the_same_digits() -> None:
    own, large = load("digits"), load("digits", size=16)
    assert large.train.images.shape == (1500, 1, 16, 16)
    assert torch.equal(own.train.labels, large.train.labels)
    # Bilinear by hand: pixel i lies at (i + 1/2) / 2 - 1/2 of the small image.
    places = ((torch.arange(16) + 0.5) / 2 - 0.5).clamp(0, 7)
    weights = (1 - (places[:, None] - torch.arange(8)).abs()).clamp_min(0)
    expected = weights @ own.train.images.float() @ weights.T
    assert (large.train.images - expected).abs().max() <= 0.5 + 1e-4


def test_fewer_images_keep_the_classes_in_proportion_and_are_real_rows() -> None:
    whole, part = load("digits"), load("digits", train=200, test=50)
    assert rows(part.train.images) <= rows(whole.train.images)
    assert rows(part.test.images) <= rows(whole.test.images)
    assert (part.train.labels.bincount() - 20).abs().max() <= 1
    assert (part.test.labels.bincount() - 5).abs().max() <= 1


def test_balanced_order_has_every_prefix_in_proportion() -> None:
    labels = torch.tensor([0] * 90 + [1] * 9 + [2] * 1)[torch.randperm(100, generator=seeded(3))]
    order = balanced_order(labels, 7)
    assert order.sort().values.tolist() == list(range(100))
    for n in range(1, 101):
        counts = labels[order[:n]].bincount(minlength=3)
        assert (counts - torch.tensor([0.90, 0.09, 0.01]) * n).abs().max() <= 1
    assert torch.equal(order, balanced_order(labels, 7))
    assert not torch.equal(order, balanced_order(labels, 8))


def test_choose_refuses_more_than_there_are() -> None:
    split = load("digits").test
    with pytest.raises(UsageError, match=r"data\.test_images = 298: there are only 297"):
        choose(split, 298, "data.test_images", 0)


@pytest.mark.parametrize(
    ("config", "message", "hint"),
    [
        ({"name": "mnits"}, "data.name = 'mnits': no such data", "did you mean 'mnist'?"),
        ({"name": "shapes", "size": 48}, "data.size = 48: shapes is made at 32 or 64 or 128 pixels", ""),
        (
            {"name": "digits", "path": "/tmp"},
            "data.path = '/tmp': digits takes no path",
            'set data.name="folder"',
        ),
        ({"name": "sprites"}, "data.name = 'sprites' is video", "images: digits"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(config: dict[str, object], message: str, hint: str) -> None:
    whole = {"path": "", "size": 0, "train_images": 0, "test_images": 0, "seed": 0, **config}
    with pytest.raises(UsageError) as caught:
        load_source(DataConfig(**whole), silent)  # type: ignore[arg-type]
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint


def test_clips_of_still_images_are_refused() -> None:
    config = ClipConfig(
        name="digits", path="", size=0, train_images=0, test_images=0, seed=0, frames=4, stride=1, motion=1.0
    )
    with pytest.raises(UsageError, match="digits' has still images"):
        load_source(config, silent)


def test_a_split_refuses_what_is_no_split() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Split(torch.zeros(2, 1, 4, 4), torch.zeros(2))
    with pytest.raises(ValueError, match="3 labels for 2 images"):
        Split(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))
