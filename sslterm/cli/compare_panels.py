"""The pictures of `sslterm compare`: a panel of every run, or samples drawn for it, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sslterm.cli.output import note
from sslterm.cli.preview import Preview
from sslterm.errors import DataError, SsltermError, UsageError, did_you_mean
from sslterm.render.comparison import panels_worth_seeing
from sslterm.render.side_by_side import Shot, shot_of
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import load_panel
from sslterm.run.reader import RunReader
from sslterm.run.worker_client import Worker


def panel_shots(readers: Sequence[RunReader], panel: str, at: int | None) -> list[Shot]:
    """A panel of every run, as it was after `at` images or just before, or the newest.

    Raises:
        UsageError: no run has such a panel.
        DataError: none has drawn it by then.
    """
    known = panels_worth_seeing(readers)
    if panel not in known:
        raise UsageError(f"none of these runs has a panel {panel!r}", did_you_mean(panel, known))
    shots = [shot_of(reader, place, panel, at) for place, reader in enumerate(readers)]
    if all(shot.panel is None for shot in shots):
        raise DataError(f"no run has drawn {panel} by {at or 0:,} images", "leave --at out for the newest")
    return shots


def draw_samples(runs: Sequence[RunDirectory], n: int, *, seed: int, device: str) -> list[Shot]:
    """`n` samples of every run with the same seed; who cannot sample is told and left blank.

    Raises:
        SsltermError: no run can.
    """
    shots: list[Shot] = []
    troubles: dict[str, SsltermError] = {}
    with Preview() as preview:
        for place, run in enumerate(runs):
            try:
                with Worker(run, device) as worker:
                    answer = worker.ask("sample", preview.progress, n=n, seed=seed)
                panel = load_panel(Path(answer["path"]).with_suffix(".npz"))
            except SsltermError as error:
                troubles[run.name] = error
                shots.append(Shot(place=place, name=run.name, trouble="no samples"))
            else:
                shots.append(Shot(place=place, name=run.name, when=f"{n} samples", panel=panel))
    if len(troubles) == len(runs):
        raise next(iter(troubles.values()))
    for name, trouble in troubles.items():
        note(f"{name} is left out: {trouble.message}")
    return shots


def write_shots(shots: Sequence[Shot], title: str, path: Path) -> None:
    """Write shots as one PNG.

    Raises:
        OSError: the disk is full or read-only.
    """
    from sslterm.render.picture_side_by_side import side_by_side_picture
    from sslterm.render.png import save_picture

    save_picture(side_by_side_picture(shots, title), path)
