"""Where the frames of a person's video lie: image files in folders, and video files, which are unpacked."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from sslterm.data.decode import SUFFIXES, UnreadableError
from sslterm.data.listing import File, list_files, list_images, natural, open_folder
from sslterm.data.progress import Progress
from sslterm.data.video import ANIMATIONS, VIDEOS, is_video, unpack
from sslterm.errors import DataError

FRAME_FOLDERS = ("frames", "JPEGImages")
MASK_FOLDERS = ("masks", "Annotations")


def list_frames(path: str, progress: Progress) -> tuple[Path, Path | None, list[File], list[str]]:
    """The folder of frames and that of masks or None; all frames, those of videos among them; what is damaged."""
    named = Path(path).expanduser().absolute()
    if path and named.is_file():
        if not is_video(named):
            raise DataError(
                f"{named} is neither a folder of frames nor a video", "videos are recognised by their suffix"
            )
        frames, masks, videos, images = named.parent, None, [File(named.name, 0, 0)], []
    else:
        frames, masks = find_roots(open_folder(path))
        videos = [file for file in list_files(frames, ANIMATIONS | VIDEOS) if is_video(frames / file.path)]
        taken = {file.path for file in videos}
        there = list_files(frames, SUFFIXES) if videos else list_images(frames)
        images = [file for file in there if file.path not in taken]
    folders, damaged = {str(PurePosixPath(file.path).parent) for file in images}, []
    for file in videos:
        sequence = stem(file.path)
        try:
            images += unpack(frames / file.path, file.path if sequence in folders else sequence, progress)
        except UnreadableError as error:
            damaged.append(f"the video {file.path} cannot be read and was left out: {error}")
    if not images:
        raise DataError(f"{frames}: {damaged[0]}")
    return frames, masks, sorted(images, key=lambda file: natural(file.path)), damaged


def find_roots(root: Path) -> tuple[Path, Path | None]:
    """The folder of frames, and that of masks or None."""
    frames = next((root / name for name in FRAME_FOLDERS if (root / name).is_dir()), root)
    beside = frames.parent if frames.name in FRAME_FOLDERS else root
    masks = next((beside / name for name in MASK_FOLDERS if (beside / name).is_dir()), None)
    return frames, masks


def stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))
