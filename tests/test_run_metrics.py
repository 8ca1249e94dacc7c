"""metrics.jsonl: what is written is read, whatever happens to writer and file in between."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sslterm.run import columns, files
from sslterm.run.columns import parse_lines
from sslterm.run.metrics import CLOCKS, MetricsReader, MetricsWriter

Point = tuple[int, int, float, float]
Log = dict[str, list[Point]]


def by_json(content: bytes) -> Log:
    """What a log holds, read in the plainest way: every whole line by `json`."""
    log: Log = {}
    for line in content.split(b"\n")[:-1]:
        try:
            table = json.loads(line)
        except ValueError:
            continue
        if not isinstance(table, dict):
            continue
        numbers = {
            key: math.nan if value is None or abs(value) > sys.float_info.max else float(value)
            for key, value in table.items()
            if value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        }
        if isinstance(table.get("resumed"), int) and not isinstance(table["resumed"], bool):
            log = {
                name: [point for point in points if point[0] <= table["resumed"]]
                for name, points in log.items()
            }
            continue
        step, images, seconds = (numbers.get(name, math.nan) for name in CLOCKS)
        if not all(
            abs(clock) <= 2**53 and clock == int(clock) for clock in (step, images)
        ) or not math.isfinite(seconds):
            continue
        for name, value in numbers.items():
            if name not in (*CLOCKS, "resumed"):
                log.setdefault(name, []).append((int(step), int(images), seconds, value))
    return {name: points for name, points in log.items() if points}


def by_reader(reader: MetricsReader) -> Log:
    return {
        name: list(zip(*(array.tolist() for array in (s.step, s.images, s.seconds, s.value)), strict=True))
        for name, s in reader.series.items()
    }


def assert_same(left: Log, right: Log) -> None:
    """Equal to the last bit, NaN being equal to NaN."""
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(np.array(left[name]), np.array(right[name]), err_msg=name)


# -- what is written


def test_the_format_of_a_line(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path / "m")
    writer.write(
        step=3, images=768, seconds=1.23456, values={"main/loss": 0.1, "main/kl": math.nan, "count": 2.0**40}
    )
    writer.resumed(2)
    assert (tmp_path / "m").read_text() == (
        '{"step":3,"images":768,"seconds":1.235,"main/loss":0.1,"main/kl":null,"count":1099511627776}\n{"resumed":2}\n'
    )


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_comes_back_as_it_was(value: float) -> None:
    content = []
    with mock.patch("sslterm.run.metrics.append_line", lambda path, line: content.append(line)):
        MetricsWriter(Path()).write(step=0, images=0, seconds=0.0, values={"x": value})
    assert np.float32(json.loads(content[0])["x"]) == np.float32(value)


@pytest.mark.parametrize("name", ["step", "images", "seconds", "resumed"])
def test_a_metric_cannot_have_the_name_of_a_clock(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        MetricsWriter(tmp_path / "m").write(step=0, images=0, seconds=0.0, values={name: 1.0})
    assert not (tmp_path / "m").exists()


# -- what is read

words = str.split

NUMBERS = st.one_of(
    st.floats().map(lambda value: f"{value:.9g}" if math.isfinite(value) else "null"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e6, 1e6).map(lambda value: f"{value:.6f}"),
    st.decimals(places=12, min_value=0, max_value=9999).map(str),
    st.integers().map(str),
    st.sampled_from(
        words(
            "null 0 -0 0.0 -0.0 1e-05 1e+22 1e22 1E5 1e-300 5e-324 1e400 9007199254740993 9007199254740992 "
            "0.30000000000000004 123456789.123456789 99999999 100000000 9999999999999999 0.00000000000000001"
        )
    ),
)
WRONG = st.sampled_from(
    [
        *words("- +1 01 -01 .5 1. 1e e-05 1e- 1e-0x 1ee-05 0x10 1_000 1,2 nul nulll NaN Infinity true"),
        *words('"1" [1] {"a":1} 1.2.3 1:2 -null ² 12-34 1e+5/ 1.e-05'),
        *["", " 1", "1 ", "1\r", '"}\\n{"'],
    ]
)
KEYS = st.one_of(
    st.sampled_from(
        ["main/loss", "main/lr", "loss1", "loss2", "a", "", "test/knn", "twelve chars", "resumed", "é"]
    ),
    st.text(max_size=30),
)
GARBAGE = st.one_of(
    st.sampled_from(
        b"""
        {
        }
        []
        null
        {}
        "resumed"
        {"step":1,"images":2,"sec
        {"step":1}
        {"images":1,"x":2}
        { "step": 1, "images": 2, "seconds": 3, "main/loss": 4 }
        {"main/loss":4,"seconds":3,"images":2,"step":1}
        {"step":1,"images":2,"seconds":3,"a":1,"a":2}
        {"step":1.5,"images":2,"seconds":3,"a":1}
        {"step":true,"images":2,"seconds":3,"a":1}
        {"step":1,"images":2,"seconds":null,"a":1}
        {"step":1,"resumed":2}
        {"resumed":"1"}
        {"resumed":true}
        {"resumed":1.5}
        {"resumed": 3}
        {"step":1,"images":2,"seconds":3,"a":1}\r
        """.split(b"\n")
    ),
    st.binary(max_size=40).map(lambda content: content.replace(b"\n", b"")),
)


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    """A log of lines of a few kinds, most as a trainer writes them, some wrong, with resumes between."""
    kinds = draw(st.lists(st.lists(KEYS, max_size=5, unique=True), min_size=1, max_size=4))
    numbers = draw(st.lists(NUMBERS, min_size=1, max_size=20))
    wrong = draw(st.lists(WRONG, max_size=3))
    garbage = draw(st.lists(GARBAGE, min_size=1, max_size=4))
    random_ = random.Random(draw(st.integers(0, 1000)))
    lines = []
    for step in range(draw(st.integers(0, 120))):
        choice = random_.random()
        if choice < 0.03:
            lines.append(random_.choice(garbage))
        elif choice < 0.05:
            lines.append(b'{"resumed":%d}' % random_.randint(-1, step))
        else:
            values = {"step": str(step), "images": str(step * 256), "seconds": f"{step * 1.7:.3f}"}
            values |= {key: random_.choice(numbers) for key in random_.choice(kinds)}
            if wrong and choice < 0.15:
                values[random_.choice(list(values))] = random_.choice(wrong)
            text = ",".join(f"{json.dumps(key)}:{value}" for key, value in values.items())
            lines.append(f"{{{text}}}".encode())
    return b"".join(line + b"\n" for line in lines) + draw(st.one_of(st.just(b""), GARBAGE))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=logs(), few_lines=st.sampled_from([1, columns.FEW_LINES]), data=st.data())
def test_any_log_reads_as_by_json_however_it_grows(
    content: bytes, few_lines: int, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(columns, "FEW_LINES", few_lines):
        path = Path(folder) / "m"
        reader = MetricsReader(path)
        assert not reader.refresh()
        with path.open("ab", buffering=0) as file:
            for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True):
                file.write(content[start:stop])
                before = by_reader(reader)
                if not reader.refresh():
                    assert_same(by_reader(reader), before)
                assert_same(by_reader(reader), by_json(content[:stop]))
        assert not reader.refresh()


def assert_read_as_by_json(lines: Iterable[bytes]) -> None:
    """Each of `lines`, all in one block, is read as it would be on its own."""
    content = b"".join(line + b"\n" for line in lines)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(files, "BLOCK_BYTES", 2 * len(content)):
        (Path(folder) / "m").write_bytes(content)
        reader = MetricsReader(Path(folder) / "m")
        reader.refresh()
        assert_same(by_reader(reader), by_json(content))


def test_every_short_text_is_read_as_a_number_if_json_does() -> None:
    """All texts of up to four of the characters that matter, in the middle of a line and at its end."""
    texts = [
        b"".join(text) for n in range(5) for text in product(*n * [[b"0", b"7", b"-", b".", b"e", b"+"]])
    ]
    texts += [b"1234" + text + b"5" for text in texts[:300]]
    texts += [bytes([byte]) for byte in range(256) if byte != ord("\n")]
    texts += [b"1" + text + b"1" for text in texts[-255:]]
    plain = b'{"step":1,"images":2,"seconds":3,"x":4,"y":5}'
    middle = [b'{"step":%d,"images":2,"seconds":3,"x":%b,"y":5}' % item for item in enumerate(texts)]
    end = [b'{"step":%d,"images":2,"seconds":3,"x":4,"y":%b}' % item for item in enumerate(texts)]
    assert_read_as_by_json([plain, *middle, *end])


def test_long_numbers_round_as_json_rounds() -> None:
    random.seed(0)
    digits = ["".join(random.choices("0123456789", k=random.randint(1, 19))) for _ in range(3000)]
    whole = [text.lstrip("0") or "0" for text in digits]
    point = [f"{text[: random.randint(1, 19)]}.{text}" for text in whole]
    power = [f"{text}e{random.choice('+-')}{random.randint(0, 35):02d}" for text in whole + point]
    edges = [str(2**53 + n) for n in range(-3, 4)] + [
        f"0.{'0' * n}{m}" for n in range(25) for m in (1, 123456789)
    ]
    long = [f"{random.randint(10**15, 10**16)}.{random.randint(0, 10**16):016}" for _ in range(20_000)]
    for numbers in (whole, whole + point + power + edges, long):
        lines = [f'{{"step":{i},"images":1,"seconds":1,"x":-{text},"y":1}}' for i, text in enumerate(numbers)]
        assert_read_as_by_json(line.encode() for line in lines)


def test_a_line_damaged_anywhere_is_read_as_by_json() -> None:
    """Each byte of a line replaced, left out, doubled, and the line cut there."""
    line = b'{"step":12,"images":345,"seconds":6.75,"main/loss/of_critic":-0.125,"rate":3e-05,"z":null}'
    damaged = [line]
    for at in range(len(line)):
        damaged += [line[:at] + bytes([byte]) + line[at + 1 :] for byte in b'01e.-+,:{}"x \r\xff\x80']
        damaged += [line[:at] + line[at + 1 :], line[: at + 1] + line[at:], line[:at], line[at:]]
    random.Random(0).shuffle(damaged)
    assert_read_as_by_json([line, *damaged])


@pytest.mark.parametrize("length", [1, 4, 5, 6, 12, 13, 14, 21])
def test_keys_that_differ_in_one_byte_are_told_apart(length: int) -> None:
    """Keys are compared in pieces of eight bytes; the label of a key is four bytes longer."""
    keys = [("k" * at + other + "k" * length)[:length] for at in range(length) for other in "ajlz"]
    lines = [f'{{"step":{i},"images":1,"seconds":1,"{key}":{i}}}' for i, key in enumerate(2 * keys)]
    for first in range(0, len(lines), columns.MOST_KINDS):
        some = lines[first : first + columns.MOST_KINDS]
        assert_read_as_by_json(line.encode() for line in [*some, *reversed(some), *some])


def test_lines_of_other_kinds_keep_their_places() -> None:
    """Lines that are read by `json`, for different reasons, between lines that are not."""
    values = ["0.5", "1E5", "[1]", "1e100", "2"]
    lines = [f'{{"step":{i},"images":{i},"seconds":1,"x":{values[i % 5]}}}' for i in range(200)]
    lines[::7] = [line.replace(",", ", ") for line in lines[::7]]
    assert_read_as_by_json(line.encode() for line in lines)


def test_a_line_of_deep_nesting_is_passed_over(tmp_path: Path) -> None:
    clocks = b'"step":1,"images":1,"seconds":1'
    (tmp_path / "m").write_bytes(
        b"[" * 200_000 + b"\n{" + clocks + b',"x":2}\n{"y":' + b'{"y":' * 200_000 + b"\n"
    )
    reader = MetricsReader(tmp_path / "m")
    assert reader.refresh()
    assert reader.series["x"].value.tolist() == [2]


def test_plain_lines_never_reach_json(tmp_path: Path) -> None:
    """The fast path takes all that the writer writes: json sees one line of each set of keys in a block."""
    random.seed(0)
    writer = MetricsWriter(tmp_path / "m")
    for step in range(400):
        clocks = {"step": step * 1000, "images": step * 1_000_000, "seconds": step * 7.7}
        value = random.choice([0.0, 1.0, -1.0, math.nan]) * 10.0 ** random.uniform(-12, 12)
        writer.write(**clocks, values={"main/loss": value, "main/lr": 1e-4 / (step + 1), "rate": step % 3})
        if step % 20 == 0:
            writer.write(**clocks, values={"test/knn": random.random()})
    with mock.patch.object(columns, "parse_object", wraps=columns.parse_object) as parse:
        reader = MetricsReader(tmp_path / "m")
        reader.refresh()
    assert parse.call_count == 2
    assert_same(by_reader(reader), by_json((tmp_path / "m").read_bytes()))


def test_more_kinds_than_are_looked_for_are_read_all_the_same() -> None:
    lines = [f'{{"step":{i},"k{i % (2 * columns.MOST_KINDS)}":{i}.5}}\n' for i in range(500)]
    groups = parse_lines("".join(lines).encode())
    found = {
        int(line): values
        for rows in groups
        for line, values in zip(rows.lines, zip(*rows.columns.values(), strict=True), strict=True)
    }
    assert found == {i: (float(i), i + 0.5) for i in range(500)}


def test_a_log_of_many_blocks(tmp_path: Path) -> None:
    """Lines that straddle blocks, and one that is longer than a block."""
    lines = [b'{"step":%d,"images":%d,"seconds":%d.5,"x":%d}' % (i, i, i, i) for i in range(2000)]
    lines[777] = lines[777][:-1] + b',"note":"' + b"n" * 5000 + b'"}'
    (tmp_path / "m").write_bytes(b"\n".join(lines) + b"\n")
    with mock.patch.object(files, "BLOCK_BYTES", 1000):
        reader = MetricsReader(tmp_path / "m")
        assert reader.refresh()
    assert reader.series["x"].value.tolist() == list(range(2000))
    assert len(reader.series["x"]) == 2000


def test_an_endless_line_is_passed_over(tmp_path: Path) -> None:
    with mock.patch.object(files, "BLOCK_BYTES", 64), mock.patch.object(files, "LONGEST_LINE_BYTES", 1024):
        (tmp_path / "m").write_bytes(b"x" * 10_000)
        reader = MetricsReader(tmp_path / "m")
        assert not reader.refresh()
        with (tmp_path / "m").open("ab") as file:
            file.write(b'\n{"step":1,"images":2,"seconds":3,"x":4}\n')
        assert reader.refresh()
    assert reader.series["x"].value.tolist() == [4]


def test_resuming_supersedes_later_points_of_every_metric(tmp_path: Path) -> None:
    writer, reader = MetricsWriter(tmp_path / "m"), MetricsReader(tmp_path / "m")
    for step in range(1, 9):
        writer.write(
            step=step, images=step, seconds=step, values={"a": step, **({"b": step} if step > 6 else {})}
        )
    reader.refresh()
    before = reader.series["a"]
    writer.resumed(5)
    assert reader.refresh()
    assert reader.series["a"].step.tolist() == [1, 2, 3, 4, 5]
    assert "b" not in reader.series
    writer.write(step=6, images=6, seconds=6.5, values={"a": -6})
    assert reader.refresh()
    assert reader.series["a"].value.tolist() == [1, 2, 3, 4, 5, -6]
    assert before.step.tolist() == list(range(1, 9)), "arrays that were handed out stay as they are"
    with pytest.raises(ValueError, match="read-only"):
        reader.series["a"].value[0] = 0.0


@pytest.mark.parametrize("change", ["truncated", "replaced", "removed"])
def test_another_file_in_its_place_is_read_anew(tmp_path: Path, change: str) -> None:
    path = tmp_path / "m"
    writer, reader = MetricsWriter(path), MetricsReader(path)
    for step in range(100):
        writer.write(step=step, images=step, seconds=step, values={"old": 1.0})
    reader.refresh()
    if change == "truncated":
        os.truncate(path, 0)
    elif change == "removed":
        path.unlink()
        assert not reader.refresh()
        assert len(reader.series["old"]) == 100
        (tmp_path / "takes the inode").touch()
    else:
        for step in range(200):
            MetricsWriter(tmp_path / "n").write(step=step, images=0, seconds=0, values={"new": 1.0})
        os.replace(tmp_path / "n", path)
    writer.write(step=1, images=1, seconds=1, values={"new": 2.0})
    assert reader.refresh()
    assert list(reader.series) == ["new"]
    assert reader.series["new"].value.tolist() == (200 * [1.0] if change == "replaced" else []) + [2.0]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_an_empty_log(tmp_path: Path, make: object) -> None:
    make(tmp_path / "m")  # type: ignore[operator]
    assert not MetricsReader(tmp_path / "m").refresh()


def test_growing_is_linear(tmp_path: Path) -> None:
    """Following N points one by one copies O(N) of them."""
    writer, reader = MetricsWriter(tmp_path / "m"), MetricsReader(tmp_path / "m")
    buffers = set()
    for step in range(1000):
        writer.write(step=step, images=step, seconds=step, values={"x": step})
        reader.refresh()
        buffers.add(reader.series["x"].value.__array_interface__["data"][0])
    assert len(buffers) <= 10


# -- when the writer is killed, or the disk is full

WRITE_UNTIL_KILLED = """
import sys, itertools
from pathlib import Path
from sslterm.run.metrics import MetricsWriter
writer = MetricsWriter(Path(sys.argv[1]))
print("writing", flush=True)
for step in itertools.count():
    writer.write(step=step, images=step * 2, seconds=step, values={"a": step, "b": -step})
"""


def test_a_killed_writer_loses_no_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "m"
    child = subprocess.Popen([sys.executable, "-c", WRITE_UNTIL_KILLED, str(path)], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        reader = MetricsReader(path)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and len(reader.series.get("a", ())) < 500:
            reader.refresh()
            steps = reader.series["a"].step.tolist() if reader.series else []
            assert steps == list(range(len(steps)))
        child.send_signal(signal.SIGKILL)
    reader.refresh()
    count = len(reader.series["a"])
    assert count >= 500
    assert reader.series["b"].value.tolist() == [-step for step in range(count)]


@pytest.mark.parametrize("kept", range(1, 50, 6))
def test_a_torn_last_line_is_passed_over_and_not_continued(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "m"
    writer, reader = MetricsWriter(path), MetricsReader(path)
    writer.write(step=1, images=1, seconds=1, values={"loss": 1.0})
    whole = path.stat().st_size
    writer.write(step=2, images=2, seconds=2, values={"loss": 2.0})
    os.truncate(path, whole + min(kept, whole - 2))
    reader.refresh()
    assert reader.series["loss"].step.tolist() == [1]
    writer = MetricsWriter(path)
    writer.resumed(1)
    writer.write(step=2, images=2, seconds=2.5, values={"loss": 2.5})
    reader.refresh()
    assert reader.series["loss"].value.tolist() == [1.0, 2.5]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond `size` bytes fails, after taking what fits, as on a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_reported_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "m"
    writer = MetricsWriter(path)
    writer.write(step=1, images=1, seconds=1, values={"loss": 1.0})
    with files_of_at_most(path.stat().st_size + 20), pytest.raises(OSError, match="too large") as caught:
        writer.write(step=2, images=2, seconds=2, values={"loss": 2.0})
    assert caught.value.errno == errno.EFBIG
    writer.write(step=3, images=3, seconds=3, values={"loss": 3.0})
    reader = MetricsReader(path)
    reader.refresh()
    assert reader.series["loss"].step.tolist() == [1, 3]
