"""A loaded run, ready to be asked: its method, its data as stores, and other data in the same form."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslterm.catalog import USES
from sslterm.config.schema import ClipConfig, DataConfig
from sslterm.data.catalog import SOURCES
from sslterm.data.decode import UnreadableError, decode
from sslterm.data.source import Footage, Source, load_footage, load_source
from sslterm.data.store import Store
from sslterm.engine.checkpoint import newest_checkpoint
from sslterm.engine.load import Loaded, load_method
from sslterm.errors import DataError, UsageError
from sslterm.evaluate.feature_spaces import encoder_space, pixel_space
from sslterm.evaluate.features import BATCH, choose
from sslterm.evaluate.judge import Space, make_space
from sslterm.methods.base import CAPABILITIES, ClassLatent, Encodes, Latent, Likelihood
from sslterm.run.layout import RunDirectory
from sslterm.worker.outputs import Stage


class Desk:
    """A loaded run on a device, and its data as stores."""

    def __init__(self, run: RunDirectory, loaded: Loaded, device: torch.device) -> None:
        self.run = run
        self.loaded = loaded
        self.device = device
        self.maps: dict[Hashable, Any] = {}
        """Embeddings and their maps, made once for each checkpoint."""
        self._spaces: dict[str, Space] = {}

    @cached_property
    def train(self) -> Store:
        return Store(self.loaded.source.train, self.device)

    @cached_property
    def test(self) -> Store:
        return Store(self.loaded.source.test, self.device)

    def footage(self, progress: Stage) -> list[Footage]:
        """The held-out sequences, whole.

        Raises:
            UsageError: the run was trained on still images.
        """
        section = self.loaded.experiment.data
        if not isinstance(section, ClipConfig):
            raise UsageError(f"{self.data} has no video", "name a clip")
        return load_footage(section, progress)

    def space(self, which: str, progress: Stage) -> Space:
        """Where samples are judged: by the judge, in pixels, or by the encoder of the run at a path; made once.

        Raises:
            SsltermError: there is no such run, or it cannot encode images.
        """
        if which not in self._spaces:
            self._spaces[which] = self._make_space(which, progress)
        return self._spaces[which]

    def _make_space(self, which: str, progress: Stage) -> Space:
        if which == "judge":
            return make_space(self.data, self.train, self.test, device=self.device, progress=progress)
        if which == "pixels":
            return pixel_space(self.data, self.train, self.test)
        run = RunDirectory(Path(which))
        other = load_method(run, self.device, progress=progress)
        if not isinstance(other.method, Encodes) or other.inputs.frames:
            what = "encodes clips, not images" if other.inputs.frames else "cannot encode"
            raise UsageError(
                f"{run.name} {what}: there is no space to judge samples in",
                "take --space judge, --space pixels, or a run that `sslterm probe` takes",
            )
        return encoder_space(run.name, other.method, other.inputs.shape, self.device)

    def reload(self) -> None:
        """Take the weights of the newest checkpoint; data and method stay.

        Raises:
            DataError: there is none, or it is damaged.
        """
        checkpoint, _ = newest_checkpoint(self.run)
        if checkpoint is None:
            raise DataError(f"{self.run.name} has no checkpoint any more")
        self.loaded.method.load_state_dict(checkpoint.model_state())
        self.loaded = dataclasses.replace(self.loaded, images=checkpoint.images)
        self.maps.clear()

    @property
    def data(self) -> str:
        """Name of the data it was trained on."""
        return self.loaded.source.name

    def cannot(self, command: str) -> UsageError:
        """That the method lacks what `command` needs, and what it can do."""
        method = self.loaded.method
        can = [command for key, command in USES.items() if isinstance(method, CAPABILITIES[key])]
        can += (
            ["evaluate"]
            if isinstance(method, Likelihood) or {"sample", "reconstruct", "probe"} & {*can}
            else []
        )
        can += ["export"] if isinstance(method, Encodes | Latent | ClassLatent) else []
        name = self.loaded.experiment.run.method
        return UsageError(f"{name} cannot {command}", "it can: " + ", ".join(can) if can else "")

    def held_out(self, n: int, *, seed: int) -> Tensor:
        """`n` held-out images, drawn, [n, C, H, W]."""
        return self.test.batch(choose(len(self.test), n, seed=seed)).images


def other_source(desk: Desk, name: str, progress: Stage) -> Source:
    """Another data set at the size and with the channels that the run was trained on."""
    inputs, path = desk.loaded.inputs, Path(name).expanduser()
    folder = name not in SOURCES and path.is_dir()
    trained_on = desk.loaded.experiment.data
    section = DataConfig(
        name="folder" if folder else name, path=str(path.resolve()) if folder else "",
        size=inputs.height, train_images=0, test_images=0, seed=trained_on.seed,
    )  # fmt: skip
    if isinstance(trained_on, ClipConfig) and name in SOURCES and SOURCES[name].kind == "clips":
        section = ClipConfig(
            **dataclasses.asdict(section),
            frames=trained_on.frames, stride=trained_on.stride, motion=1.0,
        )  # fmt: skip
    source = load_source(section, progress)
    train, test = (
        dataclasses.replace(split, images=_with_channels(split.images, inputs.channels))
        for split in (source.train, source.test)
    )
    called = path.resolve().name if folder else source.name  # of all that is named "folder", which
    return dataclasses.replace(source, name=called, train=train, test=test)


def read_image(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """A person's picture, cut to `shape` (C, H, W) as images of folders are: [1, C, H, W] float32 in [0, 1].

    Raises:
        DataError: there is no such file, or it is no picture.
    """
    channels, height, width = shape
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        pixels = torch.from_numpy(decode(path, (height, width)).pixels)[None]
    except UnreadableError as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    return _with_channels(pixels, channels).float() / 255


def _with_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 [N, C, H, W] in grey or colour -> with `channels` (luma of ITU-R 601 for grey)."""
    if images.ndim == 5:  # clips
        clips: Tensor = _with_channels(images.flatten(0, 1), channels).unflatten(0, images.shape[:2])
        return clips
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1).contiguous()
    luma = torch.tensor([0.299, 0.587, 0.114])
    parts = [
        (part.float() * luma.view(1, 3, 1, 1)).sum(1, keepdim=True) for part in torch.split(images, BATCH)
    ]
    return torch.cat(parts).round().to(torch.uint8)


@contextmanager
def one_thread() -> Iterator[None]:
    """Few images are decoded soonest by one thread: on a busy machine several wait for each other (measured on
    DCGAN's generator beside a training on two cores: 104 ms an image against 1.9 ms).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
