"""Runs beside each other: directions of metrics, best values, differences, which drawings belong together."""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from sslterm.catalog import CATALOG
from sslterm.run.comparison import (
    Result,
    best_of,
    better,
    differences,
    drawn_by,
    find_result,
    flat,
    main_headline,
    moments,
    order,
    seeds_of,
    shared_panels,
    side_of,
)
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsWriter, Series
from sslterm.run.panels import save_panel
from sslterm.run.reader import RunReader
from tests.tui.recorded import correlation, digits, full_run, new_run, put_metrics, put_status

PACKAGE = Path(__file__).parents[1] / "sslterm"


def reader_of(run: RunDirectory) -> RunReader:
    reader = RunReader(run)
    reader.refresh()
    return reader


def series_of(*values: float) -> Series:
    clock = np.arange(len(values), dtype=np.int64)
    return Series(clock, clock * 100, clock.astype(float), np.array(values))


# which values are better

DIRECTIONS = {
    # what training logs: losses and the terms they are made of
    "main/loss": "lower", "main/mse": "lower", "main/neg_elbo_nats": "lower",
    "main/bits_per_dim": "lower",
    "main/reconstruction_nats": "", "main/on_diagonal": "", "main/off_diagonal": "",
    "main/kl_nats": "", "main/invariance": "", "main/variance": "", "main/covariance": "", "main/cosine": "",
    "main/recognised": "", "main/keys": "", "main/z": "", "main/neighbour_cosine": "", "main/f": "",
    "main/discrimination": "", "main/proximal": "", "main/transformed": "", "main/untransformed": "",
    "main/accuracy": "higher", "main/code_entropy": "", "main/projections": "", "main/outputs": "",
    "main/teacher_entropy": "", "main/kl": "", "main/patch_error": "", "main/statistics_error": "",
    "main/lp": "", "main/gdl": "", "main/commitment": "", "main/perplexity": "", "prior/bits_per_code": "",
    "main/z_e": "", "main/codes": "", "prior/loss": "lower",
    # opponents: what one gains the other loses
    "discriminator/loss": "", "generator/loss": "", "critic/loss": "", "discriminator/real": "",
    "discriminator/fake": "", "discriminator/accuracy_real": "", "discriminator/accuracy_fake": "",
    "discriminator/margin": "", "critic/gap": "", "critic/penalty": "", "critic/gradient_norm": "",
    "test/sample_spread": "",
    "critic/drift": "", "critic/side": "", "critic/fade": "", "generator/orthogonal": "",
    # how it trains
    "main/lr": "", "main/grad_norm": "", "speed/images_per_second": "higher",
    "main/reconstruction": "", "main/adversarial": "",
    # what is measured on held-out images while it trains
    "test/mse_masked": "lower", "test/mse_masked_border": "", "test/accuracy": "higher", "test/accuracy_grey": "",
    "test/knn": "higher", "test/knn_pixels": "", "test/rankme": "higher", "test/relative_std": "",
    "test/used_clusters": "", "test/alignment": "", "test/uniformity": "", "test/embedding_std": "",
    "test/embedding_scale": "", "test/embedding_rank_share": "", "probe/knn[cifar10]": "higher",
    "test/mse_restored": "lower", "test/mse_distorted": "", "test/tiles_in_place": "higher",
    "test/mse_visible_mean": "", "test/mse": "lower", "test/nll_nats": "lower", "test/neg_elbo_nats": "lower",
    "test/nll_estimate_nats": "lower",
    "test/colour": "higher", "test/colour_same_place": "", "test/mse_copy_last": "",
    "test/nll_bits_per_dim": "lower", "main/nll_nats": "lower",
    "main/nll_bits_per_dim": "lower", "test/iw_nll_nats": "lower", "main/effective_draws": "",
    "main/free_energy_data": "", "main/free_energy_chains": "", "main/energy_data": "", "main/energy_chains": "",
    "test/log_z_error_nats": "",
    "test/ais_effective_chains": "higher",
    "main/noise_mse": "", "main/bound_bits_per_dim": "", "main/first_step_nats": "", "main/last_step_nats": "",
    "test/neg_elbo_bits_per_dim": "lower", "test/nll_estimate_bits_per_dim": "lower",
    # what `evaluate` and `probe` measure
    "neg_elbo_bits_per_dim": "lower", "nll_bits_per_dim": "lower", "iw_nll_nats@5000": "lower",
    "FD[resnet18-cifar10]@10000": "lower", "precision[resnet18]@1000": "higher",
    "coverage[digits]@1000": "higher", "smallest_class[digits]@1000": "higher",
    "class_kl[digits]@1000": "lower", "KD[digits]@1000": "lower", "recall[digits]@1000": "higher",
    "density[digits]@1000": "", "C2ST[digits]@1000": "lower", "CS[digits]@1000": "higher", "TSTR@1000": "higher",
    "label_agreement[digits]@1000": "higher", "memorised[pixels]@1000": "",
    "evaluate/FD[digits-16px-judge32-v1-1a2b3c, n 1000]": "lower", "evaluate/nll_nats[n 297]": "lower",
    "linear": "higher", "lowshot": "higher", "finetune": "higher",
    "probe/finetune@1%[cifar10; conv1=frozen]": "higher", "accuracy": "higher",
    "J": "higher", "F": "higher", "J&F": "higher", "J_identity": "", "F_pixels": "",
    # names that are not known
    "test/unheard_of": "", "": "",
}  # fmt: skip


@pytest.mark.parametrize(("metric", "direction"), DIRECTIONS.items())
def test_which_values_are_better(metric: str, direction: str) -> None:
    assert better(metric) == direction


def test_every_metric_that_a_method_logs_is_in_the_table_above() -> None:
    """What stands in the dictionaries that losses return, and what the evaluations are named."""
    known = {name.rpartition("/")[2] for name in DIRECTIONS}
    logged = set()
    for path in (PACKAGE / "methods").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and "loss" in node.name:
                tables = [part for part in ast.walk(node) if isinstance(part, ast.Dict)]
                logged |= {
                    key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)
                }
    assert {"kl_nats", "on_diagonal", "real"} <= logged
    assert logged - known == set()
    online = re.findall(r'"test/(\w+)"', (PACKAGE / "evaluate" / "online.py").read_text())
    assert set(online) - known == set()
    assert {entry.headline for entry in CATALOG.values()} <= set(DIRECTIONS)


def test_last_and_best_of_a_series() -> None:
    series = series_of(3.0, 1.0, math.nan, 1.0, 2.0)
    assert find_result(series, "lower") == Result(2.0, 1.0, 100)
    assert find_result(series, "higher") == Result(2.0, 3.0, 0)
    assert find_result(series, "") == Result(2.0)
    lost = find_result(series_of(math.nan, math.inf), "lower")
    assert (lost.last, lost.best, lost.best_images) == (math.inf, None, None)


def test_order_is_the_best_first_and_what_is_missing_last() -> None:
    values = [2.0, None, 3.0, math.nan, 1.0]
    assert order(values, "lower") == [4, 0, 2, 1, 3]
    assert order(values, "higher") == [2, 0, 4, 1, 3]
    assert order(values, "") == [0, 1, 2, 3, 4]
    assert best_of(values, "lower") == {4}
    assert best_of([1.0, 1.0, 2.0], "lower") == {0, 1}
    assert best_of([1.0, None], "lower") == frozenset()  # there is nothing to be better than
    assert best_of([1.0, 2.0], "") == frozenset()


def test_only_what_differs() -> None:
    one = flat({"run": {"seed": 0}, "optim": {"main": {"lr": 0.1, "betas": [0.9, 0.99]}}})
    two = flat({"run": {"seed": 0}, "optim": {"main": {"lr": 0.2, "betas": [0.9, 0.99]}}, "empty": {}})
    assert one == {"run.seed": 0, "optim.main.lr": 0.1, "optim.main.betas": [0.9, 0.99]}
    assert differences([one, two]) == {"optim.main.lr": [0.1, 0.2]}
    assert differences([one, {}])["run.seed"] == [0, None]
    assert differences([one]) == differences([]) == {}


# a run's side


def test_a_side_says_what_a_run_has_reached(tmp_path: Path) -> None:
    run = full_run(tmp_path, elapsed_seconds=123.0)
    MetricsWriter(run.metrics).write(step=3200, images=3200 * 256, seconds=125.0, values={"test/knn": 0.2})
    side = side_of(reader_of(run), 3, ["test/knn", "test/nothing", "main/lr"])
    assert (side.place, side.name, side.method, side.preset) == (3, "vae-digits-1", "vae", "digits")
    assert (side.state, side.step, side.images, side.seconds) == ("running", 3120, 3120 * 256, 123.0)
    assert side.last("test/knn") == 0.2
    best = side.results["test/knn"].best
    assert best is not None
    assert 0.84 < best < 0.85
    assert side.results["main/lr"].best is None
    assert side.last("test/nothing") is None
    assert side.config["run.method"] == "vae"


def test_a_side_of_a_run_that_is_new_damaged_or_gone(tmp_path: Path) -> None:
    empty = side_of(reader_of(new_run(tmp_path)), 0, ["test/knn"])
    assert (empty.images, empty.results, empty.last("test/knn")) == (0, {}, None)
    told = new_run(tmp_path, "told")
    put_status(told, last={"test/knn": 0.5})
    told.metrics.write_bytes(b'{"step": 1, "ima')
    assert side_of(reader_of(told), 0, ["test/knn"]).last("test/knn") == 0.5  # as the status says it
    other = new_run(tmp_path, "other")
    other.config.write_text("run = 3")
    assert side_of(reader_of(other), 0, []).method == ""
    gone = side_of(reader_of(RunDirectory(tmp_path / "gone")), 0, ["test/knn"])
    assert (gone.name, gone.state, gone.config) == ("gone", "died", {})
    json.dumps([empty.results, gone.config])


def test_the_headline_that_most_runs_have(tmp_path: Path) -> None:
    vae, other = new_run(tmp_path), new_run(tmp_path, "b", "barlow-twins")
    put_metrics(vae, 400)
    MetricsWriter(other.metrics).write(step=0, images=0, seconds=0.0, values={"test/knn": 0.2})
    readers = [reader_of(vae), reader_of(other)]
    assert main_headline(["test/neg_elbo_nats", "test/knn"], readers) == "test/knn"
    assert main_headline(["test/neg_elbo_nats", "test/knn"], readers[:1]) == "test/neg_elbo_nats"
    assert main_headline([], readers) == ""


# panels


def test_drawings_at_the_same_place_in_the_training(tmp_path: Path) -> None:
    one, two = new_run(tmp_path, "one"), new_run(tmp_path, "two")
    for run, places in ((one, (0, 100, 200)), (two, (50, 150, 900))):
        for images in places:
            save_panel(digits(4), run.panel("samples", images))
    save_panel(correlation(0.5), two.panel("cross-correlation", 0))
    first, second = reader_of(one), reader_of(two)
    assert moments([first, second], "samples") == [0, 50, 100, 150, 200, 900]
    assert [drawn_by(first, "samples", at) for at in (0, 99, 100, 150, 1000, None)] == [
        0,
        0,
        100,
        100,
        200,
        200,
    ]
    assert [drawn_by(second, "samples", at) for at in (0, 49, 50, None)] == [None, None, 50, 900]
    assert drawn_by(first, "cross-correlation", None) is None
    assert shared_panels([first, second]) == ["samples", "cross-correlation"]
    assert shared_panels([second], ["samples"]) == ["samples", "cross-correlation"]
    assert shared_panels([second]) == ["cross-correlation", "samples"]
    assert seeds_of([digits(4), correlation(1.0)]) == [0]
