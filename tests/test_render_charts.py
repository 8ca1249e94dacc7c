"""Which metrics share a chart, in which order, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from sslterm.render.chart_plot import domain_of, plot_of_chart, weights_of
from sslterm.render.charts import best_of, choose_charts, title_of, unit_of
from sslterm.render.curve import ranges_of
from sslterm.render.view import ChartView, Domain


@dataclass
class Points:
    step: NDArray[np.int64]
    images: NDArray[np.int64]
    seconds: NDArray[np.float64]
    value: NDArray[np.float64]


def points() -> Points:
    step = np.arange(5)
    return Points(step, step * 256, step / 10, np.arange(5.0))


METRICS = (
    "main/loss", "main/neg_elbo_nats", "main/kl_nats", "main/lr", "speed/images_per_second",
    "test/neg_elbo_nats", "test/knn", "test/knn_pixels",
)  # fmt: skip


def test_the_headline_is_first_with_train_and_test_over_each_other() -> None:
    charts = choose_charts(METRICS, "test/neg_elbo_nats")
    assert [chart.metrics for chart in charts] == [
        ("test/neg_elbo_nats", "main/neg_elbo_nats"),
        ("main/loss",),
        ("test/knn", "test/knn_pixels"),
        ("main/kl_nats",),
        ("speed/images_per_second",),
        ("main/lr",),
    ]


def test_every_metric_is_in_one_chart() -> None:
    for headline in ("", "test/knn", "nowhere/nothing"):
        shown = [name for chart in choose_charts(METRICS, headline) for name in chart.metrics]
        assert sorted(shown) == sorted(METRICS)
    assert choose_charts([]) == []


def test_what_a_method_is_watched_by_follows_the_headline() -> None:
    charts = choose_charts(METRICS, "test/neg_elbo_nats", ("kl_nats", "nowhere", "lr"))
    assert [chart.what for chart in charts] == [
        "neg_elbo_nats", "kl_nats", "lr", "loss", "knn", "images_per_second",
    ]  # fmt: skip


def test_a_quantity_in_a_second_unit_comes_after_all_that_says_something_else() -> None:
    metrics = ("test/neg_elbo_nats", "test/neg_elbo_bits_per_dim", "main/noise_mse", "main/loss", "main/lr")
    charts = [chart.what for chart in choose_charts(metrics, "test/neg_elbo_bits_per_dim")]
    assert charts == ["neg_elbo_bits_per_dim", "loss", "noise_mse", "neg_elbo_nats", "lr"]
    wanted = choose_charts(metrics, "test/neg_elbo_bits_per_dim", ("neg_elbo_nats",))
    assert wanted[1].what == "neg_elbo_nats"


def test_losses_of_several_groups_share_a_chart() -> None:
    charts = choose_charts(["generator/loss", "discriminator/loss"], "discriminator/loss")
    assert [chart.metrics for chart in charts] == [("discriminator/loss", "generator/loss")]
    plot = plot_of_chart(charts[0], {name: points() for name in charts[0].metrics})
    assert [line.name for line in plot.lines] == ["discriminator", "generator"]
    assert len({line.hue for line in plot.lines}) == 2


def test_what_is_judged_real_and_generated_shares_a_chart() -> None:
    names = ("discriminator/accuracy_fake", "discriminator/accuracy_real")
    (chart,) = choose_charts(names)
    assert chart.metrics == names
    assert title_of(chart.metrics[0]) == "accuracy"
    assert [line.name for line in plot_of_chart(chart, {name: points() for name in names}).lines] == [
        "generated",
        "real",
    ]


def test_train_and_test_keep_their_colours_whatever_else_there_is() -> None:
    everything = {name: points() for name in METRICS}
    for metrics in (METRICS, ("main/neg_elbo_nats",), ("test/neg_elbo_nats",)):
        for chart in choose_charts(metrics):
            for line in plot_of_chart(chart, everything).lines:
                if line.name == "train":
                    assert line.hue == 0
                if line.name == "test":
                    assert line.hue == 1


def test_a_plot_over_images() -> None:
    chart = choose_charts(["main/kl_nats"])[0]
    plot = plot_of_chart(chart, {"main/kl_nats": points()}, ChartView(axis="images", log_y=True))
    assert (plot.title, plot.unit, plot.x_label, plot.log_y) == ("KL", "nats", "images", True)
    assert plot.lines[0].x.tolist() == [0, 256, 512, 768, 1024]


@pytest.mark.parametrize(
    ("metric", "title", "unit"),
    [
        ("test/neg_elbo_nats", "-ELBO", "nats"),
        ("test/knn", "kNN accuracy (uses labels)", ""),
        ("main/off_diagonal", "off diagonal", ""),
        ("speed/images_per_second", "speed", "images/s"),
        ("test/bits_per_dim", "negative log-likelihood", "bits/dim"),
        ("loss", "loss", ""),
    ],
)
def test_titles_and_units(metric: str, title: str, unit: str) -> None:
    assert (title_of(metric), unit_of(metric)) == (title, unit)


def test_a_baseline_is_a_line_from_end_to_end() -> None:
    once = points()
    baseline = Points(once.step[:1], once.images[:1], once.seconds[:1], np.array([0.31]))
    series = {"test/knn": points(), "test/knn_pixels": baseline}
    knn, pixels = plot_of_chart(choose_charts(series)[0], series).lines
    assert (pixels.name, pixels.x.tolist(), pixels.y.tolist()) == ("raw pixels", [0, 4], [0.31, 0.31])
    assert len({knn.hue, pixels.hue}) == 2


def test_charts_may_share_their_range_of_x() -> None:
    late = points()
    late.step = late.step + 100
    series = {"main/loss": points(), "test/knn": late}
    domain = domain_of(series)
    assert domain == Domain(0.0, 104.0, positive=1.0, spacing=1.0)
    for chart in choose_charts(series):
        ranges = ranges_of(plot_of_chart(chart, series, domain=domain))
        assert ranges is not None
        assert ranges.x == (0.0, 104.0)
    assert domain_of({}) is None


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        ("test/neg_elbo_nats", "min"), ("main/loss", "min"), ("test/mse", "min"), ("test/nll_estimate_nats", "min"),
        ("test/knn", "max"), ("test/rankme", "max"), ("test/bits_per_dim", "min"),
        ("test/knn_pixels", None), ("generator/loss", None), ("main/kl_nats", None), ("main/lr", None),
        ("main/off_diagonal", None), ("speed/images_per_second", None), ("test/relative_std", None),
    ],
)  # fmt: skip
def test_the_best_value_is_known_only_where_it_is_sure(metric: str, best: str | None) -> None:
    assert best_of(metric) == best


def test_epochs_are_images_by_the_size_of_the_data_or_said_to_be_unknown() -> None:
    chart = choose_charts(["main/kl_nats"])[0]
    view = ChartView(axis="epoch")
    plot = plot_of_chart(chart, {"main/kl_nats": points()}, view, images_per_epoch=512)
    assert (plot.x_label, plot.lines[0].x.tolist()) == ("epoch", [0, 0.5, 1, 1.5, 2])
    plot = plot_of_chart(chart, {"main/kl_nats": points()}, view)
    assert (plot.x_label, plot.lines[0].x.tolist()) == ("images (epoch unknown)", [0, 256, 512, 768, 1024])


def test_a_window_cuts_a_chart_and_y_follows_what_is_seen() -> None:
    series = {"main/loss": points()}
    plot = plot_of_chart(choose_charts(series)[0], series, ChartView(window=(1.5, 3.0), smoothing=0.5))
    ranges = ranges_of(plot)
    assert ranges is not None
    assert ranges.x == (1.5, 3.0)
    assert ranges.y[1] == 3.0
    assert plot.notes == ("too few points for EMA",)
    assert plot.lines[0].best == "min"


def test_averages_of_what_is_measured_seldom_lag_no_further() -> None:
    dense, seldom = np.arange(0, 1001, 10), np.arange(0, 1001, 80)
    weights = weights_of({"main/loss": dense, "test/loss": seldom, "test/once": seldom[:1]}, 0.9)
    assert weights == {"main/loss": 0.9, "test/loss": pytest.approx(0.9**8), "test/once": 0.9}
    assert weights_of({"test/loss": seldom}, 0.9) == {"test/loss": 0.9}

    def falling(step: NDArray[np.int64]) -> Points:
        return Points(step, step, step / 10, 100.0 - step / 20)

    series = {"main/loss": falling(dense), "test/loss": falling(seldom)}
    plot = plot_of_chart(choose_charts(series)[0], series, ChartView(smoothing=0.9))
    ends = [float(line.strong[-1]) for line in plot.lines]
    assert abs(ends[0] - ends[1]) < 2.5
