"""The JSON that every command prints with `--json`: the one place that says so.

Help texts outline these types, `COMMAND --json-schema` prints them as JSON Schema, and tests hold all outputs to
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sslterm.cli.outputs.figures import Embedded, Evaluated, Exported, Neighbours, Probed, ScoredImages
from sslterm.cli.outputs.knowledge import (
    DataChecked,
    DataFetched,
    DataSummary,
    ManualWritten,
    MethodDescription,
    MethodSummary,
    PresetCopied,
    PresetSummary,
)
from sslterm.cli.outputs.machine import Examined
from sslterm.cli.outputs.pictures import (
    Colorized,
    Completed,
    Predicted,
    Reconstructed,
    Sampled,
    Tracked,
    Traversed,
)
from sslterm.cli.outputs.runs import (
    Comparison,
    Differences,
    Packed,
    Plotted,
    PlotWritten,
    Removed,
    Reported,
    RunDescription,
    RunSummary,
    Unpacked,
)
from sslterm.cli.outputs.speed import Benched
from sslterm.cli.outputs.training import Asked, Configuration, Progress, Reproduced, Swept, SweptRuns

OUTPUTS: Mapping[str, Any] = {
    "train": Progress | Configuration,
    "resume": Progress,
    "pause": Asked,
    "continue": Asked,
    "stop": Asked,
    "checkpoint": Asked,
    "sweep": Swept | SweptRuns,
    "reproduce": Progress | Reproduced,
    "monitor": list[RunSummary],
    "runs list": list[RunSummary],
    "runs show": RunDescription,
    "runs diff": Differences,
    "runs rm": Removed,
    "runs export": Packed,
    "runs import": Unpacked,
    "plot": Plotted | PlotWritten,
    "compare": Comparison,
    "report": Reported,
    "sample": Sampled,
    "traverse": Traversed,
    "reconstruct": Reconstructed,
    "complete": Completed,
    "colorize": Colorized,
    "track": Tracked,
    "predict": Predicted,
    "probe": Probed,
    "evaluate": Evaluated,
    "score": ScoredImages,
    "embed": Embedded,
    "export": Exported,
    "neighbors": Neighbours,
    "methods": list[MethodSummary],
    "explain": MethodDescription,
    "presets list": list[PresetSummary],
    "presets show": Configuration,
    "presets copy": PresetCopied,
    "data list": list[DataSummary],
    "data get": list[DataFetched],
    "data check": DataChecked,
    "bench": Benched,
    "doctor": Examined,
    "docs": ManualWritten,
}
"""By command; where several are joined, which it is depends on the options."""

LINES = frozenset({"train", "resume", "reproduce"})
"""Commands that print one value a line, as they come."""
