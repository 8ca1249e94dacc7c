"""Likelihoods of several runs: a table for each density, in which every figure says what it is."""

from __future__ import annotations

from typing import Any

from sslterm.render.comparison_cells import TableView
from sslterm.render.densities import density_tables
from sslterm.render.evaluated_cells import draw_evaluated
from sslterm.render.evaluated_table import EvaluatedTable, Judged, evaluated_markdown
from sslterm.run.results import Evaluated, evaluated

BITS = "dynamic binarization"
NATS_OF_A_BIT = 0.6931471805599453


def row(name: str, value: float, kind: str, protocol: str = BITS, **more: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "kind": kind, "protocol": protocol, "n": 100, **more}


def judged(place: int, name: str, *rows: dict[str, Any], data: str = "mnist, 28 pixels") -> Judged:
    results = [{"kind": "evaluate", "images": 9000, "results": list(rows)}]
    return Judged(place, name, evaluated(results), data)


MADE = judged(
    0, "made-1",
    row("nll_nats", 86.62, "exact", standard_error=0.21, baseline_independent=205.87, baseline_untrained=543.4),
    row("nll_bits_per_dim", 0.15939, "exact", standard_error=0.0004),
)  # fmt: skip
VAE = judged(
    1, "vae-1",
    row("neg_elbo_nats", 91.5, "bound", baseline_independent=205.87),
    row("iw_nll_nats@100", 86.5, "bound", baseline_independent=205.87),
)  # fmt: skip
RBM = judged(
    2, "rbm-1",
    row("nll_nats", 80.0, "estimate", f"{BITS}; log Z by AIS, 10,000 betas, 100 chains", standard_error=0.3),
    row("log_z_nats", 450.0, "estimate", f"{BITS}; log Z by AIS, 10,000 betas, 100 chains"),
    row("ais_effective_chains", 13.2, "estimate", f"{BITS}; log Z by AIS, 10,000 betas, 100 chains"),
)  # fmt: skip
GLOW = judged(3, "glow-1", row("nll_nats", 1100.0, "exact", "8-bit pixels, uniform dequantization (...)"))


def cells(table: EvaluatedTable, label: str) -> list[dict[str, str]]:
    return [dict(zip(table.header[1:], row[1:], strict=True)) for row in table.rows if row[0] == label]


def test_what_is_measured_alike_is_one_table_and_every_figure_says_what_it_is() -> None:
    binary, grey = density_tables([MADE, VAE, RBM, GLOW])
    assert binary.title == f"Negative log-likelihood of held-out images: {BITS} of mnist, 28 pixels"
    assert [row[0] for row in binary.rows] == [
        "independent pixels", "A made-1", "B vae-1", "B vae-1", "C rbm-1",
    ]  # fmt: skip
    assert binary.places == (None, 0, 1, 1, 2)
    assert cells(binary, "A made-1") == [
        {
            "measure": "nll", "nats↓": "86.62", "error": "0.21", "bits/dim": "0.1594", "kind": "exact", "n": "100",
            "untrained": "543.4", "how": "-",
        }
    ]  # fmt: skip
    assert [line["measure"] for line in cells(binary, "B vae-1")] == ["neg_elbo", "iw_nll@100"]
    assert {line["kind"] for line in cells(binary, "B vae-1")} == {"bound"}
    assert cells(binary, "independent pixels")[0]["nats↓"] == "205.9"
    assert [row[0] for row in grey.rows] == ["D glow-1"]
    assert "8-bit pixels" in grey.title


def test_an_estimate_says_how_and_wins_over_nothing() -> None:
    (table,) = density_tables([MADE, VAE, RBM])
    (rbm,) = cells(table, "C rbm-1")
    assert rbm["kind"] == "estimate"
    assert rbm["how"] == "log Z by AIS, 10,000 betas, 100 chains, 13 of them effective"
    assert rbm["nats↓"] == "80"  # the least, and yet not the best: it may be too low
    assert [row[2] for row in table.rows if "◆" in row[2]] == ["◆ 86.50"]


def test_nothing_is_the_best_over_other_numbers_of_images_or_other_data() -> None:
    fewer = judged(1, "vae-1", row("iw_nll_nats@5000", 86.0, "bound", n=50))
    (table,) = density_tables([MADE, fewer])
    assert not any("◆" in cell for row in table.rows for cell in row)
    elsewhere = judged(1, "made-2", row("nll_nats", 300.0, "exact"), data="digits, 16 pixels")
    titles = [table.title.rpartition(" of ")[2] for table in density_tables([MADE, elsewhere])]
    assert titles == ["mnist, 28 pixels", "digits, 16 pixels"]


def test_a_number_of_draws_that_is_the_number_of_images_stays_in_the_name() -> None:
    figures = evaluated(
        [{"kind": "evaluate", "images": 1, "results": [row("iw_nll_nats@100", 1.0, "bound")]}]
    )
    assert [(one.figure, one.n) for one in figures.values()] == [("iw_nll_nats@100", 100)]


def test_samples_are_no_likelihoods() -> None:
    fd = Evaluated(
        figure="FD", space="judge", n=9, value=1.0, kind="distance", protocol="", error=None, floor=None,
        independent=None, untrained=None, images=3,
    )  # fmt: skip
    assert density_tables([Judged(0, "dcgan-1", {fd.key: fd})]) == []


def test_words_stand_at_the_left_and_numbers_at_the_right() -> None:
    (table,) = density_tables([MADE, VAE])
    rules = evaluated_markdown(table).splitlines()[3]
    assert rules == "| :- | :- | -: | -: | -: | :- | -: | -: | :- |"
    lines = draw_evaluated(table, 120, 8, color=False, view=TableView()).plain().splitlines()
    assert lines[1].split() == ["measure", "nats↓", "error", "bits/dim", "kind", "n", "untrained", "how"]
    assert lines[1].index("measure") == lines[3].index("nll")  # both begin there
    end = lines[1].index("nats↓") + len("nats↓")
    assert {line[:end].split()[-1] for line in lines[2:6]} == {"205.9", "86.62", "91.50", "86.50"}
