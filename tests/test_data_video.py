"""Video: files and folders of frames as data and as clips, whole sequences, and what is wrong with them."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sslterm.config.resolve import resolve
from sslterm.config.schema import ClipConfig
from sslterm.data import pictures
from sslterm.data.pictures import load_clip
from sslterm.data.source import Footage, Source, load_footage, load_source
from sslterm.errors import DataError, UsageError

av = pytest.importorskip("av")

SHADES = tuple(range(20, 220, 20))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SSLTERM_CACHE", str(folder))
    return folder


def config(
    path: Path, *, size: int = 0, frames: int = 3, motion: float = 1.0, name: str = "frames"
) -> ClipConfig:
    return ClipConfig(
        name=name, path=str(path) if name == "frames" else "", size=size, train_images=0, test_images=0,
        seed=0, frames=frames, stride=1, motion=motion,
    )  # fmt: skip


def silent(what: str, done: int, total: int) -> None:
    pass


def load(path: Path, **changes: Any) -> Source:
    return load_source(config(path, **changes), silent)


def footage(path: Path, **changes: Any) -> list[Footage]:
    return load_footage(config(path, **changes), silent)


def picture(shade: int, size: tuple[int, int] = (16, 12)) -> Image.Image:
    return Image.new("RGB", size, (shade, 255 - shade, 40))


def write_frames(folder: Path, shades: tuple[int, ...] = SHADES, size: tuple[int, int] = (16, 12)) -> None:
    folder.mkdir(parents=True)
    for number, shade in enumerate(shades):
        picture(shade, size).save(folder / f"{number}.png")


def write_video(path: Path, shades: tuple[int, ...] = SHADES) -> None:
    """An MP4 of plain frames, without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 12, "rgb24"
        stream.options = {"crf": "0"}
        for shade in shades:
            container.mux(stream.encode(av.VideoFrame.from_image(picture(shade))))
        container.mux(stream.encode(None))


def write_gif(path: Path, shades: tuple[int, ...] = SHADES) -> None:
    first, *others = (picture(shade) for shade in shades)
    first.save(path, save_all=True, append_images=others)


def shades_of(images: torch.Tensor) -> list[int]:
    return [round(value / 20) * 20 for value in images[:, 0].float().mean((1, 2)).tolist()]


# -- a clip of a person


@pytest.mark.parametrize("kind", ["folder", "mp4", "gif"])
def test_a_clip_is_a_folder_a_video_or_an_animation(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("clip" if kind == "folder" else f"clip.{kind}")
    {"folder": write_frames, "mp4": write_video, "gif": write_gif}[kind](path)
    clip = load_clip(path, channels=3)
    assert clip.shape == (10, 3, 12, 16)
    assert shades_of(clip) == list(SHADES)
    assert load_clip(path, channels=1, most_frames=4).shape == (4, 1, 12, 16)
    assert load_clip(path, channels=3, height=6, width=6).shape == (10, 3, 6, 6)


def test_clips_that_cannot_be_used_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames(tmp_path / "clip")
    picture(50, (10, 10)).save(tmp_path / "clip" / "7.png")
    with pytest.raises(DataError, match=r"differ in size: the first is 16x12, 7\.png 10x10"):
        load_clip(tmp_path / "clip", channels=3)
    (tmp_path / "clip" / "7.png").write_text("broken")
    with pytest.raises(DataError, match=r"cannot read the frame .*7\.png"):
        load_clip(tmp_path / "clip", channels=3)
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    with pytest.raises(DataError, match=r"cannot read the clip .*broken\.mp4"):
        load_clip(tmp_path / "broken.mp4", channels=3)
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(DataError, match="neither a folder nor a video"):
        load_clip(tmp_path / "text.txt", channels=3)
    with pytest.raises(DataError, match="no such folder or file"):
        load_clip(tmp_path / "none", channels=3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no frames"):
        load_clip(tmp_path / "empty", channels=3)
    write_frames(tmp_path / "long")
    monkeypatch.setattr(pictures, "MOST_BYTES", 4 * 3 * 12 * 16)
    with pytest.raises(DataError, match="too many frames") as caught:
        load_clip(tmp_path / "long", channels=3)
    assert "--frames 2" in caught.value.hint
    assert len(load_clip(tmp_path / "long", channels=3, most_frames=2)) == 2


def test_without_the_library_a_line_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "clip.mp4")
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for read in (lambda: load_clip(tmp_path / "clip.mp4", channels=3), lambda: load(tmp_path / "clip.mp4")):
        with pytest.raises(DataError, match="read with PyAV, which is not installed") as caught:
            read()
        assert "pip install 'sslterm[video]'" in caught.value.hint
    write_gif(tmp_path / "clip.gif")
    assert len(load_clip(tmp_path / "clip.gif", channels=3)) == 10  # animations need no library


# -- as data


def test_videos_of_a_folder_are_sequences(tmp_path: Path, cache: Path) -> None:
    write_video(tmp_path / "data" / "a.mp4")
    write_gif(tmp_path / "data" / "b.gif", SHADES[:6])
    write_frames(tmp_path / "data" / "c", SHADES[:5])
    source = load(tmp_path / "data")
    assert source.notes == ()
    assert len(source.train) + len(source.test) == 8 + 4 + 3
    (held_out,) = footage(tmp_path / "data")
    assert held_out.name in ("a", "b", "c")
    unpacked = [sorted(path.name for path in folder.iterdir()) for folder in (cache / "unpacked").iterdir()]
    assert sorted(map(len, unpacked)) == [6, 10], "unpacked once"


def test_a_single_video_is_cut_in_time(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", SHADES)
    write_frames(tmp_path / "other")  # beside it, and none of its business
    source = load(tmp_path / "film.mp4")
    train = [shades_of(clip) for clip in source.train.images]
    test = [shades_of(clip) for clip in source.test.images]
    assert train == [list(SHADES[s : s + 3]) for s in range(5)]
    assert test == [list(SHADES[7:])]


def test_a_video_on_the_command_line_is_data_of_a_video_method(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4")
    found = resolve("frame-order", "sprites", data=str(tmp_path / "film.mp4"), sources=["sprites"]).data
    assert (found.name, found.path) == ("frames", str(tmp_path / "film.mp4"))
    with pytest.raises(DataError, match="it is a file"):
        resolve("simclr", "patterns", data=str(tmp_path / "film.mp4"), sources=["patterns"])


def test_a_damaged_video_is_named_and_left_out(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_frames(tmp_path / name)
    (tmp_path / "c.mp4").write_bytes(b"no video")
    source = load(tmp_path)
    assert len(source.train) == len(source.test) == 8
    assert source.notes[0].startswith("the video c.mp4 cannot be read and was left out")
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "c.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"the video c\.mp4 cannot be read"):
        load(tmp_path / "only")
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(DataError, match="neither a folder of frames nor a video"):
        load(tmp_path / "text.txt")


def test_frames_of_several_sizes_are_refused_or_cut(tmp_path: Path) -> None:
    write_frames(tmp_path / "a")
    write_frames(tmp_path / "b", size=(20, 12))
    with pytest.raises(DataError, match="differ in size"):
        load(tmp_path)
    assert load(tmp_path, size=8).train.images.shape[2:] == (3, 8, 8)


# -- motion


def test_the_clips_that_move_most_are_kept(tmp_path: Path) -> None:
    """Of a sequence that stands still and then brightens, those that brighten."""
    write_frames(tmp_path / "train" / "a", (20,) * 6 + (40, 80, 120, 160, 200, 220))
    write_frames(tmp_path / "test" / "b")
    whole, moving = load(tmp_path), load(tmp_path, motion=0.4)
    assert len(whole.train) == 10
    assert [shades_of(clip) for clip in moving.train.images] == [
        [20, 40, 80], [40, 80, 120], [80, 120, 160], [120, 160, 200],
    ]  # fmt: skip
    assert len(moving.test) == 4  # of eight


def test_sprites_all_move() -> None:
    with pytest.raises(UsageError, match=r"set data\.motion=1"):
        load_source(config(Path(), name="sprites", size=32, motion=0.5), silent)


# -- whole sequences


def test_held_out_sequences_are_whole_and_not_trained_on(tmp_path: Path) -> None:
    for number, name in enumerate("abcdefghij"):
        write_frames(tmp_path / "frames" / name, tuple(20 * number + t for t in range(6)))
        for t in range(0, 6, 2):  # every second frame has a mask
            (tmp_path / "masks" / name).mkdir(parents=True, exist_ok=True)
            mask = np.zeros((12, 16), np.uint8)
            mask[:, : t + 1] = 255
            Image.fromarray(mask).save(tmp_path / "masks" / name / f"{t}.png")
    (tmp_path / "frames" / "c" / "1.png").write_text("broken")
    found = footage(tmp_path)
    assert len(found) == 2
    train = load(tmp_path).train.images[:, :, 0, 0, 0]
    for sequence in found:
        first = int(sequence.images[0, 0, 0, 0])
        assert first not in train
        values = sequence.images[:, 0, 0, 0].tolist()
        gone = {first + 1} if sequence.name == "c" else set()
        assert values == [first + t for t in range(6) if first + t not in gone]
        assert sequence.masks is not None
        assert sequence.masked is not None
        known = [
            value - first for value, masked in zip(values, sequence.masked.tolist(), strict=True) if masked
        ]
        assert known == [0, 2, 4]
        assert [int(mask[0].sum()) for mask in sequence.masks[sequence.masked]] == [1, 3, 5]


def test_sprites_go_on_where_their_clips_end() -> None:
    section = config(Path(), name="sprites", size=32, frames=4)
    source, found = load_source(section, silent), load_footage(section, silent)
    assert len(found) == 32
    assert found[5].images.shape == (24, 3, 32, 32)
    assert torch.equal(found[5].images[:4], source.test.images[5])
    assert source.test.masks is not None
    assert found[5].masks is not None
    assert torch.equal(found[5].masks[:4], source.test.masks[5])
