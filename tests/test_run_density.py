"""Likelihoods of different densities share neither a column nor an order."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from sslterm.config.presets import preset_names
from sslterm.config.read import dump
from sslterm.config.resolve import resolve
from sslterm.data.source import load_source
from sslterm.engine.build import build_method, inputs_of
from sslterm.methods.base import Likelihood
from sslterm.render.comparison import table_of
from sslterm.run.comparison import Result, Side, flat
from sslterm.run.density import best_first, densities_of, density_of, is_likelihood

NLL = "test/nll_nats"


def side(place: int, name: str, value: float, metric: str = NLL, **config: Any) -> Side:
    return Side(
        place=place, name=name, path="", method="made", preset="", state="finished", step=1, images=1, seconds=1.0,
        config={f"method.{key}": word for key, word in config.items()}, results={metric: Result(value, value, 1)},
    )  # fmt: skip


DRAWN, CUT, GREY = (
    side(0, "drawn", 90.0, binarization="dynamic"),
    side(1, "cut", 60.0, binarization="threshold"),
    side(2, "grey", 520.0),
)
BETTER = side(3, "better", 85.0, binarization="dynamic")


@pytest.mark.parametrize("method", ["made", "vae", "pixelcnn", "rbm", "glow", "ddpm"])
def test_a_configuration_says_the_density_that_its_method_evaluates(method: str) -> None:
    for preset in preset_names(method):
        if not preset.startswith("digits"):
            continue
        experiment = resolve(method, preset)
        built = build_method(experiment, inputs_of(experiment, load_source(experiment.data)))
        assert isinstance(built, Likelihood)
        assert built.likelihood_protocol.startswith(density_of(flat(tomllib.loads(dump(experiment)))))


def test_each_density_has_its_columns_and_its_best() -> None:
    columns = {column.name: column for column in table_of([DRAWN, CUT, GREY, BETTER], [NLL]).results}
    name = "negative log-likelihood (test) nats"
    assert name not in columns
    assert columns[f"{name}, dynamic binarization"].cells == ("90", "-", "-", "85")
    assert columns[f"{name}, dynamic binarization"].best == {3}
    assert columns[f"{name}, binarized at 0.5"].cells == ("-", "60", "-", "-")
    assert columns[f"{name}, binarized at 0.5"].best == frozenset()  # nothing to be better than
    assert columns[f"{name}, 8-bit pixels"].cells == ("-", "-", "520", "-")


def test_one_density_is_one_column() -> None:
    names = [column.name for column in table_of([DRAWN, BETTER], [NLL]).results]
    assert "negative log-likelihood (test) nats" in names


def test_the_best_comes_first_within_its_density() -> None:
    sides = [GREY, DRAWN, CUT, BETTER]
    assert [sides[index].name for index in best_first(sides, NLL)] == ["grey", "better", "drawn", "cut"]


def test_what_is_no_likelihood_is_not_divided() -> None:
    assert is_likelihood("test/nll_bits_per_dim")
    assert not is_likelihood("test/knn")
    sides = [side(0, "a", 0.5, "test/knn", binarization="dynamic"), side(1, "b", 0.75, "test/knn")]
    assert densities_of(sides, "test/knn") == []
    assert best_first(sides, "test/knn") == [1, 0]
