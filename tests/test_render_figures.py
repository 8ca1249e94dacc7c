"""Tables of what `probe` and `evaluate` have found: every figure with all that says what it is."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sslterm.render.figures import FigureTable, figure_tables, figures_markdown

LIKELIHOOD = {
    "name": "nll_nats", "value": 37.42, "unit": "nats", "kind": "bound", "n": 297, "split": "test",
    "protocol": "dynamic binarization", "seed": 3, "baseline_independent": 96.5, "baseline_untrained": 177.4,
    "standard_error": 0.431,
}  # fmt: skip
FD = {
    "name": "FD[judge-v1]@1000", "unit": "", "kind": "distance", "value": 4.295, "floor": 0.61,
    "baseline_untrained": 212.0, "n": 1000, "split": "test", "space": "judge-v1", "space_sha256": "ae609ca7aa0b",
    "dimensions": 32, "judge_accuracy": 0.993, "n_real": 297, "n_floor": 1000, "seed": 0, "untrained_seed": 0,
}  # fmt: skip
MSE = {
    "name": "mse",
    "value": 0.02,
    "unit": "per value in [0, 1]",
    "kind": "exact",
    "n": 297,
    "split": "test",
    "seed": 0,
}
KNN = {
    "protocol": "knn", "layer": "encode", "accuracy": 0.75, "baseline_pixels": 0.44, "baseline_pixels_centred": None,
    "baseline_untrained": 0.34, "n_train": 20000, "n_test": 301, "seed": 0,
}  # fmt: skip


def evaluated(*rows: dict[str, Any], images: int = 500, **more: Any) -> dict[str, Any]:
    return {
        "kind": "evaluate",
        "data": "digits",
        "images": images,
        "sampling": {},
        "results": [*rows],
        **more,
    }


def probed(*rows: dict[str, Any], images: int = 500) -> dict[str, Any]:
    return {"kind": "probe", "data": "patterns", "images": images, "results": [*rows]}


def only(tables: list[FigureTable]) -> tuple[str, dict[str, str]]:
    """Title and cells of the one figure of the one table."""
    (table,) = tables
    (row,) = table.rows
    return table.title, dict(zip(table.header, row, strict=True))


def test_a_likelihood_says_its_kind_error_protocol_and_baselines() -> None:
    title, cells = only(figure_tables([evaluated(LIKELIHOOD)], images=500))
    assert title == "Likelihood of digits, dynamic binarization, seed 3"
    assert cells == {
        "measure": "nll_nats", "value": "37.42", "error": "± 0.43", "unit": "nats", "kind": "bound", "n": "297",
        "split": "test", "independent pixels": "96.50", "untrained": "177.4",
    }  # fmt: skip


def test_figures_of_samples_say_the_space_and_the_real_images() -> None:
    title, cells = only(figure_tables([evaluated(FD)], images=500))
    assert title == (
        "Samples beside 297 held-out images of digits, in the space judge-v1-ae609c of 32 dimensions, its judge right "
        "on 99.3 % of them, seed 0; real images: 1,000 training images in place of samples"
    )
    assert cells == {
        "measure": "FD", "value": "4.295", "kind": "distance", "n": "1,000 samples", "split": "test",
        "real images": "0.6100", "untrained": "212",
    }  # fmt: skip


def test_an_accuracy_is_an_estimate_with_its_error_beside_pixels_and_the_untrained() -> None:
    title, cells = only(figure_tables([probed(KNN)], images=500))
    assert title == "Probes of features, which use labels, trained and tested on patterns, seed 0"
    assert cells == {
        "measure": "knn", "layer": "encode", "value": "0.7500", "error": "± 0.025", "unit": "accuracy",
        "kind": "estimate", "n": "301", "split": "test", "training images": "20,000", "raw pixels": "0.4400",
        "untrained": "0.3400",
    }  # fmt: skip
    few = KNN | {"protocol": "finetune@10", "layers": "stage1=frozen", "std": 0.06, "draws": 4}
    _, cells = only(figure_tables([probed(few)]))
    assert cells["measure"] == "finetune@10 (stage1=frozen)"
    assert float(cells["error"].removeprefix("± ")) == pytest.approx(math.hypot(0.025, 0.03), abs=6e-4)


def test_what_was_measured_alike_stands_together_the_newest_of_each() -> None:
    results = [
        evaluated(LIKELIHOOD, MSE), evaluated(LIKELIHOOD | {"value": 30.5}), evaluated(LIKELIHOOD | {"seed": 4}),
        evaluated(FD, FD | {"name": "KD[judge-v1]@1000", "standard_error": 4.4}),
        evaluated(FD | {"space_sha256": "0" * 12}),
    ]  # fmt: skip
    tables = figure_tables(results, images=500)
    assert [len(table.rows) for table in tables] == [1, 1, 1, 2, 1]
    assert tables[0].rows[0][1] == "30.50"
    assert tables[3].header[:3] == ("measure", "value", "error")
    assert [row[2] for row in tables[3].rows] == ["", "± 4.4"]


def test_figures_of_samples_drawn_otherwise_are_named_so_and_come_last() -> None:
    otherwise = evaluated(FD | {"value": 99.5}, sampling={"sampler": "euler", "steps": 5})
    tables = figure_tables([otherwise, evaluated(FD)], images=500)
    assert [table.rows[0][1] for table in tables] == ["4.295", "99.50"]
    assert "drawn" not in tables[0].title
    assert "drawn with sampler euler, steps 5 and not as the run draws by itself" in tables[1].title


def test_checkpoints_are_told_apart() -> None:
    results = [evaluated(MSE, images=500), evaluated(MSE, images=12_000)]
    assert len(figure_tables(results, images=500)) == 1
    assert figure_tables(results, images=7) == []
    assert [table.title for table in figure_tables(results)] == [
        "Measured on digits, seed 0, after 500 images of training",
        "Measured on digits, seed 0, after 12,000 images of training",
    ]


def test_what_is_damaged_is_passed_over() -> None:
    bad = [
        {}, {"kind": "evaluate"}, {"kind": "evaluate", "images": 500, "results": 3}, evaluated(images="many"),  # type: ignore[arg-type]
        evaluated({"name": "mse"}), evaluated({"value": 1.0}), evaluated(MSE | {"value": "0.5"}),
        evaluated(MSE | {"value": math.nan}), probed({"accuracy": None}), evaluated(3),  # type: ignore[arg-type]
    ]  # fmt: skip
    assert figure_tables(bad) == []


def test_markdown_shows_texts_as_they_are() -> None:
    (table,) = figure_tables([evaluated(MSE | {"unit": "a|b\nc_d"})], images=500)
    assert figures_markdown(table) == (
        "Measured on digits, seed 0:\n\n"
        "| measure | value | unit | kind | n | split |\n"
        "| :-- | --: | :-- | :-- | --: | :-- |\n"
        "| mse | 0.02000 | a\\|b c\\_d | exact | 297 | test |\n"
    )
