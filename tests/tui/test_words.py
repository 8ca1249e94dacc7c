"""What a run's files are turned into: words, shares of the screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslterm.catalog import CATALOG
from sslterm.run.status import Status
from sslterm.tui.facts import age, clock_parts, entry_of, event_line, fitting, result_lines, share_done
from sslterm.tui.mosaic import grid_shape
from sslterm.tui.screens.watch_layout import share_rows
from sslterm.tui.widgets.header import progress_bar


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"kind": "started", "device": "cuda:0", "precision": "bfloat16"}, "started on cuda:0 · bfloat16"),
        ({"kind": "started"}, "started"),
        ({"kind": "checkpoint", "step": 2500, "images": 640_000}, "checkpoint saved at step 2,500"),
        ({"kind": "resumed", "from_step": 1200}, "resumed at step 1,200"),
        ({"kind": "paused", "step": 7}, "paused at step 7"),
        ({"kind": "rate", "step": 7, "group": "main", "lr": 3e-4}, "learning rate of main set to 0.0003 at step 7"),
        ({"kind": "warning", "step": 9, "text": "collapse"}, "warning at step 9: collapse"),
        ({"kind": "evaluation", "step": 5, "test/knn": 0.842, "test/mse": None},
         "evaluated at step 5: kNN accuracy 0.8420"),
        ({"kind": "ack", "id": "1", "do": "pause", "outcome": "refused: late"}, "pause: refused: late"),
    ],
)  # fmt: skip
def test_events_in_words(event: dict[str, object], line: str) -> None:
    told = event_line(event)
    assert told is not None
    assert told[0] == line


@pytest.mark.parametrize(
    "event", [{"kind": "ack", "do": "pause", "outcome": "done"}, {"kind": "of tomorrow"}, {}]
)
def test_events_that_say_nothing_to_a_person(event: dict[str, object]) -> None:
    assert event_line(event) is None


def test_the_time_left_outlives_all_other_parts() -> None:
    status = Status(step=3120, images=798_720, total_images=1_280_000, images_per_second=6500.0)
    parts = clock_parts(status, "running")
    everything = ["step 3,120", "799 k of 1.3 M images", "6.5 k img/s", "1 m 14 s left"]
    assert fitting(parts, 100) == everything
    assert fitting(parts, 58) == ["step 3,120", "799 k of 1.3 M images", "1 m 14 s left"]
    assert fitting(parts, 20) == ["1 m 14 s left"]
    assert fitting(parts, 5) == []


def test_what_is_done_between_steps_stands_in_place_of_the_time_left() -> None:
    status = Status(
        step=9,
        images=90,
        total_images=100,
        images_per_second=10.0,
        between_steps="measuring",
        state="running",
    )
    assert fitting(clock_parts(status, "running"), 100)[-1] == "measuring"
    assert "measuring" not in fitting(clock_parts(status, "died"), 100)


def test_share_done_is_a_share() -> None:
    assert share_done(None) == 0.0
    assert share_done(Status(images=5, total_images=0)) == 0.0
    assert share_done(Status(images=50, total_images=20)) == 1.0


@pytest.mark.parametrize(
    ("share", "text"), [(0, "─────────────   0 %"), (0.5, "━━━━━━╸──────  50 %"), (1, "━━━━━━━━━━━━━ 100 %")]
)
def test_the_progress_bar_exactly(share: float, text: str) -> None:
    assert progress_bar(share, 19, color=False).plain() == text


def test_next_commands_follow_from_the_capabilities() -> None:
    for entry in CATALOG.values():
        status = Status(state="finished", elapsed_seconds=60, last={entry.headline: 1.0})
        (done, _), *more = result_lines("run-1", entry, status, "finished", [])
        assert done.startswith("done in 1 m: ")
        text = "".join(line for line, _ in more)
        assert text.startswith("next: sslterm ")
        for capability, verb in (("sample", "sample"), ("encode", "probe"), ("decode", "traverse")):
            able = {capability, f"{capability}_class"} & {*entry.capabilities}
            assert (verb in text) == bool(able)
    assert result_lines("run-1", None, Status(state="running"), "running", []) == []


@pytest.mark.parametrize(
    "config", [{}, {"run": None}, {"run": {"method": 3}}, {"run": {"method": "no such"}}]
)
def test_a_foreign_configuration_names_no_method(config: dict[str, object]) -> None:
    assert entry_of(config) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "now"), (300, "5 m ago"), (7300, "2 h ago"), (400_000, "4 d ago")]
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


@given(st.integers(1, 150), st.integers(0, 4), st.booleans())
def test_rows_never_exceed_the_screen(height: int, result: int, enlarged: bool) -> None:
    shares = share_rows(height, result=result, enlarged=enlarged)
    assert shares.header + shares.log + shares.keys <= height
    if height >= 10:
        assert height - shares.header - shares.log - shares.keys >= height // 2
    assert not (enlarged and shares.log)


@given(st.integers(1, 30), st.integers(1, 300), st.integers(1, 100))
def test_a_page_of_charts_shows_no_more_than_there_are(count: int, width: int, height: int) -> None:
    across, down = grid_shape(count, width, height)
    assert across >= 1
    assert down >= 1
    assert (across - 1) * down < count
    assert across == 1 or width >= across * 30
    assert down == 1 or height >= down * 8


def test_an_evaluation_names_the_headline_first() -> None:
    event = {"kind": "evaluation", "step": 5, "test/knn": 0.8, "test/neg_elbo_nats": 148.9}
    told = event_line(event, "test/neg_elbo_nats")
    assert told is not None
    assert told[0].startswith("evaluated at step 5: -ELBO 148.9 nats")
