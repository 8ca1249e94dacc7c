"""One metric followed in little memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sslterm.run import trace as module
from sslterm.run.metrics import MetricsReader, MetricsWriter
from sslterm.run.trace import MOST_POINTS, Trace


def write(path: Path, steps: range, metric: str = "test/knn") -> None:
    writer = MetricsWriter(path)
    for step in steps:
        writer.write(step=step, images=step, seconds=float(step), values={"main/loss": -1.0})
        writer.write(step=step, images=step, seconds=float(step), values={metric: float(step)})


def test_it_reads_what_the_reader_of_all_metrics_reads(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    trace, reader = Trace(path, "test/knn"), MetricsReader(path)
    assert trace.refresh()
    assert len(trace.values) == 0
    for steps in (range(0, 100), range(100, 300)):
        write(path, steps)
        assert trace.refresh()
        reader.refresh()
        np.testing.assert_array_equal(trace.values, reader.series["test/knn"].value)


@pytest.mark.parametrize("cuts", [(), (997, 1994, 3001), (1, 2, 1024, 1025, 1026, 2048, 4999)])
def test_a_long_log_is_thinned_evenly(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    path, count = tmp_path / "metrics.jsonl", 5000
    trace = Trace(path, "test/knn")
    for first, last in zip((0, *cuts), (*cuts, count), strict=True):
        with path.open("a") as file:
            file.writelines(f'{{"step":{step},"test/knn":{step}}}\n' for step in range(first, last))
        while not trace.refresh():
            pass
    assert MOST_POINTS / 2 <= len(trace.values) <= MOST_POINTS
    np.testing.assert_array_equal(trace.values, np.arange(0, count, 8))


def test_what_is_trained_again_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, range(10))
    with path.open("a") as file:
        file.write('{"resumed":4}\n{"test/knn":9,"note":"resumed","step":"resumed"}\n')
    write(path, range(5, 7))
    trace = Trace(path, "test/knn")
    trace.refresh()
    assert trace.values.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_foreign_and_torn_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"step":1,"test/knn":0.5}\n{"test/knn":0.6}\nnot json "test/knn":\n\x00\xff\n'
        b'{"step":2,"test/knn":null}\n{"step":3,"resumed":"x","test/knn":0.7}\n{"step":4,"test/knn":0.'
    )
    trace = Trace(path, "test/knn")
    trace.refresh()
    assert json.dumps(trace.values.tolist()) == "[0.5, NaN, 0.7]"
    with path.open("a") as file:
        file.write("9}\n")
    trace.refresh()
    assert trace.values[-1] == 0.9


def test_another_log_in_its_place_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, range(50))
    trace = Trace(path, "test/knn")
    trace.refresh()
    path.unlink()
    write(path, range(3))
    trace.refresh()
    assert trace.values.tolist() == [0, 1, 2]


def test_a_long_log_is_read_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCKS_AT_ONCE", 1)
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":1,"test/knn":0.5}\n' * 30_000)  # 0.8 MB, in parts of half a megabyte
    trace = Trace(path, "test/knn")
    assert [trace.refresh(), trace.refresh(), trace.refresh()] == [False, False, True]
