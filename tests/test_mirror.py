"""TensorBoard's events hold what the run directory holds, live and after the fact."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from sslterm.mirror.tensorboard import Mirror
from sslterm.render.png import write_png
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsReader, MetricsWriter
from sslterm.run.panels import load_panel
from tests.cli_program import Cli, cli
from tests.tui.recorded import full_run

__all__ = ["cli"]

pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")


def read_events(folder: Path) -> list[Any]:
    """Every event, its checksums verified, as the format says it (tensorflow/core/lib/io/record_writer.h)."""
    import struct

    from tensorboardX.crc32c import crc32c
    from tensorboardX.proto.event_pb2 import Event

    def masked(content: bytes) -> int:
        crc = crc32c(content)
        return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF

    events = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        stream = io.BytesIO(path.read_bytes())
        while head := stream.read(12):
            (length,), (check,) = struct.unpack("<Q", head[:8]), struct.unpack("<I", head[8:])
            assert check == masked(head[:8])
            content = stream.read(length)
            assert struct.unpack("<I", stream.read(4))[0] == masked(content)
            events.append(Event.FromString(content))
    return events


def scalars_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in read_events(folder):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def series_of(run: RunDirectory) -> dict[str, list[tuple[int, float]]]:
    reader = MetricsReader(run.metrics)
    reader.refresh()
    return {
        name: [
            (int(step), pytest.approx(float(value), nan_ok=True))
            for step, value in zip(one.step, one.value, strict=True)
        ]
        for name, one in reader.series.items()
    }


def test_a_run_that_is_over_is_written_whole(tmp_path: Path, cli: Cli) -> None:
    run = full_run(tmp_path / "runs")
    for panel in run.panels.rglob("*.npz"):
        write_png(load_panel(panel), panel.with_suffix(".png"))
    out = tmp_path / "events"
    answer = cli("runs", "export", run.path, "--to", "tensorboard", "--out", out, "--json")
    assert answer.code == 0, answer.err
    assert scalars_of(out) == series_of(run)
    pictures = {
        value.tag
        for event in read_events(out)
        for value in event.summary.value
        if value.WhichOneof("value") == "image"
    }
    names = {folder.name for folder in run.panels.iterdir() if any(folder.glob("*.png"))}
    assert {tag.partition("/")[2] for tag in pictures} == names
    assert cli("runs", "export", run.path, "--to", "tensorboard", "--out", out).code == 2
    assert cli("runs", "export", run.path, "--to", "tensorboard", "--out", out, "--force").code == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_training_is_followed_and_what_is_superseded_is_dropped_on_resuming(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.tensorboard.mkdir(parents=True)
    writer, mirror = MetricsWriter(run.metrics), Mirror(run, run.tensorboard)
    for step in (1, 2, 3):
        writer.write(step=step, images=10 * step, seconds=float(step), values={"main/loss": 1 / step})
        mirror.refresh()
    mirror.close()
    assert scalars_of(run.tensorboard) == series_of(run)
    writer.resumed(2)
    writer.write(step=3, images=30, seconds=4.0, values={"main/loss": 5.0})
    Mirror(run, run.tensorboard).close()
    assert scalars_of(run.tensorboard) == {"main/loss": [(1, 1.0), (2, 0.5), (3, 5.0)]}


def test_metrics_as_a_table_have_every_point(tmp_path: Path, cli: Cli) -> None:
    run = full_run(tmp_path / "runs")
    assert cli("runs", "export", run.path, "--to", "csv", "--out", tmp_path / "m.csv").code == 0
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        found.setdefault(row["metric"], []).append((int(row["step"]), float(row["value"])))
    assert found == series_of(run)
    assert cli("runs", "export", run.path, "--to", "csv", "--out", tmp_path / "m.csv").code == 2
