"""Moving averages against the loop that TensorBoard has, whole and continued."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sslterm.render.smoothing import Smoother, smoothed

Floats = NDArray[np.float64]
values = arrays(
    np.float64, st.integers(0, 300), elements=st.floats(-1e3, 1e3) | st.just(np.nan) | st.just(np.inf)
)
weights = st.sampled_from([0.0, 0.3, 0.9, 0.99, 0.9999])


def by_loop(y: Floats, weight: float) -> Floats:
    last, count, out = 0.0, 0, []
    for value in y.tolist():
        if math.isfinite(value):
            last, count = last * weight + (1 - weight) * value, count + 1
            out.append(last / (1 - weight**count))
        else:
            out.append(math.nan)
    return np.array(out)


@settings(deadline=None)
@given(values, weights)
def test_it_is_the_debiased_average(y: Floats, weight: float) -> None:
    np.testing.assert_allclose(smoothed(y, weight), by_loop(y, weight), rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(values, weights, st.integers(1, 100))
def test_a_series_that_grows_is_continued(y: Floats, weight: float, each: int) -> None:
    smoother = Smoother()
    for stop in (*range(0, len(y), each), len(y)):
        found = smoother.smooth("loss", y[:stop], weight)
    np.testing.assert_allclose(found, by_loop(y, weight), rtol=1e-9, atol=1e-9)


def test_a_long_series_is_averaged_over_all_its_blocks() -> None:
    y = np.random.default_rng(0).normal(size=40_000)
    np.testing.assert_allclose(smoothed(y, 0.999), by_loop(y, 0.999), rtol=1e-9, atol=1e-9)


def test_another_series_of_the_same_name_begins_anew() -> None:
    smoother = Smoother()
    smoother.smooth("loss", np.arange(10.0), 0.9)
    other = np.ones(12)
    np.testing.assert_allclose(smoother.smooth("loss", other, 0.9), 1.0)
    np.testing.assert_allclose(smoother.smooth("loss", np.arange(3.0), 0.5), by_loop(np.arange(3.0), 0.5))


def test_what_was_handed_out_stays_as_it_is() -> None:
    smoother, y = Smoother(), np.arange(100.0)
    first = smoother.smooth("loss", y[:40], 0.9)
    before = first.copy()
    smoother.smooth("loss", y, 0.9)
    assert (first == before).all()
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


@pytest.mark.parametrize("weight", [-0.1, 1.0, math.nan])
def test_a_weight_is_a_share_of_the_past(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        smoothed(np.ones(3), weight)
