"""Requests and events: asked in order, answered once, harmless where they are malformed."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sslterm.errors import DataError, UsageError
from sslterm.run.control import (
    ACTIONS,
    Request,
    acknowledge,
    new_id,
    pending,
    refuse_older,
    request,
    wait_for_ack,
)
from sslterm.run.events import EventsReader, append_event
from sslterm.run.layout import RunDirectory, create_run


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create_run(tmp_path, "vae", "digits")


# -- control/


def test_requests_come_in_the_order_of_asking(run: RunDirectory) -> None:
    assert pending(run) == []
    asked = [ACTIONS[i % len(ACTIONS)] for i in range(50)]
    ids = [request(run, do, number=i) for i, do in enumerate(asked)]
    found = pending(run)
    assert [one.id for one in found] == ids == sorted(set(ids))
    assert [one.do for one in found] == asked
    assert [one.arguments for one in found] == [{"number": i} for i in range(50)]
    assert all(abs(one.asked - time.time()) < 30 for one in found)


def test_identifiers_are_ulids_that_sort_by_time() -> None:
    moments = [0, 1, 999_999, 1_000_000, 10**18, 10**18 + 1, 2**48 * 1_000_000 - 1]
    ids = [new_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert all(len(id_) == 26 and set(id_) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for id_ in ids)
    # The ULID specification's own example of a time: 1469918176385 ms is 01ARYZ6S41.
    assert new_id(1469918176385 * 1_000_000)[:10] == "01ARYZ6S41"
    assert new_id(5) != new_id(5)


def test_a_request_is_answered_once(run: RunDirectory) -> None:
    id_ = request(run, "set", key="optim.main.lr", value=1e-3)
    (asked,) = pending(run)
    assert (asked.id, asked.do, asked.arguments) == (id_, "set", {"key": "optim.main.lr", "value": 1e-3})
    assert wait_for_ack(run, id_, timeout=0.0) is None
    acknowledge(run, asked, "done")
    assert pending(run) == []
    assert wait_for_ack(run, id_, timeout=0.0) == "done"
    assert wait_for_ack(run, "another", timeout=0.0) is None
    acknowledge(run, asked, "again")  # its file is gone: no error


def test_an_answer_is_waited_for(run: RunDirectory) -> None:
    id_ = request(run, "pause")

    def answer() -> None:
        time.sleep(0.2)
        acknowledge(run, pending(run)[0], "done")

    trainer = threading.Thread(target=answer)
    trainer.start()
    assert wait_for_ack(run, id_, timeout=20.0) == "done"
    trainer.join()


def test_what_no_trainer_knows_is_refused_before_it_is_asked(run: RunDirectory) -> None:
    with pytest.raises(UsageError, match="'puase'") as caught:
        request(run, "puase")
    assert "'pause'" in caught.value.hint
    assert not run.control.exists()


def test_asking_a_run_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        request(RunDirectory(tmp_path / "gone"), "stop")


def test_numbers_that_json_cannot_hold_are_null(run: RunDirectory) -> None:
    request(run, "set", value=math.nan, nested=[{"x": math.inf}])
    assert pending(run)[0].arguments == {"value": None, "nested": [{"x": None}]}


MALFORMED = {
    "empty": b"",
    "torn": b'{"do": "sto',
    "list": b'["stop"]',
    "no-action": b'{"arguments": {}}',
    "action-of-no-type": b'{"do": 3}',
    "arguments-of-no-type": b'{"do": "stop", "arguments": "now"}',
    "binary": bytes(range(256)),
    "deep": b"[" * 50_000,
    "long": b'{"do": "stop", "note": "' + b"x" * 100_000 + b'"}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_moved_aside(run: RunDirectory, name: str) -> None:
    first = request(run, "pause")
    (run.control / f"{name}.json").write_bytes(MALFORMED[name])
    assert [one.id for one in pending(run)] == [first]
    assert (run.control / "rejected" / f"{name}.json").read_bytes() == MALFORMED[name]
    assert sorted(os.listdir(run.control)) == [f"{first}.json", "rejected"]


def test_what_is_no_file_does_not_hold_up_the_trainer(run: RunDirectory) -> None:
    run.control.mkdir()
    (run.control / "folder.json").mkdir()
    (run.control / "loop.json").symlink_to(run.control / "loop.json")
    os.mkfifo(run.control / "pipe.json")
    (run.control / "notes.txt").write_text("not for the trainer")
    (run.control / ".tmp-being-written.json").write_text("{")
    assert pending(run) == []
    assert sorted(os.listdir(run.control / "rejected")) == ["folder.json", "loop.json", "pipe.json"]
    assert sorted(os.listdir(run.control)) == [".tmp-being-written.json", "notes.txt", "rejected"]


def test_a_request_of_a_later_version_reaches_the_trainer_which_can_refuse_it(run: RunDirectory) -> None:
    run.control.mkdir()
    later = {"id": "x", "do": "distill", "arguments": {"into": "y"}, "asked": 9e99, "priority": 3}
    (run.control / "7ZZZZZZZZZZZZZZZZZZZZZZZZZ.json").write_text(json.dumps(later))
    (run.control / "by-hand.json").write_text('{"do": "stop"}')
    found = pending(run)
    assert found == [
        Request(id="7ZZZZZZZZZZZZZZZZZZZZZZZZZ", do="distill", arguments={"into": "y"}, asked=9e99),
        Request(id="by-hand", do="stop"),
    ]
    acknowledge(run, found[0], "refused: 'distill' is unknown")
    assert wait_for_ack(run, found[0].id, timeout=0.0) == "refused: 'distill' is unknown"


def test_a_request_to_an_earlier_trainer_is_refused(run: RunDirectory) -> None:
    old = request(run, "stop")
    started = time.time()
    new = request(run, "pause")
    assert [one.id for one in refuse_older(run, started)] == [old]
    assert [one.id for one in pending(run)] == [new]
    outcome = wait_for_ack(run, old, timeout=0.0)
    assert outcome is not None
    assert outcome.startswith("refused")


def test_a_control_folder_that_cannot_be_read_holds_no_requests(run: RunDirectory) -> None:
    run.control.write_text("a file in its place")
    assert pending(run) == []
    with pytest.raises(DataError, match="control"):
        request(run, "stop")


# -- events.jsonl


def test_events_are_followed(run: RunDirectory) -> None:
    reader = EventsReader(run.events)
    assert reader.refresh() == []
    append_event(run.events, "started", device="cpu")
    (started,) = reader.refresh()
    assert (started["kind"], started["device"]) == ("started", "cpu")
    assert abs(started["time"] - time.time()) < 30
    append_event(run.events, "evaluation", step=3, **{"test/knn": math.nan})
    append_event(run.events, "failed", trace="line\nline", where=Path("x"))
    assert [event["kind"] for event in reader.refresh()] == ["evaluation", "failed"]
    assert reader.refresh() == []
    assert [event["kind"] for event in reader.events] == ["started", "evaluation", "failed"]
    assert reader.events[1]["test/knn"] is None
    assert reader.events[2]["trace"] == "line\nline"
    for line in run.events.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_torn_foreign_and_later_events_are_passed_over(run: RunDirectory) -> None:
    append_event(run.events, "started")
    with run.events.open("ab") as file:
        file.write(
            b'\n[]\n7\n{"kind": 3}\n{"no": "kind"}\n\xff\xfe\n'
            + b"[" * 50_000
            + b'\n{"kind":"teleported","x":1}\n'
        )
        file.write(b'{"kind":"check')
    reader = EventsReader(run.events)
    assert [event["kind"] for event in reader.refresh()] == ["started", "teleported"]
    append_event(run.events, "resumed", from_step=3)
    assert [event["kind"] for event in reader.refresh()] == ["resumed"]


def test_a_new_file_of_events_is_read_from_its_beginning(run: RunDirectory) -> None:
    append_event(run.events, "started", note="x" * 100)
    reader = EventsReader(run.events)
    reader.refresh()
    run.events.unlink()
    (run.path / "takes the inode").touch()
    append_event(run.events, "resumed")
    assert [event["kind"] for event in reader.refresh()] == ["resumed"]
    assert [event["kind"] for event in reader.events] == ["resumed"]


def test_processes_that_append_at_once_keep_lines_whole(run: RunDirectory) -> None:
    script = (
        "import sys; from pathlib import Path; from sslterm.run.events import append_event\n"
        "for i in range(300): append_event(Path(sys.argv[1]), 'warning', text='x' * 3000, number=i)"
    )
    children = [subprocess.Popen([sys.executable, "-c", script, str(run.events)]) for _ in range(2)]
    for child in children:
        assert child.wait() == 0
    events = EventsReader(run.events).refresh()
    assert sorted(event["number"] for event in events) == sorted(2 * list(range(300)))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_an_error_of_the_system(run: RunDirectory) -> None:
    run.events.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space") as caught:
        append_event(run.events, "started")
    assert caught.value.errno == errno.ENOSPC
