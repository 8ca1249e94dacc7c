"""The data there is, by name, and where it lies. Imports neither torch nor any source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path, user_data_path

SHAPES = ("disc", "ring", "square", "triangle", "star", "plus", "heart", "crescent", "L", "T")
"""The classes of the procedural sources."""

THINGS = ("house", "tree", "fir", "person", "car", "boat", "lamp", "flower", "mushroom", "windmill")
"""The classes of scenes."""

DIGITS = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One source of data.

    Attributes:
        name: what `--data` and `data.name` take.
        description: one line.
        kind: still images, or clips of frames.
        target: "module:function" that loads it.
        side: side of its images in pixels; 0 where it is that of the files.
        sizes: the only values of `data.size` it can have; empty where images are resized to any.
        channels: 1 grey, 3 colour; 0 where it is that of the files.
        train, test: how many images or clips there are, or are drawn unless asked otherwise; 0: it depends.
        class_names: of its labels; empty where it has none, or they are those of the folders.
        mirrored: an image mirrored left to right is still one of its class; not so for characters.
        takes_path: it reads `data.path`.
        files: what must lie in the data folder for it to be read without a download.
        download_bytes: roughly what is fetched; 0 where nothing is.
        licence: of the data.
        citation: whose work it is, and where it is published.
    """

    name: str
    description: str
    kind: Literal["images", "clips"] = "images"
    target: str
    side: int = 0
    sizes: tuple[int, ...] = ()
    channels: int = 0
    train: int = 0
    test: int = 0
    class_names: tuple[str, ...] = ()
    mirrored: bool = True
    takes_path: bool = False
    files: tuple[str, ...] = ()
    download_bytes: int = 0
    licence: str = ""
    citation: str = ""

    @property
    def needs_download(self) -> bool:
        """It is fetched on first use."""
        return self.download_bytes > 0

    @property
    def is_ready(self) -> bool:
        """It can be used now: it needs no files, or they are there (unverified)."""
        return all((data_root() / file).exists() for file in self.files)


def data_root() -> Path:
    """Where downloaded data sets lie: `SSLTERM_DATA`, or this system's place for user data."""
    given = os.environ.get("SSLTERM_DATA")
    return Path(given).expanduser() if given else user_data_path("sslterm", appauthor=False)


def cache_root() -> Path:
    """Where folders are kept decoded: `SSLTERM_CACHE`, or this system's place for caches."""
    given = os.environ.get("SSLTERM_CACHE")
    return Path(given).expanduser() if given else user_cache_path("sslterm", appauthor=False)


_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_STANDARD = "sslterm.data.standard:load"

_ENTRIES = (
    Entry(
        name="digits", target="sslterm.data.digits:load", side=8, channels=1, train=1_500, test=297,
        class_names=DIGITS, mirrored=False,
        description="1,797 real handwritten digits of 8x8 pixels, part of scikit-learn",
        licence="CC BY 4.0", citation="Alpaydin & Kaynak 1998, UCI, doi:10.24432/C50P49",
    ),
    Entry(
        name="shapes", target="sslterm.data.shapes:load", side=32, sizes=(32, 64, 128), channels=3,
        train=20_000, test=4_000, class_names=SHAPES,
        description="drawn: one of ten shapes, with shape, hue, size, place, angle and background known",
    ),
    Entry(
        name="painted", target="sslterm.data.painted:load", side=32, sizes=(32, 64), channels=3,
        train=20_000, test=4_000, class_names=SHAPES,
        description="drawn: one of ten shapes in the colours of its kind, which its lightness does not tell",
    ),
    Entry(
        name="patterns", target="sslterm.data.patterns:load", side=32, sizes=(32, 64), channels=3,
        train=20_000, test=4_000, class_names=SHAPES,
        description="drawn: four copies of one of ten shapes in changing colours, where raw pixels do badly",
    ),
    Entry(
        name="scenes", target="sslterm.data.scenes:load", side=32, sizes=(32, 64), channels=3,
        train=20_000, test=4_000, class_names=THINGS,
        description="drawn: one of ten things that stand upright in a landscape, with light from one side",
    ),
    Entry(
        name="sprites", kind="clips", target="sslterm.data.sprites:load", side=64, sizes=(32, 64), channels=3,
        train=2_000, test=400, class_names=SHAPES,
        description="drawn video: three textured shapes that move, turn and occlude, with object masks",
    ),
    Entry(
        name="mnist", target=_STANDARD, side=28, channels=1, train=60_000, test=10_000, class_names=DIGITS,
        mirrored=False,
        description="70,000 handwritten digits",
        files=tuple(f"MNIST/raw/{name}" for name in _IDX), download_bytes=11_600_000,
        licence="CC BY-SA 3.0", citation="LeCun, Bottou, Bengio & Haffner 1998, doi:10.1109/5.726791",
    ),
    Entry(
        name="fashion-mnist", target=_STANDARD, side=28, channels=1, train=60_000, test=10_000,
        class_names=(
            "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot",
        ),
        description="70,000 pictures of clothing",
        files=tuple(f"FashionMNIST/raw/{name}" for name in _IDX), download_bytes=30_900_000,
        licence="MIT", citation="Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747",
    ),
    Entry(
        name="kmnist", target=_STANDARD, side=28, channels=1, train=60_000, test=10_000,
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"), mirrored=False,
        description="70,000 cursive Japanese characters",
        files=tuple(f"KMNIST/raw/{name}" for name in _IDX), download_bytes=21_000_000,
        licence="CC BY-SA 4.0", citation="Clanuwat et al. 2018, arXiv:1812.01718",
    ),
    Entry(
        name="cifar10", target=_STANDARD, side=32, channels=3, train=50_000, test=10_000,
        class_names=(
            "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
        ),
        description="60,000 small photographs in 10 classes",
        files=("cifar-10-batches-py",), download_bytes=170_500_000,
        licence="not stated",
        citation="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    ),
    Entry(
        name="cifar100", target=_STANDARD, side=32, channels=3, train=50_000, test=10_000,
        description="60,000 small photographs in 100 classes",
        files=("cifar-100-python",), download_bytes=169_000_000,
        licence="not stated",
        citation="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    ),
    Entry(
        name="svhn", target=_STANDARD, side=32, channels=3, train=73_257, test=26_032, class_names=DIGITS,
        mirrored=False,
        description="99,289 house numbers seen from the street, cropped to a digit",
        files=("train_32x32.mat", "test_32x32.mat"), download_bytes=246_000_000,
        licence="non-commercial use", citation="Netzer et al. 2011, Reading Digits in Natural Images",
    ),
    Entry(
        name="stl10", target=_STANDARD, side=96, channels=3, train=105_000, test=8_000,
        class_names=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
        description="113,000 photographs; only 5,000 of the training images have a label",
        files=("stl10_binary",), download_bytes=2_640_000_000,
        licence="that of ImageNet", citation="Coates, Lee & Ng 2011, AISTATS",
    ),
    Entry(
        name="folder", target="sslterm.data.folder:load", takes_path=True,
        description="your own folder of images (--data PATH): its folders are classes, or train and test",
    ),
    Entry(
        name="frames", kind="clips", target="sslterm.data.frames:load", takes_path=True,
        description="your own video as a folder of folders of frames (--data PATH), and masks beside",
    ),
)  # fmt: skip

SOURCES: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Every source by its name."""

WITHOUT_DOWNLOAD = tuple(
    entry.name for entry in _ENTRIES if not entry.needs_download and not entry.takes_path
)
"""Sources that are always there."""
