"""`sweep`: which runs it is of, that it goes on, and the mean and spread over seeds."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from sslterm.cli import sweeping
from sslterm.errors import UsageError
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsWriter
from sslterm.run.sweep import parse_grid, run_name, spread_of
from tests.cli_program import Cli, cli
from tests.tui.recorded import put_status

__all__ = ["cli"]

SWEEP = ("sweep", "vae", "--preset", "digits", "--grid", "optim.main.lr=0.001,0.01", "--seeds", "2")


def test_a_grid_is_all_combinations_and_lists_are_values() -> None:
    grid = parse_grid(["a.lr=0.1, 0.3", "m.widths=[32],[64, 32]"])
    assert [setting.overrides for setting in grid] == [
        ["a.lr=0.1", "m.widths=[32]"], ["a.lr=0.1", "m.widths=[64, 32]"],
        ["a.lr=0.3", "m.widths=[32]"], ["a.lr=0.3", "m.widths=[64, 32]"],
    ]  # fmt: skip
    assert [setting.values for setting in parse_grid([])] == [()]
    assert len(parse_grid(['a="x,y",z'])) == 2
    for bad in (["a"], ["a="], ["=1"], ["a=1,,2"], ["a=1", "a=2"], ["a=1,1"]):
        with pytest.raises(UsageError, match="--grid"):
            parse_grid(bad)


def test_names_say_what_runs_are_and_tell_them_apart() -> None:
    (one,) = parse_grid(["optim.main.lr=0.1"])
    assert run_name("vae-digits", one, 2) == "vae-digits-lr0.1-s2"
    settings = parse_grid(["m.widths=[32],[3, 2],(32)", "optim.a.lr=1,2", "optim.b.lr=1,2"])
    names = {run_name("vae", setting, seed) for setting in settings for seed in range(2)}
    assert len(names) == 2 * len(settings)
    long = [parse_grid([f"m.x={'1' * 200}{end}"])[0] for end in "12"]
    assert len({run_name("vae", setting, 0) for setting in long}) == 2
    assert all(len(run_name("vae", setting, 0)) <= 100 for setting in long)


def test_spread_is_of_a_sample_and_leaves_out_what_is_missing() -> None:
    values = [0.2, 0.5, 0.1]
    spread = spread_of({0: 0.2, 1: None, 2: 0.5, 3: 0.1, 4: math.nan})
    assert spread.mean == pytest.approx(statistics.mean(values))
    assert spread.std == pytest.approx(statistics.stdev(values))
    assert (spread_of({0: 1.0}).mean, spread_of({0: 1.0}).std) == (1.0, None)
    assert spread_of({0: None}).mean is None


class Trained:
    """Stands in for trainers: each writes a result that its name decides, or dies, and is over at once."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.dying: set[str] = set()

    def start(self, run: RunDirectory, *, device: str, processes: int) -> Any:
        self.started.append(run.name)
        dies = run.name in self.dying
        if not dies:
            value = float(run.name.partition("lr")[2].partition("-")[0]) + int(run.name[-1])
            MetricsWriter(run.metrics).write(
                step=1, images=10, seconds=1.0, values={"test/neg_elbo_nats": value}
            )
        put_status(run, state="stopped" if dies else "finished", step=1, images=10)

        class Process:
            def poll(self) -> int:
                return 130 if dies else 0

        return Process()


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trained:
    trained = Trained()
    monkeypatch.setattr(sweeping.launch, "start_trainer", trained.start)
    monkeypatch.setattr(sweeping, "POLL_SECONDS", 0.0)
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path))
    return trained


def test_it_goes_on_where_it_was_killed_and_says_mean_and_spread(trained: Trained, cli: Cli) -> None:
    trained.dying = {"vae-digits-lr0.01-s0"}
    first = cli(*SWEEP, "--json")
    assert first.code == 130
    assert trained.started == [f"vae-digits-lr{lr}-s{seed}" for lr in ("0.001", "0.01") for seed in (0, 1)]
    assert first.json["settings"][1]["states"] == ["stopped", "finished"]
    assert first.json["settings"][1]["metrics"]["test/neg_elbo_nats"]["values"] == [None, 1.01]
    trained.dying, trained.started = set(), []
    second = cli(*SWEEP, "--json")
    assert (second.code, trained.started) == (0, ["vae-digits-lr0.01-s0"])
    found = second.json["settings"][0]
    assert found["values"] == {"optim.main.lr": "0.001"}
    assert found["metrics"]["test/neg_elbo_nats"]["mean"] == pytest.approx(0.501)
    assert found["metrics"]["test/neg_elbo_nats"]["std"] == pytest.approx(math.sqrt(0.5))
    table = cli(*SWEEP).out
    assert "◆ 0.5010 ± 0.71" in table
    assert "lower is better" in table


def test_each_run_has_its_setting_and_its_seed(trained: Trained, cli: Cli, tmp_path: Path) -> None:
    assert cli(*SWEEP).code == 0
    config = (tmp_path / "vae-digits-lr0.01-s1" / "config.toml").read_text()
    assert "lr = 0.01\n" in config
    assert "seed = 1\n" in config


def test_a_run_of_another_configuration_is_not_taken_for_its_own(trained: Trained, cli: Cli) -> None:
    assert cli(*SWEEP).code == 0
    trained.started = []
    answer = cli(*SWEEP, "--set", "train.images=5000")
    assert (answer.code, trained.started) == (2, [])
    assert "of another configuration" in answer.err
    assert cli(*SWEEP, "--set", "train.images=5000", "--name", "other").code == 0


def test_an_interrupt_stops_the_trainers_and_says_how_to_go_on(
    trained: Trained, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    class Working:
        def poll(self) -> None:
            return None

        def terminate(self) -> None:
            ended.append("asked")

        def wait(self) -> None:
            ended.append("over")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeping.launch, "start_trainer", lambda *_, **__: Working())
    monkeypatch.setattr(sweeping.time, "sleep", interrupt)
    answer = cli(*SWEEP, "--at-once", "2")
    assert (answer.code, answer.out, ended) == (130, "", ["asked", "asked", "over", "over"])
    assert "the same command goes on" in answer.err


def test_metrics_are_known_by_short_names_too(trained: Trained, cli: Cli) -> None:
    found = cli(*SWEEP, "--metric", "neg_elbo_nats", "-m", "test/neg_elbo_nats", "--json").json
    assert found["metrics"] == ["test/neg_elbo_nats"]
    assert found["settings"][1]["metrics"]["test/neg_elbo_nats"]["values"] == [0.01, 1.01]


def test_a_wrong_metric_is_told_after_the_first_run_and_before_it_where_there_is_one(
    trained: Trained, cli: Cli
) -> None:
    for started in (["vae-digits-lr0.001-s0"], []):
        trained.started = []
        answer = cli(*SWEEP, "--metric", "neg_elbo_nat")
        assert (answer.code, answer.out, trained.started) == (2, "", started)
        assert "the runs of this sweep have no metric 'neg_elbo_nat'" in answer.err
        assert "did you mean 'neg_elbo_nats'?" in answer.err
    assert cli(*SWEEP, "--metric", "neg_elbo_nats").code == 0  # it goes on


def test_mistakes_are_told_before_anything_is_trained(trained: Trained, cli: Cli, tmp_path: Path) -> None:
    for wrong in ("optim.main.lr=0.1,-1", "optim.main.rl=1", "run.seed=1,2", "nothing"):
        assert cli("sweep", "vae", "--preset", "digits", "--grid", wrong).code == 2
    assert trained.started == list(tmp_path.iterdir()) == []
    listed = cli(*SWEEP, "--dry-run").out.split()
    assert listed[0] == "vae-digits-lr0.001-s0"
    assert len(listed) == 4
    assert json.dumps(trained.started) == "[]"
