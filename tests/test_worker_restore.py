"""`complete` and `colorize`: held-out images and pictures of any size, over the pipes and as commands."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sslterm.cli.app import main
from sslterm.errors import DataError, ExitCode, UsageError
from sslterm.methods.base import Method
from sslterm.nn.lab import grey_of, rgb_to_lab
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import load_panel
from sslterm.run.worker_client import Worker
from sslterm.worker.restore import _shrunk, _window
from tests.test_worker import asked, make_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def inpainter(root: Path) -> RunDirectory:
    few = ("data.train_images=64", "data.test_images=40")
    return make_run(
        root,
        "context-encoder",
        "shapes",
        *few,
        "method.widths=[4,6,8]",
        "method.discriminator_widths=[4,4,4]",
    )


@pytest.fixture(scope="module")
def painter(root: Path) -> RunDirectory:
    few = ("data.train_images=64", "data.test_images=40")
    return make_run(root, "colorization", "painted", *few, "method.widths=[4,6]", "method.trunk=8")


@pytest.fixture(scope="module")
def worker(inpainter: RunDirectory) -> Iterator[Worker]:
    with Worker(inpainter, "cpu") as worker:
        yield worker


@pytest.fixture(scope="module")
def colourer(painter: RunDirectory) -> Iterator[Worker]:
    with Worker(painter, "cpu") as worker:
        yield worker


def photograph(path: Path, width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Writes soft colours of this size; returns what was written, [height, width, 3]."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    picture.save(path)
    return np.asarray(picture)


def pixels(path: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


# -- complete


@pytest.mark.parametrize(("width", "height"), [(200, 90), (19, 64), (32, 32), (5, 3)])
def test_a_picture_of_any_size_keeps_its_size_and_all_that_is_not_hidden(
    worker: Worker, inpainter: RunDirectory, tmp_path: Path, width: int, height: int
) -> None:
    before = photograph(tmp_path / "view.png", width, height)
    answer = worker.ask("complete", images=[str(tmp_path / "view.png")])
    (row,) = answer["results"]
    after = pixels(row["path"])
    assert Path(row["path"]).parent == inpainter.path / "outputs"
    assert Path(row["path"]).name.startswith("complete-256-view")
    assert after.shape == before.shape
    top, left = height // 4, width // 4
    hidden = np.zeros((height, width), bool)
    hidden[top : top + height // 2, left : left + width // 2] = True
    assert (after[~hidden] == before[~hidden]).all()
    assert (after[hidden] != before[hidden]).any()
    assert row["hidden"] == pytest.approx(hidden.mean())
    error = np.square(after[hidden] / 255 - before[hidden] / 255).mean()
    assert row["mse"] == pytest.approx(error, rel=0.01, abs=1e-4)
    assert answer["mse"] == row["mse"]


def test_a_mask_is_a_picture_of_the_same_size(worker: Worker, tmp_path: Path) -> None:
    before = photograph(tmp_path / "view.png", 60, 40)
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 30:58] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    ask = {"images": [str(tmp_path / "view.png")], "mask": str(tmp_path / "mask.png")}
    (row,) = worker.ask("complete", **ask, out=str(tmp_path / "whole.png"))["results"]
    assert row["path"] == str(tmp_path / "whole.png")
    after = pixels(row["path"])
    assert (after[mask == 0] == before[mask == 0]).all()
    assert (after[mask > 0] != before[mask > 0]).any()
    hidden_elsewhere = before.copy()
    hidden_elsewhere[mask > 0] = 255 - hidden_elsewhere[mask > 0]
    Image.fromarray(hidden_elsewhere).save(tmp_path / "view.png")
    (row,) = worker.ask("complete", **ask)["results"]
    assert (pixels(row["path"]) == after).all(), "what is hidden is not looked at"


def test_masks_that_do_not_fit_are_refused_in_one_line(worker: Worker, tmp_path: Path) -> None:
    photograph(tmp_path / "view.png", 60, 40)
    photograph(tmp_path / "dot.png", 1, 1)
    Image.new("L", (40, 60), 255).save(tmp_path / "turned.png")
    Image.new("L", (60, 40), 255).save(tmp_path / "all.png")
    Image.new("L", (60, 40), 0).save(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("no picture")
    picture = [str(tmp_path / "view.png")]
    for mask, message in (
        ("turned", r"turned\.png has 40x60 pixels, and .*view\.png 60x40"),
        ("all", r"all\.png hides all of .*view\.png \(60x40 pixels\)"),
        ("nothing", r"nothing\.png hides nothing of .*view\.png"),
        ("text", r"cannot read the mask .*text\.png: not an image"),
    ):
        with pytest.raises(DataError, match=message):
            worker.ask("complete", images=picture, mask=str(tmp_path / f"{mask}.png"))
    with pytest.raises(DataError, match=r"hides nothing of .*dot"):
        worker.ask("complete", images=[str(tmp_path / "dot.png")])
    with pytest.raises(DataError, match=r"all\.png has 60x40 pixels, and the held-out images 32x32"):
        worker.ask("complete", mask=str(tmp_path / "all.png"))
    with pytest.raises(UsageError, match="--mask centre: neither a file nor a kind of mask") as error:
        worker.ask("complete", images=picture, mask="centre")
    assert "center" in error.value.hint
    with pytest.raises(DataError, match=r"text\.png cannot be read as a picture"):
        worker.ask("complete", images=[str(tmp_path / "text.png")])
    with pytest.raises(DataError, match="no such file"):
        worker.ask("complete", images=[str(tmp_path / "absent.png")])
    with pytest.raises(UsageError, match="--out names one file"):
        worker.ask("complete", images=picture * 2, out=str(tmp_path / "a.png"))
    with pytest.raises(UsageError, match=r"a\.jpg: pictures are \.png"):
        worker.ask("complete", images=picture, out=str(tmp_path / "a.jpg"))
    with pytest.raises(UsageError, match="context-encoder cannot colorize") as error:
        worker.ask("colorize", images=picture)
    assert "complete" in error.value.hint


@pytest.mark.parametrize("mask", ["center", "bottom", "random"])
def test_held_out_images_are_shown_hidden_filled_and_true(worker: Worker, mask: str) -> None:
    answer = worker.ask("complete", n=6, mask=mask, seed=2)
    assert [row["path"] for row in answer["results"]] == [answer["results"][0]["path"]] * 6
    panel = load_panel(Path(answer["results"][0]["path"]).with_suffix(".npz"))
    seen, filled, truth = (panel.array[part::3] for part in range(3))
    assert seen.shape == (6, 3, 32, 32)
    hidden = (seen == 0.5).all(1, keepdims=True) & (seen != truth).any(1, keepdims=True)
    errors = (np.square(filled - truth) * hidden).sum((1, 2, 3)) / (3 * hidden.sum((1, 2, 3)))
    np.testing.assert_allclose([row["mse"] for row in answer["results"]], errors, rtol=1e-4)
    assert (np.where(hidden, 0, filled) == np.where(hidden, 0, truth)).all()
    assert answer["results"][0]["hidden"] == pytest.approx({"bottom": 0.5}.get(mask, 0.25))
    assert f"mask {mask}, seed 2" in panel.caption
    again = worker.ask("complete", n=6, mask=mask, seed=2)
    assert again["mse"] == answer["mse"]


def test_nothing_hidden_is_mixed_into_what_is_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 70, 50, generator=generator)
    mask = torch.zeros(1, 1, 70, 50)
    mask[:, :, 11:41, 7:33] = 1
    small, hole = _shrunk(image, mask, (3, 16, 16))
    other, _ = _shrunk(torch.where(mask > 0, 1 - image, image), mask, (3, 16, 16))
    assert torch.equal(small, other)
    assert abs(float(hole.mean() - mask.mean())) < 0.05
    flat, _ = _shrunk(torch.full_like(image, 0.7), mask, (3, 16, 16))
    torch.testing.assert_close(flat, 0.7 * (1 - hole).expand(-1, 3, -1, -1))
    scratch = torch.zeros(1, 1, 70, 50)
    scratch[:, :, :, 20] = 1  # thinner than a pixel of the small picture
    assert _shrunk(image, scratch, (3, 16, 16))[1].sum() == 16


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ((40, 60), (100, 130), ((20, 80), (85, 145))),  # twice as wide as the hole, around it
        ((0, 10), (0, 30), ((0, 60), (0, 60))),  # inside the picture
        ((50, 54), (70, 75), ((36, 68), (56, 88))),  # not below the size of the network
        ((10, 90), (100, 150), ((0, 100), (75, 175))),  # as large as the picture allows
        ((10, 90), (0, 150), ((0, 100), (0, 200))),  # else all of it
    ],
)
def test_the_square_around_a_hole_is_shown(
    rows: tuple[int, int], columns: tuple[int, int], expected: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    mask = torch.zeros(100, 200)
    mask[slice(*rows), slice(*columns)] = 1
    assert (
        tuple(part.indices(length)[:2] for part, length in zip(_window(mask, 32), mask.shape, strict=True))
        == expected
    )
    turned = _window(mask.T, 32)
    assert (
        tuple(part.indices(length)[:2] for part, length in zip(turned, mask.T.shape, strict=True))
        == expected[::-1]
    )


class Painting(Method):
    """Fills with white, in three steps."""

    def complete(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        for share in (0.2, 0.6, 1.0):
            yield torch.where(mask > 0.5, torch.full_like(images, share), images)


def test_any_method_that_completes_can_be_asked_and_watched(tmp_path: Path) -> None:
    (answer,) = asked(
        tmp_path / "run", Painting(), {"do": "complete", "n": 2, "mask": "bottom", "watch": True}
    )
    panel = load_panel(Path(answer["result"]["results"][0]["path"]).with_suffix(".npz"))
    assert (panel.array[1::3, :, 4:] == 1).all()  # the last of what it yields
    (answer,) = asked(tmp_path / "run", Painting(), {"do": "colorize"})
    assert answer["error"] == {"message": "toy cannot colorize", "hint": "it can: complete", "exit_code": 2}


# -- colorize


@pytest.mark.parametrize(("width", "height"), [(200, 90), (19, 64), (1, 1)])
def test_a_coloured_picture_keeps_its_size_and_its_lightness(
    colourer: Worker, tmp_path: Path, width: int, height: int
) -> None:
    before = photograph(tmp_path / "view.png", width, height)
    Image.fromarray(before).convert("L").save(tmp_path / "grey.jpg")
    answer = colourer.ask("colorize", images=[str(tmp_path / "view.png"), str(tmp_path / "grey.jpg")])
    view, grey = answer["results"]
    assert Path(view["path"]).name.startswith("colorize-256-view")
    after = pixels(view["path"])
    assert after.shape == before.shape
    lab, true = (
        rgb_to_lab(torch.from_numpy(part.copy()).movedim(-1, 0)[None].float() / 255)
        for part in (after, before)
    )
    shown = torch.from_numpy(((after > 0) & (after < 255)).all(-1))[None]  # what a screen can show
    torch.testing.assert_close(lab[:, 0][shown], true[:, 0][shown], rtol=0, atol=0.6)  # 8 bits
    assert view["chroma_before"] == pytest.approx(float(true[:, 1:].norm(dim=1).mean()), rel=1e-3)
    assert grey["chroma_before"] < 0.01
    assert pixels(grey["path"]).shape == (height, width, 3)
    assert answer["n"] == 2
    with pytest.raises(UsageError, match="colorization cannot complete"):
        colourer.ask("complete", n=2)


def test_colours_of_the_picture_are_not_looked_at(colourer: Worker, tmp_path: Path) -> None:
    """A picture and its grey copy of the same lightness get the same colours, as far as 8 bits can tell."""
    before = photograph(tmp_path / "view.png", 90, 70)
    lab = rgb_to_lab(torch.from_numpy(before.copy()).movedim(-1, 0)[None].float() / 255)
    grey = (grey_of(lab)[0, 0] * 255).round().byte().numpy()
    Image.fromarray(grey).save(tmp_path / "grey.png")
    answer = colourer.ask("colorize", images=[str(tmp_path / "view.png"), str(tmp_path / "grey.png")])
    first, second = (pixels(row["path"]).astype(int) for row in answer["results"])
    assert np.abs(first - second).max() <= 4


def test_held_out_images_are_shown_grey_coloured_and_true(colourer: Worker) -> None:
    answer = colourer.ask("colorize", n=5)
    panel = load_panel(Path(answer["results"][0]["path"]).with_suffix(".npz"))
    assert panel.array.shape == (15, 3, 32, 32)
    assert np.ptp(panel.array[::3], axis=1).max() < 1e-4
    assert answer["chroma_before"] > 15
    assert [row["image"][:5] for row in answer["results"]] == ["test["] * 5


# -- the commands


def test_commands_print_the_paths_and_documented_json(
    root: Path,
    inpainter: RunDirectory,
    painter: RunDirectory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photograph(tmp_path / "view.png", 40, 30)
    there = ["--device", "cpu", "--runs", str(root)]
    assert main(["complete", "context", str(tmp_path / "view.png"), "--mask", "random", *there]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["image", "hidden", "mse", "mse", "border", "path"]
    assert Path(line.split()[-1]).is_file()
    assert main(["complete", "context", "-n", "2", "--json", *there]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"run", "n", "mask", "mse", "mse_border", "results"}
    assert set(answer["results"][0]) == {"image", "path", "hidden", "mse", "mse_border"}
    assert main(["colorize", "color", "-n", "2", *there]) == 0
    path, told = capsys.readouterr().out.splitlines()
    assert Path(path).is_file()
    assert told.startswith("mean chroma of 2 held-out images")
    assert main(["colorize", "color", str(tmp_path / "view.png"), "--json", *there]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"run", "n", "chroma", "chroma_before", "results"}
    assert set(answer["results"][0]) == {"image", "path", "chroma", "chroma_before"}


def test_commands_end_with_one_clear_error(
    root: Path,
    inpainter: RunDirectory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photograph(tmp_path / "view.png", 40, 30)
    Image.new("L", (3, 3), 255).save(tmp_path / "mask.png")
    view, mask = (os.path.relpath(tmp_path / name) for name in ("view.png", "mask.png"))  # as a person types
    there = ["--device", "cpu", "--runs", str(root)]
    assert main(["complete", "context", view, "--mask", mask, *there]) == ExitCode.DATA
    error = capsys.readouterr().err
    assert error.startswith("error: the mask /")
    assert "mask.png has 3x3 pixels, and " in error
    assert len(error.splitlines()) == 2
    assert main(["complete", "context", view, "--mask", "middle", *there]) == ExitCode.USAGE
    assert "--mask middle" in capsys.readouterr().err
    assert main(["colorize", "context", view, *there]) == ExitCode.USAGE
    assert capsys.readouterr().err == (
        "error: context-encoder cannot colorize\n  it can: complete, probe, evaluate, export\n"
    )
