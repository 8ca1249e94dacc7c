"""Which checkpoints a run has, by the names of their folders: for readers, who do not open them."""

from __future__ import annotations

from sslterm.run.layout import RunDirectory


def checkpoint_counts(run: RunDirectory) -> list[int]:
    """After how many training images there are whole checkpoints, oldest first; [] where nothing can be read."""
    try:
        folders = [path for path in run.checkpoints.iterdir() if path.name.isdecimal()]
        return sorted(int(path.name) for path in folders if (path / "manifest.json").is_file())
    except OSError:
        return []
