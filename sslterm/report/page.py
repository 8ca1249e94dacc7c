"""The page of a report: what runs have reached, their curves and pictures, and where their settings differ."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomli_w
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sslterm.catalog import CATALOG
from sslterm.errors import DataError
from sslterm.render.comparison import headlines_of, panels_worth_seeing, table_of
from sslterm.render.evaluated import evaluated_tables
from sslterm.render.figures import LEGEND, figure_tables
from sslterm.render.overlay import by_density, letter, metrics_worth_seeing, overlay_plot, overlay_run
from sslterm.render.palette import categorical_on_paper
from sslterm.render.quantity import duration, memory, whole
from sslterm.render.svg import overlay_svg
from sslterm.report.pictures import data_uri, small_png
from sslterm.run.comparison import about_run, drawn_by, main_headline, side_of
from sslterm.run.reader import RunReader
from sslterm.run.results import probed

MOST_CURVES = 24
BYTES_OF_A_RUN = 620_000
"""Of PNGs; base64 adds a third, so that three runs stay under 3 MB with their curves."""
BYTES_OF_A_PICTURE = 150_000


@dataclass(frozen=True)
class Picture:
    """A panel of a run; `uri` is "" where there is none, and `trouble` says why."""

    letter: str
    run: str
    when: str
    caption: str
    uri: str
    trouble: str = ""


def page_of(readers: Sequence[RunReader], *, title: str = "") -> str:
    """One HTML page, with everything in it that it shows; it loads nothing and runs nothing."""
    metrics = _metrics(readers)
    sides = [side_of(reader, place, metrics) for place, reader in enumerate(readers)]
    environment = Environment(
        loader=PackageLoader("sslterm.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    names = {letter(place): reader.run.name for place, reader in enumerate(readers)}
    return environment.get_template("page.html").render(
        title=title or ("Runs compared" if len(readers) > 1 else readers[0].run.name),
        made=time.strftime("%Y-%m-%d %H:%M"),
        table=table_of(sides, metrics),
        evaluated=evaluated_tables(sides, readers),
        letters=[letter(side.place) for side in sides],
        runs=[_facts(reader, place) for place, reader in enumerate(readers)],
        legend=LEGEND,
        curves=_curves(readers, names),
        panels=_panels(readers),
    )


def _metrics(readers: Sequence[RunReader]) -> list[str]:
    """What the methods are judged by, and what probes have found."""
    headlines = headlines_of(readers)
    afterwards = [name for reader in readers for name in reader.measured]
    first = main_headline(headlines, readers)
    return list(dict.fromkeys([*([first] if first else []), *headlines, *probed(afterwards)]))


def _facts(reader: RunReader, place: int) -> dict[str, Any]:
    """A run in words."""
    status, meta = reader.status, reader.meta
    method = about_run(reader.config, "method")
    entry = CATALOG.get(method)
    facts = {
        "method": f"{method}: {entry.title} ({entry.authors}, {entry.year}, {entry.paper})"
        if entry
        else method,
        "preset": about_run(reader.config, "preset"),
        "headline": f"{entry.headline}: {entry.unit}" if entry else "",
        "state": reader.state,
        "trained on": f"{whole(status.images)} images in {duration(status.elapsed_seconds)}"
        if status
        else "",
        "parameters": f"{status.parameters:,}" if status and status.parameters else "",
        "device": status.device if status else "",
        "versions": ", ".join(
            f"{name} {meta[name]}" for name in ("sslterm", "torch", "python", "commit") if meta.get(name)
        ),
    }
    warnings = [str(event.get("text", "")) for event in reader.events if event.get("kind") == "warning"]
    return {
        "letter": letter(place),
        "color": f"#{categorical_on_paper(place):06x}",
        "name": reader.run.name,
        "facts": {name: value for name, value in facts.items() if value},
        "warnings": list(dict.fromkeys(warnings)),
        "figures": figure_tables(reader.results),
        "config": tomli_w.dumps(reader.config) if reader.config else "",
    }


def _curves(readers: Sequence[RunReader], names: Mapping[str, str]) -> list[dict[str, Any]]:
    series = [reader.metrics.series for reader in readers]
    curves = []
    for metric in metrics_worth_seeing(series, headlines_of(readers))[:MOST_CURVES]:
        groups = by_density([overlay_run(reader, place, metric) for place, reader in enumerate(readers)])
        for runs in groups:
            plot = overlay_plot(metric, runs)
            density = runs[0].density if len(groups) > 1 else ""
            title = " ".join(
                part for part in (plot.title, density, f"[{plot.unit}]" if plot.unit else "") if part
            )
            curves.append({"metric": metric, "title": title, "svg": Markup(overlay_svg(plot, names))})
    return curves


def _panels(readers: Sequence[RunReader]) -> list[dict[str, Any]]:
    """The newest drawing of every panel, a picture a run, as far as there is room."""
    room = dict.fromkeys(range(len(readers)), BYTES_OF_A_RUN)
    panels = []
    for name in panels_worth_seeing(readers):
        pictures = []
        for place, reader in enumerate(readers):
            images = drawn_by(reader, name, None)
            if images is not None:
                picture = _picture(reader, place, name, images, room[place])
                room[place] -= len(picture.uri) * 3 // 4
                pictures.append(picture)
        panels.append({"name": name, "pictures": pictures})
    return panels


def _picture(reader: RunReader, place: int, name: str, images: int, room: int) -> Picture:
    who, when = (letter(place), reader.run.name), f"after {whole(images)} images"
    try:
        caption = reader.panel(name, images).caption
        source = reader.panel_png(name, images)
    except DataError as error:
        return Picture(*who, when, "", "", error.message)
    png = small_png(source, min(room, BYTES_OF_A_PICTURE))
    if png is None:
        why = (
            f"left out: the page has {memory(BYTES_OF_A_RUN)} of pictures a run"
            if source.exists()
            else "no picture"
        )
        return Picture(*who, when, caption, "", why)
    return Picture(*who, when, caption, data_uri(png))
