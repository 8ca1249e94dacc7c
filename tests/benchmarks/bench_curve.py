"""How long curves take to draw, and what a tick sends: `python tests/benchmarks/bench_curve.py`.

Five series at 120x40, of a million and of 20,000 points each, as they are and smoothed, on each axis and zoomed
in; in CPU time, which other programs disturb least. Targets: a million points in under 50 ms; at most 5 KB a tick on
average while five series grow by a point each, and nothing where nothing is new. The exit code is 1 where one is
missed.

A tick is counted as the terminal gets it: for each run of changed cells the cursor's position, colours and text.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells
from sslterm.render.chart_plot import domain_of, plot_of_chart
from sslterm.render.charts import Chart
from sslterm.render.curve import draw_plot
from sslterm.render.smoothing import Smoother, smoothed
from sslterm.render.view import ChartView
from sslterm.tui.widgets.chart import steady

TARGET_MS, TARGET_BYTES = 50.0, 5000
WIDTH, HEIGHT = 120, 40
NAMES = ("main/loss", "test/loss", "critic/loss", "decoder/loss", "prior/loss")


@dataclass(frozen=True)
class Points:
    step: NDArray[np.int64]
    images: NDArray[np.int64]
    seconds: NDArray[np.float64]
    value: NDArray[np.float64]

    def first(self, count: int) -> Points:
        return Points(self.step[:count], self.images[:count], self.seconds[:count], self.value[:count])


def five(count: int, noise: float = 0.02) -> dict[str, Points]:
    """Falling losses with noise."""
    random, step = np.random.default_rng(0), np.arange(count)
    fall = np.exp(-4 * step / count)
    return {
        name: Points(
            step, step * 256, step / 50, (fall + 0.2 * place + 0.1) * random.lognormal(0, noise, count)
        )
        for place, name in enumerate(NAMES)
    }


def milliseconds(act: Callable[[], object], rounds: int = 9) -> tuple[float, float]:
    """(median, worst) of several rounds, after one that warms up."""
    act()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        act()
        taken.append(1000 * (time.process_time() - start))
    return float(np.median(taken)), max(taken)


def draw(series: dict[str, Points], view: ChartView, smoother: Smoother) -> Cells:
    domain = domain_of(series, view.axis, 50_000)
    assert domain is not None
    plot = plot_of_chart(
        Chart("loss", NAMES), series, view, domain=steady(domain), images_per_epoch=50_000, smoother=smoother
    )
    return draw_plot(replace(plot, steady=True), WIDTH, HEIGHT, color=True)


def sent(now: Cells, before: Cells | None) -> int:
    """Bytes that a terminal gets for what has changed."""
    total = 0
    for row, start, end in now.changes(before):
        part = Cells(*(array[row : row + 1, start:end] for array in (now.glyphs, now.fg, now.bg)))
        total += len(f"\x1b[{row + 1};{start + 1}H{part.ansi()}".encode())
    return total


def ticks(view: ChartView, noise: float, start: int = 1000, count: int = 500) -> list[int]:
    """Bytes of each of `count` ticks of a screen whose series have `start` points and grow by one each."""
    series, smoother = five(start + count, noise), Smoother()
    shown = draw({name: one.first(start) for name, one in series.items()}, view, smoother)
    found = []
    for now in range(start + 1, start + count + 1):
        cells = draw({name: one.first(now) for name, one in series.items()}, view, smoother)
        found.append(sent(cells, shown))
        shown = cells
    return found


def time_all() -> bool:
    good = True
    views = {
        "as it is": ChartView(),
        "smoothed 0.99": ChartView(smoothing=0.99),
        "smoothed, log x, log y": ChartView(smoothing=0.99, log_x=True, log_y=True),
        "over epochs, cursor": ChartView(axis="epoch", cursor=50.0),
        "a tenth of it, smoothed": ChartView(smoothing=0.99, window=(0.45, 0.55)),
    }
    print(f"5 series at {WIDTH}x{HEIGHT}, ms       20,000 points    1,000,000 points (median, worst)")
    for name, view in views.items():
        row = f"{name:30}"
        for count in (20_000, 1_000_000):
            series, smoother = five(count), Smoother()
            here = view
            if view.window is not None:
                here = replace(view, window=(view.window[0] * count, view.window[1] * count))
            median, worst = milliseconds(lambda s=series, v=here, k=smoother: draw(s, v, k))
            row += f"{median:10.1f}{worst:7.1f}"
            good &= median < TARGET_MS
        print(row)
    y = five(1_000_000)["main/loss"].value
    median, worst = milliseconds(lambda: smoothed(y, 0.99), 5)
    print(f"{'smoothing anew, one series':30}{'':17}{median:10.1f}{worst:7.1f}")
    return good


def count_all() -> bool:
    good = True
    print("\nbytes a tick                        mean   median   worst   full redraw")
    for name, view, noise in (
        ("little noise", ChartView(), 0.005),
        ("noise", ChartView(), 0.05),
        ("noise, smoothed", ChartView(smoothing=0.9), 0.05),
        ("noise, cursor", ChartView(cursor=300.0), 0.05),
    ):
        found = ticks(view, noise)
        full = sent(draw(five(1000, noise), view, Smoother()), None)
        print(f"{name:30}{np.mean(found):10,.0f}{np.median(found):9,.0f}{max(found):8,}{full:14,}")
        good &= bool(np.mean(found) <= TARGET_BYTES)
    same = draw(five(1000), ChartView(), Smoother())
    again = sent(draw(five(1000), ChartView(), Smoother()), same)
    print(f"{'nothing new':30}{again:10,}")
    return good and again == 0


if __name__ == "__main__":
    fast, small = time_all(), count_all()
    sys.exit(0 if fast and small else 1)
