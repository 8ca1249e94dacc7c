"""The README of an export: what it is, how to load it, what was measured of it, and of what kind each number is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sslterm.catalog import CATALOG
from sslterm.methods.base import ClassLatent, Encodes, Latent
from sslterm.render.figures import LEGEND, figure_tables, figures_markdown
from sslterm.render.quantity import number
from sslterm.run.panels import load_panel
from sslterm.run.reader import RunReader
from sslterm.worker.desk import Desk
from sslterm.worker.export_check import Checked
from sslterm.worker.export_parts import shape_of

PICTURE = "picture.png"
PANELS = ("samples", "reconstructions", "latent-plane", "embedding", "neighbours")
"""What a picture of a run is, after what its method opens on."""
UNITS = {
    "knn": "accuracy, nearest neighbours among training features (uses labels)",
    "knn_pixels": "accuracy, nearest neighbours among raw pixels: the baseline (uses labels)",
    "linear": "accuracy, linear probe (uses labels)",
    "mse": "mean squared error per value in [0, 1]",
    "rankme": "effective dimensions of the features",
    "sample_spread": "how far samples are from each other, over the same of held-out images",
}
"""Of measures that no catalog entry explains."""


@dataclass(frozen=True)
class Card:
    """What the card has to say besides what the run tells.

    Attributes:
        encoder: "ema" or "online" where the run has both.
        own: the run encodes with this network by itself.
    """

    to: str
    encoder: str
    own: bool
    parts: tuple[str, ...]
    notes: tuple[str, ...]
    checks: tuple[Checked, ...]


def write_card(folder: Path, desk: Desk, card: Card) -> None:
    """Write README.md, and the picture that it shows, where the run has drawn one."""
    reader = RunReader(desk.run)
    reader.refresh()
    lines = [*_front(desk, card), *_what(desk, card), *_picture(folder, desk, reader)]
    lines += [*_how(folder, desk, card), *_measured(desk, reader, card), *_trained(desk), *_checked(card)]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _front(desk: Desk, card: Card) -> Iterator[str]:
    """What model hubs read."""
    method = desk.loaded.experiment.run.method
    library = {"safetensors": "sslterm", "onnx": "onnx"}.get(card.to, card.to)
    yield from ("---", f"library_name: {library}", "tags:", "  - self-supervised-learning", f"  - {method}")
    yield from ("  - sslterm", "---", "")


def _what(desk: Desk, card: Card) -> Iterator[str]:
    loaded, method = desk.loaded, desk.loaded.experiment.run.method
    entry = CATALOG.get(method)
    yield from (f"# {desk.run.name}", "")
    if entry:
        yield f"{method}: {entry.title}. {entry.authors}, {entry.year}, {entry.paper}."
    parts = " and ".join(f"the {part}" for part in card.parts)
    verb = "are" if len(card.parts) > 1 else "is"
    which = {
        "ema": " It is the moving average of the trained network.",
        "online": " It is the trained network.",
    }
    yield (
        f"Here {verb} {parts}, after {loaded.images:,} training images of {desk.data} "
        f"({loaded.inputs.train_images:,} different ones)."
        + (which.get(card.encoder, "") + " There are both." if card.encoder else "")
    )
    yield ""


def _picture(folder: Path, desk: Desk, reader: RunReader) -> Iterator[str]:
    entry = CATALOG.get(desk.loaded.experiment.run.method)
    for name in (*(entry.opens_on if entry else ()), *PANELS, *reader.panels):
        drawn = [images for images in reader.panels.get(name, []) if images <= desk.loaded.images]
        source = desk.run.panel(name, drawn[-1], ".png") if drawn else None
        if source is None or not source.is_file():
            continue
        shutil.copyfile(source, folder / PICTURE)
        caption = load_panel(desk.run.panel(name, drawn[-1])).caption
        yield from (f"![{name}]({PICTURE})", "", f"{name}, after {drawn[-1]:,} images: {caption}", "")
        return


def _how(folder: Path, desk: Desk, card: Card) -> Iterator[str]:
    method, inputs = desk.loaded.method, desk.loaded.inputs
    yield from ("## How to load it", "", "load.py, of this folder:", "", "```python")
    yield from (folder / "load.py").read_text().rstrip().splitlines()
    yield from ("```", "")
    if (folder / "config.json").exists():
        yield from ("timm finds all of this by itself as well:", "", "```python")
        yield from (
            f'model = timm.create_model("local-dir:{desk.run.name}-timm", pretrained=True).eval()  # this folder',
            "```", "", "Images are to be standardised before, as `encode` above does.", "",
        )  # fmt: skip
    if card.to == "safetensors":
        yield "The names are sslterm's own."
        if "encoder" in card.parts:
            yield "To train from here: `sslterm train METHOD --init encoder.safetensors`"
        yield ""
    if isinstance(method, Encodes) and "encoder" in card.parts:
        yield f"- Images in: {shape_of(inputs)}, float32 in [0, 1]."
        width = method.encode(desk.held_out(1, seed=0)).shape[1]
        yield f"- Features: [N, {width}], float32."
    if isinstance(method, Latent | ClassLatent) and {"decoder", "generator"} & {*card.parts}:
        prior = "standard normal a priori" if method.latent_prior == "normal" else "without a prior"
        yield f"- Codes: [N, {method.latent_dim}], {prior}; images out: {shape_of(inputs)} in [0, 1]."
    if isinstance(method, ClassLatent) and "generator" in card.parts:
        yield f"- Classes: [N], int64, 0 to {method.classes - 1}."
    yield from (f"- {note}" for note in card.notes)
    yield ""


def _measured(desk: Desk, reader: RunReader, card: Card) -> Iterator[str]:
    tables = figure_tables(reader.results, images=desk.loaded.images)
    online = list(_online(desk, reader))
    yield from ("## What was measured", "")
    if not card.own:
        yield from (
            "All of it with the network that the run encodes with by itself, not with the one that is here.", ""
        )  # fmt: skip
    if tables:
        yield from (LEGEND, "")
    for table in tables:
        yield figures_markdown(table)
    if not tables:
        encoder = "encoder" in card.parts
        by = "`sslterm probe` and `sslterm evaluate` measure" if encoder else "`sslterm evaluate` measures"
        yield from (f"Nothing of this checkpoint yet: {by} it.", "")
    if online:
        yield from ("While it trained, on held-out images:", "")
        yield from ("| measure | value | what it is | after images |", "| :-- | --: | :-- | --: |")
        for name, value, what, images in online:
            yield f"| {name} | {number(value)} | {what} | {images:,} |"
        yield ""


def _online(desk: Desk, reader: RunReader) -> Iterator[tuple[str, float, str, int]]:
    """What was measured on held-out images while it trained, up to this checkpoint."""
    entry = CATALOG.get(desk.loaded.experiment.run.method)
    for name, series in reader.metrics.series.items():
        where, _, what = name.rpartition("/")
        places = (series.images <= desk.loaded.images).nonzero()[0]
        if where != "test" or not len(places):
            continue
        kind = entry.unit if entry and entry.headline == name else ""
        solved = getattr(desk.loaded.method, "solved", {})
        kind = kind or str(solved.get(what, "")) or UNITS.get(what, "")
        at = places[-1]
        yield name, float(series.value[at]), kind or "online evaluation", int(series.images[at])


def _trained(desk: Desk) -> Iterator[str]:
    experiment = desk.loaded.experiment
    yield from ("## How it was trained", "")
    yield f"From the preset {experiment.run.preset} of {experiment.run.method}, seed {experiment.run.seed}. config.toml"
    yield "beside this file is the complete configuration; to train it again:"
    yield f"`sslterm train {experiment.run.method} --preset {experiment.run.preset} --config config.toml`."
    yield ""


def _checked(card: Card) -> Iterator[str]:
    yield from (
        "## That it is the same",
        "",
        "load.py was run when this was written, and compared with the run:",
        "",
    )
    for check in card.checks:
        yield (
            f"- {check.part}, {check.n} {check.inputs}: largest difference {check.largest_difference:.1e}, "
            f"of values up to {check.largest_value:.3g}"
        )
