"""`sslterm methods` and `sslterm explain`: the catalog, and what a method is about."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from sslterm.catalog import CATALOG, Entry, find_method
from sslterm.cli.options import AsJson, MethodName
from sslterm.cli.output import print_fields, print_json, print_line
from sslterm.config.presets import default_preset, needs_download, preset_names, read_preset
from sslterm.errors import SsltermError
from sslterm.method_text import TOPICS, MethodText, draw_tree, family_tree, read_method_text


def methods(
    as_json: AsJson = False,
) -> None:
    """All methods, as the tree of their kinds (Goodfellow 2016).

    \b
    Examples:
      sslterm methods
      sslterm methods --json
    """
    if as_json:
        print_json([describe(entry) for entry in CATALOG.values()])
        return
    for topic, title in TOPICS.items():
        tree = family_tree(entry for entry in CATALOG.values() if entry.topic == topic)
        lines = list(draw_tree(tree))
        if not lines:
            continue
        print_line(title, bold=True)
        width = max(len(left) for left, _ in lines)
        for left, entry in lines:
            print_line(f"{left.ljust(width)}  {entry.year}  {entry.title}" if entry else left)
        print_line()


def describe(entry: Entry) -> dict[str, Any]:
    """A method as `methods --json` gives it."""
    return {
        "name": entry.name,
        "topic": entry.topic,
        "family": entry.family,
        "title": entry.title,
        "year": entry.year,
        "paper": entry.paper,
        "capabilities": list(entry.capabilities),
        "presets": list_presets(entry.name),
    }


def list_presets(method: str) -> list[dict[str, Any]]:
    """The presets of a method: [{name, data, needs_download}]; a damaged one has no data."""
    found = []
    for name in preset_names(method):
        try:
            table, _ = read_preset(method, name)
        except SsltermError:
            table = {}
        data = table.get("data")
        source = data.get("name") if isinstance(data, Mapping) else None
        found.append({"name": name, "data": source, "needs_download": needs_download(table)})
    return found


def explain(
    method: MethodName,
    as_json: AsJson = False,
) -> None:
    """What a method is: the idea, the objective, departures from the paper, what to watch for.

    \b
    Examples:
      sslterm explain vae
      sslterm explain barlow-twins
    """
    entry = find_method(method)
    text = read_method_text(entry)
    if as_json:
        print_json(
            describe(entry)
            | {
                "authors": entry.authors,
                "uses_labels": entry.uses_labels,
                "headline": entry.headline,
                "unit": entry.unit,
                "panels": list(entry.opens_on),
                "sections": dict(text.sections),
                "settings": [vars(setting) for setting in text.settings],
                "file": str(text.path),
            }
        )
        return
    _print_explanation(entry, text)


def _print_explanation(entry: Entry, text: MethodText) -> None:
    print_line(f"{entry.name}: {entry.title}", bold=True)
    print_line(f"{entry.authors} {entry.year}, {entry.paper}")
    print_line(f"{TOPICS[entry.topic]}: {entry.family}")
    for heading, body in text.sections.items():
        print_line()
        print_line(heading, bold=True)
        for line in _fit(body, is_prose=heading not in ("Objective", "Shapes")):
            print_line(f"  {line}".rstrip())
    if text.settings:
        print_line()
        print_line("Settings (--set method.NAME=VALUE)", bold=True)
        width = max(len(setting.name) for setting in text.settings)
        for setting in text.settings:
            about = setting.about or setting.type
            for index, line in enumerate(textwrap.wrap(" ".join(about.split()), _text_width() - width - 2)):
                print_line(f"  {setting.name if index == 0 else '':{width}}  {line}")
    print_line()
    presets = [
        f"{preset['name']} ({'needs ' + str(preset['data']) if preset['needs_download'] else 'no download'})"
        for preset in list_presets(entry.name)
    ]
    fields = [
        ("can", ", ".join(entry.capabilities)),
        ("labels", "used in training" if entry.uses_labels else "not used in training"),
        ("watch", f"{entry.headline}: {entry.unit}"),
        ("panels", ", ".join(entry.opens_on)),
        ("presets", ", ".join(presets)),
        ("code", str(text.path)),
    ]
    if presets:
        fields.append(("try", f"sslterm train {entry.name} --preset {default_preset(entry.name)}"))
    print_fields(fields)


def _fit(body: str, *, is_prose: bool) -> Iterator[str]:
    """Lines of a section at the width of the terminal; prose is filled anew, formulas keep their lines."""
    width = _text_width()
    if is_prose:
        for index, paragraph in enumerate(body.split("\n\n")):
            yield from [""] * bool(index)
            yield from textwrap.wrap(" ".join(paragraph.split()), width)
        return
    for line in body.splitlines():
        yield from textwrap.wrap(line, width, subsequent_indent="  ", replace_whitespace=False) or [""]


def _text_width() -> int:
    """Characters a line of text may take, beside its indent."""
    return max(min(shutil.get_terminal_size((100, 24)).columns, 112) - 2, 20)
