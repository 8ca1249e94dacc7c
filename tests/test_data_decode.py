"""Every kind of image file becomes the picture a person would see."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sslterm.data.decode import UnreadableError, decode, decode_mask, picture_size, quietly
from sslterm.data.pictures import load_clip, load_images, load_mask
from sslterm.errors import DataError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters() -> Image.Image:
    """Red, green above blue, white; 24 pixels wide and 16 high."""
    image = Image.new("RGB", (24, 16))
    for box, colour in (((0, 0), RED), ((12, 0), GREEN), ((0, 8), BLUE), ((12, 8), WHITE)):
        image.paste(colour, (*box, box[0] + 12, box[1] + 8))
    return image


def corners(pixels: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Colours of the four corners, row by row."""
    return [tuple(pixels[:, y, x].tolist()) for y in (1, -2) for x in (1, -2)]


def near(ours: list[tuple[int, ...]], theirs: list[tuple[int, ...]], tolerance: int) -> bool:
    return bool(np.abs(np.array(ours) - np.array(theirs)).max() <= tolerance)


SEEN = [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    [("png", 0), ("bmp", 0), ("tiff", 0), ("ppm", 0), ("tga", 0), ("gif", 0), ("jpg", 6), ("webp", 60)],
)
def test_formats(tmp_path: Path, suffix: str, tolerance: int) -> None:
    path = tmp_path / f"a.{suffix}"
    quarters().save(path, quality=95)
    picture = decode(path)
    assert picture.pixels.shape == (3, 16, 24)
    assert picture.pixels.dtype == np.uint8
    assert not picture.grey
    assert near(corners(picture.pixels), SEEN, tolerance)
    assert picture_size(path) == (16, 24)


@pytest.mark.parametrize("mode", ["P", "CMYK", "RGBA", "RGBX", "YCbCr", "LAB"])
def test_modes_with_colour(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tiff"
    if mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(quarters(), srgb, lab, outputMode="LAB")
        assert image is not None
    else:
        image = quarters().convert(mode)
    image.save(path)
    picture = decode(path)
    assert not picture.grey
    assert near(corners(picture.pixels), SEEN, 40 if mode == "LAB" else 3)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    quarters().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert near(corners(decode(tmp_path / "a.jpg").pixels), SEEN, 8)


def test_transparent_parts_show_white(tmp_path: Path) -> None:
    image = quarters().convert("RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    image.save(tmp_path / "a.png")
    assert corners(decode(tmp_path / "a.png").pixels) == [WHITE] * 4
    image.putalpha(Image.new("L", image.size, 128))
    image.save(tmp_path / "b.png")
    half = [tuple(round(c * 128 / 255 + 127) for c in colour) for colour in SEEN]
    assert near(corners(decode(tmp_path / "b.png").pixels), half, 1)
    palette = quarters().convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    palette.save(tmp_path / "c.png", transparency=palette.getpixel((0, 0)))
    assert corners(decode(tmp_path / "c.png").pixels) == [WHITE, GREEN, BLUE, WHITE]
    Image.new("LA", (8, 8), (200, 0)).save(tmp_path / "d.png")
    grey = decode(tmp_path / "d.png")
    assert grey.grey
    assert set(grey.pixels.flatten().tolist()) == {255}


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("eight.png", RAMP),
        ("sixteen.png", RAMP.astype(np.uint16) * 257),
        ("sixteen.tiff", RAMP.astype(np.uint16) * 257),
        ("thirtytwo.tiff", RAMP.astype(np.int32) * 257),
        ("bytes.tiff", RAMP.astype(np.int32)),
        ("unit.tiff", RAMP.astype(np.float32) / 255),
        ("float.tiff", RAMP.astype(np.float32)),
    ],
)
def test_grey_of_any_depth_is_the_same_ramp(tmp_path: Path, name: str, array: NDArray[np.generic]) -> None:
    Image.fromarray(array).save(tmp_path / name)
    picture = decode(tmp_path / name)
    assert picture.grey
    assert np.array_equal(picture.pixels, np.repeat(RAMP[None], 3, 0))


def test_one_bit_and_colourless_rgb_are_grey(tmp_path: Path) -> None:
    Image.fromarray(RAMP).convert("1").save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png").grey
    assert set(decode(tmp_path / "a.png").pixels.flatten().tolist()) == {0, 255}
    Image.fromarray(RAMP).convert("RGB").save(tmp_path / "b.png")
    assert decode(tmp_path / "b.png").grey


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    """The file holds what a camera held that way would; what is read is upright."""
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    image = quarters() if stored is None else quarters().transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert picture_size(tmp_path / "a.jpg") == (16, 24)
    assert near(corners(decode(tmp_path / "a.jpg").pixels), SEEN, 8)


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    for name in ("a.gif", "a.png", "a.tiff"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert corners(decode(tmp_path / name).pixels) == [RED] * 4


def test_the_shorter_side_is_resized_and_the_middle_kept(tmp_path: Path) -> None:
    """A wide image: left third red, middle green, right blue; cut to a square it is green."""
    wide = Image.new("RGB", (90, 30), RED)
    wide.paste(GREEN, (30, 0, 60, 30))
    wide.paste(BLUE, (60, 0, 90, 30))
    for image in (wide, wide.transpose(Image.Transpose.ROTATE_90)):
        image.save(tmp_path / "a.png")
        pixels = decode(tmp_path / "a.png", 15).pixels
        assert pixels.shape == (3, 15, 15)
        assert corners(pixels) == [GREEN] * 4
    wide.save(tmp_path / "b.png")
    assert decode(tmp_path / "b.png", (10, 30)).pixels.shape == (3, 10, 30)
    assert near(corners(decode(tmp_path / "b.png", (10, 30)).pixels), [RED, BLUE, RED, BLUE], 3)


def test_making_smaller_is_antialiased(tmp_path: Path) -> None:
    """A fine chequerboard becomes even grey, not stripes."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "a.png")
    pixels = decode(tmp_path / "a.png", 30).pixels.astype(int)
    assert abs(pixels[:, 2:-2, 2:-2] - 127.5).max() < 12


def test_tiny_and_thin_images_are_enlarged(tmp_path: Path) -> None:
    for form in ((1, 1), (1, 500), (500, 1), (3, 2)):
        Image.new("RGB", form, GREEN).save(tmp_path / "a.png")
        assert set(corners(decode(tmp_path / "a.png", 32).pixels)) == {GREEN}
    Image.new("RGB", (1, 1), GREEN).save(tmp_path / "b.png")
    assert load_images([tmp_path / "b.png"], channels=3, height=1, width=1).flatten().tolist() == [*GREEN]


def test_a_large_image_is_read_and_a_huge_one_refused(tmp_path: Path) -> None:
    """Pillow warns above 89 million pixels and refuses above 178 million."""
    Image.new("1", (12_000, 8_000)).save(tmp_path / "large.png")
    with quietly():
        assert decode(tmp_path / "large.png", 8).pixels.shape == (3, 8, 8)
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    with quietly(), pytest.raises(UnreadableError, match="more than 178,956,970 pixels"):
        decode(tmp_path / "huge.png", 8)


def damaged_files() -> dict[str, bytes]:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    png = buffer.getvalue()
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    return {
        "empty.png": b"",
        "text.jpg": b"this is no image",
        "cut.png": png[: len(png) // 2],
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "header.png": png[:30],
        "flipped.png": bytes(flipped),
        "pickle.png": b"cos\nsystem\n(S'touch pwned'\ntR.",
    }


@pytest.mark.parametrize("name", damaged_files())
def test_damaged_files_are_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(damaged_files()[name])
    with pytest.raises(UnreadableError) as caught:
        decode(path, 16)
    assert str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="cannot read the image"):
        load_images([path], channels=3, height=16, width=16)


def test_masks_keep_their_numbers(tmp_path: Path) -> None:
    numbers = np.zeros((20, 30), np.uint8)
    numbers[5:10, 5:15], numbers[12:, 20:] = 1, 2
    indexed = Image.fromarray(numbers).convert("P")
    indexed.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    for name, image in (("palette.png", indexed), ("grey.png", Image.fromarray(numbers))):
        image.save(tmp_path / name)
        assert np.array_equal(decode_mask(tmp_path / name), numbers)
        assert set(np.unique(decode_mask(tmp_path / name, 13))) == {0, 1, 2}, "blended"
    Image.fromarray((numbers > 0).astype(np.uint8) * 255).save(tmp_path / "white.png")
    assert np.array_equal(decode_mask(tmp_path / "white.png"), (numbers > 0).astype(np.uint8))


# -- files of a person, for a trained method


def test_images_come_in_the_form_a_method_takes(tmp_path: Path) -> None:
    quarters().save(tmp_path / "colour.png")
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    paths = [tmp_path / "colour.png", tmp_path / "grey.png"]
    colour = load_images(paths, channels=3, height=8, width=12)
    assert colour.shape == (2, 3, 8, 12)
    assert corners(colour[0].numpy()) == SEEN
    grey = load_images(paths, channels=1, height=16, width=16)
    assert grey.shape == (2, 1, 16, 16)
    assert np.array_equal(grey[1, 0].numpy(), RAMP)
    assert corners(grey[0].numpy()) == [(76,), (150,), (29,), (255,)], (
        "the luma of red, green, blue and white"
    )
    with pytest.raises(DataError, match=r"cannot read the image .*missing\.png: No such file"):
        load_images([tmp_path / "missing.png"], channels=1, height=8, width=8)


def test_a_mask_says_what_to_fill(tmp_path: Path) -> None:
    mask = Image.new("L", (16, 16))
    mask.paste(255, (8, 0, 16, 16))
    mask.save(tmp_path / "m.png")
    loaded = load_mask(tmp_path / "m.png", height=8, width=8)
    assert loaded.shape == (1, 8, 8)
    assert torch.equal(loaded[0], torch.tensor([0.0] * 4 + [1.0] * 4).expand(8, 8))
    with pytest.raises(DataError, match="cannot read the mask"):
        load_mask(tmp_path / "none.png", height=8, width=8)


def test_a_clip_is_a_folder_or_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (10, 120, 250)]
    (tmp_path / "clip").mkdir()
    for number, frame in zip((1, 2, 10), frames, strict=True):
        frame.save(tmp_path / "clip" / f"{number}.png")
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:])
    for path in (tmp_path / "clip", tmp_path / "clip.gif"):
        clip = load_clip(path, channels=3, height=4, width=4)
        assert clip.shape == (3, 3, 4, 4)
        assert clip[:, 0, 0, 0].tolist() == [10, 120, 250], "frames in natural order"
    frames[0].save(tmp_path / "one.gif")
    for path, message in (
        (tmp_path / "one.gif", "has one frame"),
        (tmp_path / "none.gif", "there is no such folder or file"),
    ):
        with pytest.raises(DataError, match=message):
            load_clip(path, channels=3, height=4, width=4)
