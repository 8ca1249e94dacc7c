"""Folders of images and of frames: what is found, how it is split, and that it is decoded once."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import sslterm.data.pack as pack_module
from sslterm.config.schema import ClipConfig, DataConfig
from sslterm.data import frames as frames_module
from sslterm.data.listing import divide, list_images, natural
from sslterm.data.progress import silent
from sslterm.data.source import Source, load_source
from sslterm.errors import DataError, UsageError

SSLTERM_DATA = os.environ.get("SSLTERM_DATA")
needs_real_data = pytest.mark.skipif(SSLTERM_DATA is None, reason="SSLTERM_DATA is not set")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for every test."""
    root = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SSLTERM_CACHE", str(root))
    return root


def save(path: Path, value: int, *, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> None:
    """An image whose red says which it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, (value, 0, 0) if mode == "RGB" else value).save(path)


def load(
    path: Path, *, size: int = 8, train: int = 0, test: int = 0, seed: int = 0, progress: Any = silent
) -> Source:
    config = DataConfig(
        name="folder", path=str(path), size=size, train_images=train, test_images=test, seed=seed
    )
    return load_source(config, progress)


def load_clips(
    path: Path,
    *,
    frames: int = 3,
    stride: int = 1,
    size: int = 8,
    train: int = 0,
    test: int = 0,
    seed: int = 0,
    motion: float = 1.0,
) -> Source:
    config = ClipConfig(
        name="frames", path=str(path), size=size, train_images=train, test_images=test, seed=seed,
        frames=frames, stride=stride, motion=motion,
    )  # fmt: skip
    return load_source(config, silent)


def values(images: torch.Tensor) -> list[int]:
    """Which images these are."""
    return images[:, 0, 0, 0].tolist()


# -- what a folder says


def test_folders_are_classes_and_a_tenth_is_held_out(tmp_path: Path) -> None:
    for number in range(40):
        save(tmp_path / ("cat" if number % 2 else "dog") / "deeper" / f"{number}.png", number)
    source = load(tmp_path)
    assert source.class_names == ("cat", "dog")
    assert (len(source.train), len(source.test)) == (36, 4)
    together = values(source.train.images) + values(source.test.images)
    assert sorted(together) == list(range(40)), "an image is lost, or in both splits"
    for split in (source.train, source.test):
        assert split.labels.tolist() == [0 if value % 2 else 1 for value in values(split.images)]
    assert source.test.labels.bincount().tolist() == [2, 2], "not in proportion"
    assert source.notes == ()


def test_the_split_is_a_function_of_the_seed(tmp_path: Path) -> None:
    for number in range(60):
        save(tmp_path / f"{number}.png", number)
    first, again, other = load(tmp_path), load(tmp_path), load(tmp_path, seed=1)
    assert first.class_names == ()
    assert first.train.labels.unique().tolist() == [-1]
    assert values(first.test.images) == values(again.test.images)
    assert set(values(first.test.images)) != set(values(other.test.images))
    assert sorted(values(other.train.images) + values(other.test.images)) == list(range(60))


@pytest.mark.parametrize("held_out", ["test", "val", "valid", "Validation"])
def test_split_folders_are_used(tmp_path: Path, held_out: str) -> None:
    for number in range(20):
        folder = tmp_path / ("train" if number < 14 else held_out) / ("a" if number % 2 else "b")
        save(folder / f"{number}.png", number)
    source = load(tmp_path)
    assert sorted(values(source.train.images)) == list(range(14))
    assert sorted(values(source.test.images)) == list(range(14, 20))
    assert source.class_names == ("a", "b")
    assert source.test.labels.tolist() == [0 if value % 2 else 1 for value in values(source.test.images)]


def test_of_several_held_out_folders_the_labelled_one_is_used(tmp_path: Path) -> None:
    """As in ImageNet, whose test images have no labels; what is left out is said."""
    for number in range(8):
        save(tmp_path / "train" / "ab"[number % 2] / f"{number}.png", number)
        save(tmp_path / "val" / "ab"[number % 2] / f"{number}.png", 100 + number)
        save(tmp_path / "test" / f"{number}.png", 200 + number)
    source = load(tmp_path)
    assert sorted(values(source.test.images)) == list(range(100, 108))
    assert source.notes == ("8 images were left out: neither in train nor in val",)


def test_a_train_folder_alone_is_the_whole(tmp_path: Path) -> None:
    for number in range(20):
        save(tmp_path / "train" / "ab"[number % 2] / f"{number}.png", number)
    source = load(tmp_path)
    assert source.class_names == ("a", "b")
    assert (len(source.train), len(source.test)) == (18, 2)
    # Beside other folders it is a class.
    save(tmp_path / "bus" / "0.png", 99)
    assert divide(list_images(tmp_path)).train == ""
    assert load(tmp_path).class_names == ("bus", "train")


def test_hidden_files_other_files_and_circles_are_passed_over(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / "in" / f"{number}.PNG", number)
    (tmp_path / ".hidden").mkdir()
    save(tmp_path / ".hidden" / "9.png", 9)
    save(tmp_path / "in" / "._9.png", 9)
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    (tmp_path / "in" / "again").symlink_to(tmp_path)
    (tmp_path / "in" / "gone.png").symlink_to(tmp_path / "missing.png")
    assert [file.path for file in list_images(tmp_path)] == [f"in/{number}.PNG" for number in range(4)]


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / "far" / f"{number}.png", number)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far")
    assert len(list_images(tmp_path / "here")) == 4


def test_natural_order() -> None:
    names = ["frame10.png", "frame2.png", "frame1.png", "a/2.png", "a/10.png"]
    assert sorted(names, key=natural) == ["a/2.png", "a/10.png", "frame1.png", "frame2.png", "frame10.png"]


def test_counts_are_taken_from_the_front_and_checked(tmp_path: Path) -> None:
    for number in range(30):
        save(tmp_path / f"{number}.png", number)
    whole, part = load(tmp_path, test=10), load(tmp_path, train=5, test=10)
    assert (len(whole.train), len(whole.test)) == (20, 10)
    assert values(part.train.images) == values(whole.train.images)[:5]
    assert values(part.test.images) == values(whole.test.images)
    for asked, message in (
        ({"train": 28}, r"data\.train_images = 28: there are only 27"),
        ({"test": 30}, r"data\.test_images = 30: there are only 30 images in all"),
    ):
        with pytest.raises(UsageError, match=message):
            load(tmp_path, **asked)  # type: ignore[arg-type]


# -- what is in the files


def test_every_kind_of_file_is_converted_or_named(tmp_path: Path) -> None:
    for number in range(10):
        save(tmp_path / f"good{number}.png", 50, size=(40 + number, 30))
    save(tmp_path / "grey.png", 50, mode="L")
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    source = load(tmp_path, size=16)
    assert len(source.train) + len(source.test) == 13
    assert source.train.images.shape[1:] == (3, 16, 16)
    assert len(source.notes) == 1
    assert source.notes[0].startswith("3 of 16 image files were left out: ")
    for name in (
        "text.jpg (not an image, or damaged)",
        "empty.png",
        "huge.png (more than 178,956,970 pixels)",
    ):
        assert name in source.notes[0]


def test_many_unreadable_files_are_counted_and_five_named(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"bad{number}.png").write_text("no image")
    for number in range(4):
        save(tmp_path / f"good{number}.png", number)
    note = load(tmp_path).notes[0]
    assert note.startswith("9 of 13 image files were left out: ")
    assert note.count("not an image") == 5
    assert note.endswith(", and 4 more")


def test_unreadable_files_shift_no_label(tmp_path: Path) -> None:
    for number in range(60):
        path = tmp_path / "abc"[number % 3] / f"{number}.png"
        save(path, number)
        if number % 7 == 0:
            path.write_bytes(b"broken")
    source = load(tmp_path, test=12)
    for split in (source.train, source.test):
        assert split.labels.tolist() == [value % 3 for value in values(split.images)]
    assert len(source.train) + len(source.test) == 51


def test_a_folder_without_colour_is_grey(tmp_path: Path) -> None:
    for number in range(8):
        save(tmp_path / f"{number}.png", number * 30, mode="L")
    source = load(tmp_path, test=2)
    assert source.train.images.shape == (6, 1, 8, 8)
    assert sorted(values(source.train.images) + values(source.test.images)) == [n * 30 for n in range(8)]
    for images in (source.train.images, source.test.images):
        assert (images == images[:, :, :1, :1]).all(), "rows of different images are mixed"
    save(tmp_path / "colour.png", 200)
    assert load(tmp_path, test=2).train.images.shape == (7, 3, 8, 8)


def test_size_0_keeps_a_common_size_and_refuses_several(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.png", number, size=(12, 10))
    assert load(tmp_path, size=0).train.images.shape == (3, 3, 10, 12)
    save(tmp_path / "other.png", 9, size=(10, 12))
    with pytest.raises(DataError, match=r"differ in size: 0\.png is 12x10, other\.png 10x12") as caught:
        load(tmp_path, size=0)
    assert "--set data.size=64" in caught.value.hint


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: None, "no such folder"),
        (lambda root: root.write_text(""), "is a file, not a folder"),
        (lambda root: root.mkdir(), "has no images"),
        (lambda root: (root.mkdir(), (root / "a.png").write_text("x")), "none of the 1 image files"),
        (lambda root: save(root / "a.png", 1), "has one image that can be read"),
    ],
    ids=["missing", "file", "empty", "unreadable", "single"],
)
def test_a_folder_that_cannot_be_used_says_why(
    tmp_path: Path, prepare: Callable[[Path], object], message: str
) -> None:
    root = tmp_path / "pictures"
    prepare(root)
    with pytest.raises(DataError, match=message) as caught:
        load(root)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 3


def test_no_folder_named() -> None:
    config = DataConfig(name="folder", path="", size=8, train_images=0, test_images=0, seed=0)
    with pytest.raises(UsageError, match=r'data\.path = "": name the folder'):
        load_source(config, silent)


# -- the cache


def packs(cache: Path) -> list[Path]:
    return sorted((cache / "packed").iterdir())


def test_a_folder_is_decoded_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        save(tmp_path / "a" / f"{number}.png", number)
    said: list[tuple[int, int]] = []
    first = load(tmp_path / "a", progress=lambda what, done, total: said.append((done, total)))
    assert said == [(done, 20) for done in range(1, 21)]
    assert {path.name for path in packs(cache)[0].iterdir()} == {"images.npy", "index.json"}

    def not_again(*arguments: object) -> None:
        raise AssertionError("decoded again")

    with monkeypatch.context() as patch:
        patch.setattr(pack_module, "decode", not_again)
        again = load(tmp_path / "a")
        (tmp_path / "a").rename(tmp_path / "b")
        moved = load(tmp_path / "b", train=3)
    assert torch.equal(first.train.images, again.train.images)
    assert torch.equal(first.train.images[:3], moved.train.images)
    assert np.load(packs(cache)[0] / "images.npy").shape == (20, 3, 8, 8)


def test_a_changed_folder_is_decoded_anew_and_its_old_pack_goes(tmp_path: Path, cache: Path) -> None:
    for number in range(10):
        save(tmp_path / f"{number}.png", number)
    load(tmp_path)
    load(tmp_path, size=16)
    assert len(packs(cache)) == 2, "another size of the same files stands beside"
    save(tmp_path / "5.png", 155)
    os.utime(tmp_path / "5.png", ns=(1, 1))
    source = load(tmp_path)
    assert 155 in values(source.train.images) + values(source.test.images)
    assert len(packs(cache)) == 1


@pytest.mark.parametrize("damage", ["cut", "no index", "bad index", "other count"])
def test_a_damaged_pack_is_made_anew(tmp_path: Path, cache: Path, damage: str) -> None:
    for number in range(10):
        save(tmp_path / f"{number}.png", number)
    whole = load(tmp_path)
    expected, pack = whole.train.images.clone(), packs(cache)[0]
    if damage == "cut":
        (pack / "images.npy").write_bytes((pack / "images.npy").read_bytes()[:-100])
    elif damage == "no index":
        (pack / "index.json").unlink()
    elif damage == "bad index":
        (pack / "index.json").write_text("{")
    else:
        index = json.loads((pack / "index.json").read_text())
        (pack / "index.json").write_text(json.dumps(index | {"skipped": [["5.png", "gone"]]}))
    assert torch.equal(load(tmp_path).train.images, expected)
    assert len(packs(cache)) == 1


def test_what_is_done_with_images_does_not_reach_the_cache(tmp_path: Path) -> None:
    for number in range(10):
        save(tmp_path / f"{number}.png", number + 1)
    load(tmp_path).train.images.zero_()
    assert load(tmp_path).train.images[:, 0].min() >= 1


def test_a_full_disk_is_said_and_nothing_half_done_stays(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        save(tmp_path / f"{number}.png", number)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pack_module, "_write_header", full)
        with pytest.raises(DataError, match="the disk is full") as caught:
            load(tmp_path)
    assert "SSLTERM_CACHE" in caught.value.hint
    assert packs(cache) == []
    assert len(load(tmp_path).train) == 9


def test_drafts_of_dead_processes_are_swept(tmp_path: Path, cache: Path) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.png", number)
    for name, age in ((".tmp-old", 2 * pack_module.STALE_SECONDS), (".tmp-new", 60)):
        (cache / "packed" / name).mkdir(parents=True)
        changed = (cache / "packed" / name).stat().st_mtime - age
        os.utime(cache / "packed" / name, (changed, changed))
    load(tmp_path)
    assert [path.name for path in packs(cache) if path.name.startswith(".")] == [".tmp-new"]


def test_of_two_processes_that_decode_one_is_first(tmp_path: Path, cache: Path) -> None:
    """The second finds the pack in its place, and throws its own away."""
    for number in range(10):
        save(tmp_path / f"{number}.png", number)
    files = list_images(tmp_path)
    first = pack_module.pack(tmp_path, files, size=8, kind="images", progress=silent)
    draft = cache / "packed" / ".tmp-second"
    shutil.copytree(packs(cache)[0], draft)
    pack_module._put_in_place(draft, packs(cache)[-1], files)
    again = pack_module.pack(tmp_path, files, size=8, kind="images", progress=silent)
    assert np.array_equal(first.images, again.images)


def test_a_pickle_in_place_of_a_pack_runs_no_code(tmp_path: Path, cache: Path) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.png", number)
    load(tmp_path)
    (packs(cache)[0] / "images.npy").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    assert len(load(tmp_path).train) == 3
    assert not Path("pwned").exists()


# -- frames


def make_video(root: Path, lengths: dict[str, int], *, masks: Path | None = None) -> None:
    """Frame t of the n-th sequence has the value 20 n + t; its mask covers the left half."""
    for number, (name, length) in enumerate(lengths.items()):
        for frame in range(length):
            save(root / name / f"{frame}.png", 20 * number + frame)
            if masks is not None:
                half = np.zeros((8, 8), np.uint8)
                half[:, :4] = 255
                (masks / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(half).save(masks / name / f"{frame}.png")


def clip_values(source_images: torch.Tensor) -> list[list[int]]:
    return source_images[:, :, 0, 0, 0].tolist()


def test_clips_begin_at_every_frame_and_stay_in_their_sequence(tmp_path: Path) -> None:
    make_video(tmp_path, {"train/a": 8, "train/b": 6, "test/c": 7})
    source = load_clips(tmp_path, frames=3, stride=2)
    expected = [[s, s + 2, s + 4] for s in range(4)] + [[20 + s, 22 + s, 24 + s] for s in range(2)]
    # Values count sequences in the order they were made: a, b, c.
    assert clip_values(source.train.images) == expected
    assert clip_values(source.test.images) == [[40 + s, 42 + s, 44 + s] for s in range(3)]
    assert source.train.images.shape == (6, 3, 3, 8, 8)
    assert source.train.labels.tolist() == [-1] * 6
    assert source.train.masks is None


def test_sequences_are_held_out_whole(tmp_path: Path) -> None:
    make_video(tmp_path, {f"s{number}": 10 for number in range(10)})
    source = load_clips(tmp_path)
    train = {clip[0] // 20 for clip in clip_values(source.train.images)}
    test = {clip[0] // 20 for clip in clip_values(source.test.images)}
    assert not train & test
    assert train | test == set(range(10))
    assert len(test) == 2
    assert len(source.train) == 8 * 8
    other = {clip[0] // 20 for clip in clip_values(load_clips(tmp_path, seed=1).test.images)}
    assert other != test


def test_of_a_single_sequence_the_end_is_held_out(tmp_path: Path) -> None:
    make_video(tmp_path, {"only": 20})
    source = load_clips(tmp_path)
    train = {value for clip in clip_values(source.train.images) for value in clip}
    test = {value for clip in clip_values(source.test.images) for value in clip}
    assert train == set(range(16))
    assert test == set(range(16, 20))
    make_video(tmp_path / "short", {"only": 5})
    with pytest.raises(DataError, match="has 5 frames: too few to hold some out, where a clip spans 3"):
        load_clips(tmp_path / "short")


def test_classes_of_sequences_are_the_folders_above_them(tmp_path: Path) -> None:
    make_video(tmp_path, {"run/x": 5, "run/y": 5, "walk/z": 5, "walk/w": 5})
    source = load_clips(tmp_path)
    assert source.class_names == ("run", "walk")
    for split in (source.train, source.test):
        made = [clip[0] // 20 for clip in clip_values(split.images)]
        assert split.labels.tolist() == [0 if number < 2 else 1 for number in made]


def test_an_unreadable_frame_ends_the_clips_that_need_it(tmp_path: Path) -> None:
    make_video(tmp_path, {"train/a": 10, "test/b": 4})
    (tmp_path / "train" / "a" / "5.png").write_text("broken")
    source = load_clips(tmp_path)
    assert clip_values(source.train.images) == [[s, s + 1, s + 2] for s in (0, 1, 2, 6, 7)]
    assert source.notes == (
        "1 of 14 frames cannot be read, such as train/a/5.png (not an image, or damaged)",
    )


def test_short_sequences_are_left_out_and_said(tmp_path: Path) -> None:
    make_video(tmp_path, {"a": 9, "b": 9, "c": 3})
    source = load_clips(tmp_path, frames=3, stride=2)
    assert source.notes == ("1 sequences have fewer than the 5 frames of a clip and were left out",)
    with pytest.raises(
        DataError, match=r"a clip spans 11 frames, but the longest sequence in .* has 9"
    ) as caught:
        load_clips(tmp_path, frames=6, stride=2)
    assert "data.frames" in caught.value.hint


@pytest.mark.parametrize(("frames", "masks"), [("frames", "masks"), ("JPEGImages", "Annotations")])
def test_masks_lie_beside_the_frames(tmp_path: Path, frames: str, masks: str) -> None:
    make_video(tmp_path / frames, {"a": 5, "b": 5}, masks=tmp_path / masks)
    (tmp_path / masks / "a" / "2.png").unlink()
    for path in (tmp_path, tmp_path / frames):
        source = load_clips(path, size=4)
        for split in (source.train, source.test):
            assert split.masks is not None
            assert split.masks.shape == (3, 3, 4, 4)
            for clip, mask in zip(split.images, split.masks, strict=True):
                for value, frame in zip(clip[:, 0, 0, 0].tolist(), mask, strict=True):
                    left = 0 if value == 2 else 1  # frame 2 of a has none
                    assert torch.equal(
                        frame, torch.tensor([left, left, 0, 0], dtype=torch.uint8).expand(4, 4)
                    )
    shutil.rmtree(tmp_path / masks / "a")
    shutil.rmtree(tmp_path / masks / "b")
    save(tmp_path / masks / "other" / "0.png", 1, mode="L")
    with pytest.raises(DataError, match=r"no mask in .* has the name of a frame"):
        load_clips(tmp_path)


def test_fewer_clips_are_spread_over_all_sequences(tmp_path: Path) -> None:
    make_video(tmp_path, {"train/a": 12, "train/b": 12, "test/c": 12})
    source = load_clips(tmp_path, train=4, test=2)
    assert [clip[0] for clip in clip_values(source.train.images)] == [0, 5, 20, 25]
    with pytest.raises(UsageError, match=r"data\.train_images = 21: there are only 20 clips"):
        load_clips(tmp_path, train=21)


def test_clips_are_thinned_where_they_would_take_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_video(tmp_path, {"train/a": 18, "test/c": 5})
    monkeypatch.setattr(frames_module, "MOST_BYTES", 16 * 3 * 3 * 64 // 2)
    assert [clip[0] for clip in clip_values(load_clips(tmp_path).train.images)] == list(range(0, 16, 2))


# -- real data


@needs_real_data
def test_real_photographs_in_class_folders() -> None:
    root = Path(SSLTERM_DATA or "") / "cifar10-jpeg" / "test"
    config = DataConfig(name="folder", path=str(root), size=0, train_images=0, test_images=0, seed=0)
    source = load_source(config, silent)
    assert source.train.images.shape == (3600, 3, 32, 32)
    assert source.test.labels.bincount().tolist() == [40] * 10
    assert source.class_names[:3] == ("airplane", "automobile", "bird")
    path = sorted((root / "ship").iterdir())[7]
    picture = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
    both = torch.cat((source.train.images, source.test.images))
    labels = torch.cat((source.train.labels, source.test.labels))
    same = (both == picture).flatten(1).all(1)
    assert labels[same].tolist() == [source.class_names.index("ship")]
    smaller = load_source(replace(config, size=16), silent)
    assert smaller.train.images.shape == (3600, 3, 16, 16)
    mean = torch.nn.functional.avg_pool2d(source.train.images.float(), 2)
    assert (smaller.train.images.float() - mean).abs().mean() < 6, "other pictures, or in another order"


@needs_real_data
def test_real_video_with_masks() -> None:
    config = ClipConfig(
        name="frames", path=str(Path(SSLTERM_DATA or "") / "davis"), size=32, train_images=0, test_images=0,
        seed=0, frames=4, stride=2, motion=1.0,
    )  # fmt: skip
    source = load_source(config, silent)
    assert source.train.images.shape == (8 * 34, 4, 3, 32, 32)
    assert source.test.images.shape == (2 * 34, 4, 3, 32, 32)
    assert source.train.masks is not None
    share = (source.train.masks == 1).float().mean()
    assert 0.03 < share < 0.4
    # Neighbouring frames are more alike than frames of other clips.
    images = source.train.images.float()
    apart = (images[:, 0] - images[torch.randperm(len(images)), 0]).abs().mean()
    assert (images[:, 0] - images[:, 1]).abs().mean() < 0.5 * apart
