"""Pictures of autoregressive densities: where the nats are spent, and what a conditional listens to."""

from __future__ import annotations

from torch import Tensor

from sslterm.run.panels import Panel

LEAST = -4.0
"""Power of ten below which a derivative is drawn as nothing."""


def pixel_nats_panel(nats: Tensor, n: int, order: str) -> Panel:
    """Where in an image the nats are spent: [H, W] means over `n` held-out images."""
    return Panel(
        name="pixel-nats",
        kind="matrix",
        array=nats.float().cpu().numpy(),
        caption=(
            f"mean nats at each pixel given those before it, {n} held-out images; {order}; "
            f"{float(nats.sum()):.1f} nats an image in all"
        ),
        low=0.0,
        x_label="column",
        y_label="row",
    )


def receptive_field_panel(reach: Tensor, row: int, column: int, n: int) -> Panel:
    """What the conditional of a pixel listens to.

    Args:
        reach: [H, W] mean absolute derivatives of its log-probability over `n` images.
        row, column: where it is.
    """
    relative = (reach / reach.max().clamp_min(1e-30)).clamp_min(10.0**LEAST).log10()
    return Panel(
        name="receptive-field",
        kind="matrix",
        array=relative.float().cpu().numpy(),
        caption=(
            f"how log p of the pixel in row {row}, column {column} changes with those before it: log10 of the mean "
            f"absolute derivative over the largest, {n} held-out images; {LEAST:.0f}: not at all"
        ),
        low=LEAST,
        high=0.0,
        x_label="column",
        y_label="row",
    )
