"""Pictures of screens, kept as SVG files that open in a browser and compared by what stands in them.

`SSLTERM_SNAPSHOTS=write pytest tests/tui/test_snapshots.py` writes those that are new or have changed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

FOLDER = Path(__file__).parent / "snapshots"
_SVG = "{http://www.w3.org/2000/svg}"


def contents(svg: str) -> list[tuple[float, float, str, str]]:
    """What stands on a picture of a screen: (row, column, text, colour) of texts, and of coloured grounds."""
    root = ElementTree.fromstring(svg)
    style = "".join(node.text or "" for node in root.iter(f"{_SVG}style"))
    fills = dict(re.findall(r"\.([\w-]+)\s*\{[^}]*?fill:\s*([^;}]+)", style))
    found = []
    for node in root.iter():
        at = float(node.get("y", 0)), float(node.get("x", 0))
        if node.tag == f"{_SVG}text" and node.text is not None and "-line-" in node.get("clip-path", ""):
            found.append((*at, node.text, fills.get(node.get("class", ""), "").strip()))
        elif node.tag == f"{_SVG}rect" and node.get("shape-rendering"):
            found.append((*at, f"ground x {node.get('width')}", node.get("fill", "")))
    return sorted(found)


def rows_of(svg: str) -> list[str]:
    """The texts alone, a row of the screen each: for people to see what differs."""
    rows: dict[float, str] = {}
    for y, _, text, _ in contents(svg):
        if not text.startswith("ground x"):
            rows[y] = rows.get(y, "") + text
    return [rows[y].replace("\xa0", " ").rstrip() for y in sorted(rows)]


def check(name: str, svg: str) -> None:
    """Fail where a screen is not as it was kept."""
    path = FOLDER / f"{name}.svg"
    writing = os.environ.get("SSLTERM_SNAPSHOTS") == "write"
    if writing and (not path.exists() or contents(path.read_text()) != contents(svg)):
        path.parent.mkdir(exist_ok=True)
        path.write_text(svg)
    assert path.exists(), (
        f"there is no {path.name} yet: write it with SSLTERM_SNAPSHOTS=write, and look at it"
    )
    kept = path.read_text()
    assert rows_of(kept), f"{path.name} has no text"
    assert rows_of(svg) == rows_of(kept)
    assert contents(svg) == contents(kept), "the texts are the same, the colours are not"
