"""Probes of a run: on its own data or another, kept in results.jsonl, and drawn where there are several layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from sslterm.data.catalog import SOURCES
from sslterm.data.store import Store
from sslterm.engine.build import build_method
from sslterm.errors import UsageError
from sslterm.evaluate.classifier import Tuning
from sslterm.evaluate.probe import FINETUNE, probe
from sslterm.methods.base import Encodes
from sslterm.run.events import append_event
from sslterm.run.panels import Panel
from sslterm.run.results import PROBE
from sslterm.worker.desk import Desk, other_source
from sslterm.worker.outputs import Report, stages, write_output
from sslterm.worker.requests import Probe

COLUMNS: Mapping[str, str] = {
    "accuracy": "trained",
    "baseline_untrained": "untrained",
    "baseline_frozen": "trained, frozen",
    "baseline_pixels": "raw pixels",
}
"""What is drawn of a result, and what it is called."""


def probe_run(desk: Desk, request: Probe, report: Report) -> dict[str, Any]:
    """Do what `request` asks; the run itself stays as it is, but for what was measured.

    Raises:
        UsageError: the method cannot encode, or there is no such protocol, layer or treatment.
        DataError: there are no labels.
    """
    method, experiment, inputs = desk.loaded.method, desk.loaded.experiment, desk.loaded.inputs
    if not isinstance(method, Encodes):
        raise desk.cannot("probe")
    _check_options(request)
    stage = stages(report)
    train, test, data = desk.train, desk.test, desk.data
    if request.data:
        source = other_source(desk, request.data, stage)
        train, test, data = Store(source.train, desk.device), Store(source.test, desk.device), source.name
    untrained = build_method(experiment, inputs).to(desk.device)
    redrawn = None
    if request.treatments:
        run = dataclasses.replace(experiment.run, seed=experiment.run.seed + request.seed + 1)
        redrawn = build_method(dataclasses.replace(experiment, run=run), inputs).to(desk.device)
    layers = None if not request.layers else () if request.layers == ("all",) else request.layers
    results = list(
        probe(
            method, untrained, train, test,
            protocols=request.protocols, layers=layers, tuning=_tuning(request, data), redrawn=redrawn,
            seed=request.seed, progress=stage,
        )
    )  # fmt: skip
    found = {"data": data, "images": desk.loaded.images, "results": results}
    with suppress(OSError):  # a run that is read-only can be probed all the same
        append_event(desk.run.results, PROBE, **found)
    return {**found, "plots": _plots(desk, results, data)}


def _check_options(request: Probe) -> None:
    """What is said of fine-tuning is said where something is fine-tuned."""
    if any(name.partition("@")[0] == FINETUNE for name in request.protocols):
        return
    usual = Probe()
    options = {"treatments": "--layers", "rate": "--rate", "epochs": "--epochs", "augment": "--augment"}
    given = [option for field, option in options.items() if getattr(request, field) != getattr(usual, field)]
    if given:
        raise UsageError(
            f"{' and '.join(given)}: that is for finetune, and the protocols are {', '.join(request.protocols)}",
            "add --protocol finetune"
            + ("; --layer says which layers are looked at" if "--layers" in given else ""),
        )


def _tuning(request: Probe, data: str) -> Tuning:
    """How to fine-tune on `data`."""
    known = SOURCES.get(data)
    mirrored = known is None or known.mirrored
    return Tuning(
        layers=request.treatments,
        rate=request.rate,
        epochs=request.epochs,
        flip=request.augment in ("flip", "both") or (request.augment == "auto" and mirrored),
        shift=request.augment in ("auto", "shift", "both"),
    )


def _plots(desk: Desk, results: Sequence[Mapping[str, Any]], data: str) -> list[dict[str, Any]]:
    """For each protocol that saw several layers: the picture of its accuracies, and the best layer."""
    plots = []
    for protocol in dict.fromkeys(row["protocol"] for row in results):
        rows = [row for row in results if row["protocol"] == protocol]
        if len(rows) < 2:
            continue
        best = max(rows, key=lambda row: float(row["accuracy"]))  # of equally good ones the first
        found = {"protocol": protocol, "best_layer": best["layer"], "accuracy": best["accuracy"]}
        stem = f"layers-{desk.loaded.images}-{protocol.replace('%', 'percent')}-{data}"
        with suppress(OSError):
            found["path"] = write_output(desk.run, layers_panel(rows, data), stem, "")
        plots.append(found)
    return plots


def layers_panel(rows: Sequence[Mapping[str, Any]], data: str) -> Panel:
    """Accuracy by layer of one protocol, in order of depth."""
    best, first = max(rows, key=lambda row: float(row["accuracy"])), rows[0]
    columns = {key: name for key, name in COLUMNS.items() if key in first}
    return Panel(
        name="layers",
        kind="curve",
        array=100 * np.array([[row[key] for row in rows] for key in columns], dtype=np.float32),
        caption=(
            f"{first['protocol']} accuracy on {first['n_test']:,} held-out images of {data}, by layer in order of "
            f"depth; best: {best['layer']}, {100 * best['accuracy']:.1f} %"
        ),
        labels=tuple(columns.values()),
        points=tuple(row["layer"] for row in rows),
        y_label="accuracy, %",
    )
