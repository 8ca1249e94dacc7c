"""`track` and `predict`: on clips of any size, on held-out ones, and what cannot be done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sslterm.cli.app import main
from sslterm.data.source import Footage
from sslterm.errors import DataError, UsageError
from sslterm.evaluate.tracking import agreement, strongest
from sslterm.run.panels import load_panel
from sslterm.run.worker_client import Worker
from tests.cli_program import validator_of
from tests.test_worker import make_run

SMALL = ("data.size=32", "data.train_images=32", "data.test_images=8")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def colours(root: Path) -> Iterator[Worker]:
    with Worker(make_run(root, "video-colorization", "sprites", "method.crop=16", *SMALL), "cpu") as worker:
        yield worker


@pytest.fixture(scope="module")
def frames(root: Path) -> Iterator[Worker]:
    with Worker(make_run(root, "frame-prediction", "sprites", *SMALL), "cpu") as worker:
        yield worker


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A textured square on a textured ground moves to the right: frames of 80x50, and its masks beside them."""
    root = tmp_path_factory.mktemp("film")
    generator = np.random.default_rng(0)
    ground = generator.integers(0, 120, (50, 80, 3), dtype=np.uint8)
    thing = generator.integers(120, 255, (20, 20, 3), dtype=np.uint8)
    for kind in ("frames", "masks"):
        (root / kind / "square").mkdir(parents=True)
    for t in range(6):
        picture, mask = ground.copy(), np.zeros((50, 80), np.uint8)
        picture[15:35, 10 + 4 * t : 30 + 4 * t] = thing
        mask[15:35, 10 + 4 * t : 30 + 4 * t] = 255
        Image.fromarray(picture).save(root / "frames" / "square" / f"{t}.png")
        Image.fromarray(mask).save(root / "masks" / "square" / f"{t}.png")
    return root


def gif_frames(path: str) -> tuple[int, tuple[int, int]]:
    with Image.open(path) as gif:
        return getattr(gif, "n_frames", 1), gif.size


# -- track


def test_a_clip_is_tracked_at_its_own_size(colours: Worker, film: Path) -> None:
    answer = colours.ask("track", clip=str(film / "frames" / "square"))
    (result,) = answer["results"]
    assert (result["clip"], result["frames"], result["objects"]) == ("square", 6, 1)
    # Copying the first mask: the square has moved by 4 t of its 20 pixels.
    shares = [(20 - 4 * t) / (20 + 4 * t) for t in range(1, 6)]
    assert result["J_identity"] == answer["J_identity"] == pytest.approx(sum(shares) / 5)
    assert 0 <= result["J"] <= 1
    with np.load(Path(answer["path"]).with_suffix(".npz")) as kept:
        masks = kept["masks"]
    assert masks.shape == (6, 50, 80)
    assert masks.dtype == np.uint8
    assert (masks[0] > 0).sum() == 400
    assert set(np.unique(masks)) <= {0, 1}
    panel = load_panel(Path(answer["path"]).with_suffix(".npz"))
    assert panel.columns == 6
    assert panel.array.shape == (12, 3, 100, 160)  # tracked above the truth, each enlarged
    assert gif_frames(answer["gif"]) == (6, (320, 200))


def test_a_mask_can_be_given_and_frames_be_limited(colours: Worker, film: Path, tmp_path: Path) -> None:
    clip, mask = str(film / "frames" / "square"), str(film / "masks" / "square" / "0.png")
    answer = colours.ask("track", clip=clip, mask=mask, frames=4)
    assert answer["results"][0]["frames"] == 4
    assert answer["J"] is not None, "it is the object whose masks are known"
    other = np.zeros((50, 80), np.uint8)
    other[:10, 60:] = 255
    Image.fromarray(other).save(tmp_path / "other.png")
    answer = colours.ask(
        "track", clip=clip, mask=str(tmp_path / "other.png"), out=str(tmp_path / "a" / "b.png")
    )
    assert answer["J"] is answer["results"][0]["J"] is None, "the known masks are those of another object"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b.gif", "b.png"]


def test_held_out_clips_are_tracked_beside_the_truth(colours: Worker) -> None:
    answer = colours.ask("track", n=2, seed=1)
    assert answer["n"] == len(answer["results"]) == 2
    for name in ("J", "F", "J_identity", "F_identity"):
        assert answer[name] == pytest.approx(sum(one[name] for one in answer["results"]) / 2)
        assert 0 <= answer[name] <= 1
    assert load_panel(Path(answer["path"]).with_suffix(".npz")).array.shape[0] == 4 * 8
    assert gif_frames(answer["gif"])[0] == 24


@pytest.mark.parametrize("kind", ["size", "empty", "full", "text", "none"])
def test_masks_that_cannot_be_used_say_why(colours: Worker, film: Path, tmp_path: Path, kind: str) -> None:
    masks = {
        "size": (np.full((20, 20), 255, np.uint8), r"has 20x20 pixels, and the frames 80x50"),
        "empty": (np.zeros((50, 80), np.uint8), "is empty"),
        "full": (np.full((50, 80), 255, np.uint8), "covers the whole frame"),
        "text": (None, "cannot read the mask"),
        "none": (None, "there is no such file"),
    }
    array, message = masks[kind]
    path = tmp_path / "mask.png"
    if array is not None:
        Image.fromarray(array).save(path)
    elif kind == "text":
        path.write_text("no picture")
    with pytest.raises((UsageError, DataError), match=message) as caught:
        colours.ask("track", clip=str(film / "frames" / "square"), mask=str(path))
    assert "\n" not in caught.value.message


def test_what_is_to_be_followed_has_to_be_said(colours: Worker, film: Path, tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    for number in range(3):
        (tmp_path / "clip" / f"{number}.png").write_bytes(
            (film / "frames" / "square" / f"{number}.png").read_bytes()
        )
    with pytest.raises(UsageError, match="what is to be followed") as caught:
        colours.ask("track", clip=str(tmp_path / "clip"))
    assert "--mask" in caught.value.hint
    with pytest.raises(UsageError, match="--mask is the first mask of a clip"):
        colours.ask("track", mask=str(film / "masks" / "square" / "0.png"))
    with pytest.raises(UsageError, match="video-colorization cannot predict"):
        colours.ask("predict")


def test_evaluate_tells_j_and_f_beside_their_baselines(colours: Worker) -> None:
    answer = colours.ask("evaluate", n=2)
    validator_of("evaluate").validate(answer)
    found = {row["name"]: row for row in answer["results"]}
    for end in ("", "_identity", "_pixels"):
        region, contour, mean = (found[name + end] for name in ("J", "F", "J&F"))
        assert mean["value"] == pytest.approx((region["value"] + contour["value"]) / 2)
        assert region["n"] == 2
    assert found["J_pixels"]["value"] > found["J_identity"]["value"]  # sprites keep their colours
    assert {"colour", "colour_same_place", "rankme"} <= set(found)


def test_clips_have_maps_neighbours_and_probes(colours: Worker) -> None:
    assert colours.ask("embed", n=8)["n"] == 8
    images = colours.ask("neighbours", place=0, k=3, n=8)["images"]
    assert images["shape"] == [4, 3, 32, 32]  # middle frames
    probe = colours.ask("probe", protocols=["knn"], layers=["all"])["results"]
    assert [row["layer"] for row in probe][-1] == "pooled"
    other = colours.ask("probe", protocols=["knn"], data="digits")["results"]
    assert other[0]["n_test"] == 297  # still images, each for a clip


# -- predict


def test_frames_of_held_out_clips_are_predicted(frames: Worker) -> None:
    answer = frames.ask("predict", n=3, clips=2)
    assert answer["n"] == 2
    for name in ("mse", "mse_copy_last"):
        assert answer[name] == pytest.approx(sum(one[name] for one in answer["results"]) / 2)
    panel = load_panel(Path(answer["path"]).with_suffix(".npz"))
    assert panel.columns == 4 + 3
    assert panel.array.shape == (2 * 2 * 7, 3, 32, 32)
    assert np.array_equal(panel.array[:4], panel.array[7:11]), "both rows begin with the frames seen"
    assert gif_frames(answer["gif"])[0] == 7


def test_frames_of_a_clip_are_predicted_at_the_scale_of_training(
    frames: Worker, film: Path, tmp_path: Path
) -> None:
    for number in range(8):  # one in two is taken, as in training
        frame = (film / "frames" / "square" / f"{number % 6}.png").read_bytes()
        (tmp_path / f"{number}.png").write_bytes(frame)
    answer = frames.ask("predict", clip=str(tmp_path), n=1, beyond=True)
    assert answer["mse"] is None
    assert answer["results"][0]["mse_copy_last"] is None
    panel = load_panel(Path(answer["path"]).with_suffix(".npz"))
    assert panel.array.shape == (5, 3, 32, 51)


def test_clips_that_are_too_short_say_how_long_they_have_to_be(frames: Worker, film: Path) -> None:
    with pytest.raises(DataError, match=r"square has 3 frames, taking one in 2: too few to predict 2 from 4"):
        frames.ask("predict", clip=str(film / "frames" / "square"), n=2)
    with pytest.raises(UsageError, match="frame-prediction cannot track"):
        frames.ask("track")


# -- figures


def test_agreement_leaves_out_the_first_frame_and_those_without_a_mask() -> None:
    masks = torch.zeros(4, 10, 10, dtype=torch.uint8)
    masks[:, :4, :4], masks[:, 6:, 6:] = 1, 2
    footage = Footage("x", torch.zeros(4, 3, 10, 10, dtype=torch.uint8), masks)
    assert agreement(masks, footage) == (1.0, 1.0)
    tracked = masks.clone()
    tracked[0] = 0
    tracked[2, 6:, 6:] = 0  # object 2 is lost in one of three frames
    assert agreement(tracked, footage)[0] == pytest.approx((3 + 2) / 6)
    known = Footage("x", footage.images, masks, torch.tensor([True, True, False, True]))
    assert agreement(tracked, known) == (1.0, 1.0)


def test_a_pixel_goes_to_what_has_most_of_it() -> None:
    shares = torch.tensor([[0.2, 0.5, 0.3, 0.0], [0.3, 0.2, 0.6, 0.1]]).view(1, 2, 1, 4)
    assert strongest(shares, torch.tensor([1, 7], dtype=torch.uint8)).flatten().tolist() == [0, 1, 7, 0]


# -- the commands


def test_the_commands_print_paths_figures_or_json(
    root: Path, colours: Worker, frames: Worker, film: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = str(film / "frames" / "square")
    options = ["--device", "cpu", "--runs", str(root)]
    assert main(["track", "video-colorization-sprites-1", clip, *options]) == 0
    picture, gif, _, header, row = capfd.readouterr().out.splitlines()
    assert Path(picture).suffix == ".png"
    assert Path(gif).exists()
    assert header.split() == ["clip", "frames", "J", "F", "J_identity", "F_identity"]
    assert row.split()[:2] == ["square", "6"]
    assert main(["predict", "frame-prediction-sprites-1", "-n", "2", "--clips", "1", "--json", *options]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert set(answer) == {"run", "path", "gif", "n", "mse", "mse_copy_last", "results"}
    assert main(["track", "video-colorization-sprites-1", str(film / "none"), *options]) == 3
    assert "there is no such folder or file" in capfd.readouterr().err
