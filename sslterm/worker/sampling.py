"""What `sample` draws: samples of a class or of any, and all that a method lets choose, in one grid or in rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal, get_args, get_origin

import psutil
import torch
from torch import Tensor

from sslterm.catalog import CATALOG
from sslterm.config.read import convert, fields_of
from sslterm.errors import UsageError, did_you_mean
from sslterm.evaluate.panels import images_panel
from sslterm.evaluate.sampling import draw_samples
from sslterm.methods.base import Adjustable, Samples
from sslterm.worker.desk import Desk
from sslterm.worker.outputs import Report, partial_reporter, stages, write_output
from sslterm.worker.requests import Sample

ALL = "all"
IN_GRID, IN_ROW = 64, 10
"""Images where no number is asked for."""
COPIES = 5
"""Of all samples in float32, while a picture is made of them."""


@dataclasses.dataclass(frozen=True)
class Row:
    """What one row of samples is of, or the whole grid.

    Attributes:
        label: class, as the method knows it; None leaves it to the method.
        sampling: what is chosen of the method's `sampling`.
        name: the value that makes it differ from the other rows; "" where there is one.
    """

    label: int | None
    sampling: Mapping[str, Any]
    name: str = ""


def sample(desk: Desk, request: Sample, report: Report) -> dict[str, Any]:
    """Draw what is asked for.

    Raises:
        UsageError: the method cannot, or not so.
    """
    method = desk.loaded.method
    if not isinstance(method, Samples):
        raise desk.cannot("sample")
    swept, rows = _rows(desk, request)
    n = request.n or (IN_ROW if swept else IN_GRID)
    _require_memory(desk, n * len(rows))
    for row in rows:  # before the first is drawn
        with choosing(desk, row.sampling):
            pass
    images = torch.cat([_draw(desk, request, row, n, report) for row in rows])
    caption, stem, about = _describe(desk, request, swept, rows)
    panel = images_panel("samples", images, f"{n} samples{caption}", columns=n if swept else 0)
    return {
        "path": write_output(desk.run, panel, stem, request.out),
        "n": n * len(rows),
        "seed": request.seed,
        **about,
    }


def _draw(desk: Desk, request: Sample, row: Row, n: int, report: Report) -> Tensor:
    method = desk.loaded.method
    assert isinstance(method, Samples)
    with choosing(desk, row.sampling):
        images = draw_samples(
            method, n, seed=request.seed, label=row.label, progress=stages(report),
            watch=partial_reporter(report) if request.watch else lambda partial: None,
        )  # fmt: skip
    return images.cpu()


def _describe(
    desk: Desk, request: Sample, swept: str, rows: Sequence[Row]
) -> tuple[str, str, dict[str, Any]]:
    """What the samples are of: as a caption goes on, as a file is named, and as `--json` says it."""
    label = None if swept == "class" else rows[0].label
    chosen = {name: value for name, value in rows[0].sampling.items() if name != swept}
    words = [f"{name} {_short(value)}" for name, value in chosen.items()]
    of_class = [] if label is None else [f"class {request.label}"]
    caption = ", ".join(["", *of_class, *words, f"seed {request.seed}"])
    stem = f"sample-{desk.loaded.images}-seed{request.seed}"
    stem += "" if label is None else f"-class{label}"  # its number: a name may hold anything
    stem += "".join("-" + word.replace(" ", "") for word in words)
    if swept:
        caption = (
            f" of the same noise in each row{caption}; rows: {swept} {', '.join(row.name for row in rows)}"
        )
        stem += f"-by-{swept}"
    about = {
        "label": label,
        "sampling": chosen,
        "rows": [f"{swept} {row.name}" for row in rows] if swept else [],
    }
    return caption, stem, about


def _require_memory(desk: Desk, n: int) -> None:
    """Refuse a picture that memory does not hold; what leads to it is drawn in portions in any case.

    Raises:
        UsageError: `n` samples are more than is free.
    """
    each, free = COPIES * 4 * math.prod(desk.loaded.inputs.shape), psutil.virtual_memory().available
    if n * each > free:
        raise UsageError(
            f"a picture of {n:,} samples takes {n * each / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free",
            f"take -n {max(1, int(free / each / 2))} or less at a time, each time with another --seed",
        )


def _rows(desk: Desk, request: Sample) -> tuple[str, list[Row]]:
    """What the rows differ in ("" where there is one grid), and the rows.

    Raises:
        UsageError: there is no such class or choice, or rows would differ in several ways.
    """
    labels = _labels(desk, request.label)
    values = {name: _values(desk, name, text) for name, text in map(_split, request.sampling)}
    several = [
        *(["class"] if len(labels) > 1 else []),
        *(name for name, found in values.items() if len(found) > 1),
    ]
    if len(several) > 1:
        raise UsageError(
            f"rows can differ in one thing alone, not in {' and '.join(several)}",
            "give one of them a single value",
        )
    swept = several[0] if several else ""
    fixed = {name: found[0] for name, found in values.items()}
    if swept == "class":
        return swept, [Row(label, fixed, name) for name, label in labels.items()]
    label = next(iter(labels.values()))
    if swept:
        return swept, [Row(label, {**fixed, swept: value}, _short(value)) for value in values[swept]]
    return "", [Row(label, fixed)]


@contextmanager
def choosing(desk: Desk, choices: Mapping[str, Any] | Sequence[str]) -> Iterator[dict[str, Any]]:
    """The run's method draws as is chosen, by name or as "name=value"; yields the choices by name.

    Raises:
        UsageError: the method has no such choice, it is out of range, or it does nothing beside the others.
    """
    method = desk.loaded.method
    if not isinstance(choices, Mapping):
        choices = {name: _single(desk, name, text) for name, text in map(_split, choices)}
    if not choices:
        yield {}
        return
    assert isinstance(method, Adjustable)
    before: Any = method.sampling
    method.sampling = dataclasses.replace(before, **choices)
    refuse_idle: Callable[[Collection[str]], None] | None = getattr(method, "refuse_idle", None)
    try:
        if refuse_idle is not None:
            refuse_idle(choices.keys())
        yield dict(choices)
    finally:
        method.sampling = before


def _split(choice: str) -> tuple[str, str]:
    name, _, text = choice.partition("=")
    return name, text


def _single(desk: Desk, name: str, text: str) -> Any:
    values = _values(desk, name, text)
    if len(values) > 1:
        raise UsageError(f"--{name} {text}: here it takes one value")
    return values[0]


def _values(desk: Desk, name: str, text: str) -> list[Any]:
    """What "0.5", "2,1,0.5" or "all" mean for a choice of the method."""
    method, called = desk.loaded.method, desk.loaded.experiment.run.method
    kinds = fields_of(type(method.sampling)) if isinstance(method, Adjustable) else {}
    if name not in kinds:
        raise UsageError(
            f"{called} has no --{name}",
            "it has: " + ", ".join(f"--{kind}" for kind in kinds) if kinds else "leave it out",
        )
    kind = kinds[name]
    if text == ALL:
        listed = get_args(kind) if get_origin(kind) is Literal else getattr(method, f"{name}s", ())
        if not listed:
            raise UsageError(f"--{name} all: there is no end of them", f"list some: --{name} 1,2")
        return list(listed)
    return [convert(kind, _number(kind, part.strip()), "sample", name) for part in text.split(",")]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(kind: Any, text: str) -> Any:
    """A text as the number that a type asks for, where it is one; `convert` says what is wrong with others."""
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    for number in {int: (int,), float: (int, float)}.get(plain, ()):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _labels(desk: Desk, text: str) -> dict[str, int | None]:
    """The classes that a label on the command line means, by name."""
    if not text:
        return {"": None}
    called, classes = desk.loaded.experiment.run.method, desk.loaded.source.class_names
    if not (called in CATALOG and CATALOG[called].uses_labels):
        raise UsageError(f"{called} is not class-conditional: it cannot sample a class", "leave --class out")
    if text in classes:
        return {text: list(classes).index(text)}
    names = list(classes) if text == ALL else [part.strip() for part in text.split(",")]
    return {name: class_number(desk, name) for name in names}


def class_number(desk: Desk, name: str) -> int:
    """The class that a name or number means.

    Raises:
        UsageError: the run's data has no such class.
    """
    classes = desk.loaded.source.class_names
    if name in classes:
        return list(classes).index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    raise UsageError(f"there is no class {name!r} in {desk.data}", did_you_mean(name, classes))
