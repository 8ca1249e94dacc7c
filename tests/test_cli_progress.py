"""How numbers are said in the plain lines of a training."""

from __future__ import annotations

import pytest

from sslterm.cli.progress import said


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        ("main/loss", 0.5, "loss 0.5000"),
        ("test/neg_elbo_nats", 101.8, "held-out -ELBO 101.8 nats"),
        ("test/knn", 0.75, "held-out kNN accuracy 0.7500"),
        ("generator/loss", -2.0, "generator loss -2"),
        ("critic/gap", 2.5, "critic's gap 2.500"),  # not: critic critic's gap
    ],
)
def test_a_metric_in_words(metric: str, value: float, words: str) -> None:
    assert said(metric, value) == words
