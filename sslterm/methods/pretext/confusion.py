"""The confusion of a pretext task: which answer was given where which was right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslterm.nn.precision import double
from sslterm.run.panels import Panel


def confusion_panel(
    given: Tensor, right: Tensor, names: Sequence[str], *, of: str, name: str = "confusion"
) -> Panel:
    """Rows are the right answers, columns the given ones; a row adds up to 1 (0 where it never was right).

    Args:
        given, right: [B] int64, numbers of answers.
        names: of the answers.
        of: what was asked, how often: "512 held-out images, each turned four ways".
    """
    answers = len(names)
    counts = torch.bincount(right * answers + given, minlength=answers**2).view(answers, answers)
    counts = double(counts)
    shares = counts / counts.sum(1, keepdim=True).clamp_min(1)
    hits = float((given == right).float().mean())
    return Panel(
        name=name,
        kind="matrix",
        array=shares.float().cpu().numpy(),
        caption=f"{of}: {100 * hits:.1f} % right, chance {100 / answers:.3g} %",
        low=0.0,
        high=1.0,
        labels=tuple(names),
        x_label="given answer",
        y_label="right answer",
    )
