"""What units listen to: their weights to the image, as pictures."""

from __future__ import annotations

from torch import Tensor

from sslterm.run.panels import Panel


def strongest(filters: Tensor, n: int) -> Tensor:
    """Which `n` of [N, ...] have the largest norms, those first: int64 [n], or [N] where there are fewer."""
    order: Tensor = filters.flatten(1).norm(dim=1).argsort(descending=True, stable=True)
    return order[:n]


def filters_panel(
    filters: Tensor, of: str, *, name: str = "filters", common_scale: bool = False, columns: int = 0
) -> Panel:
    """Weights [N, C, H, W] as images: grey is 0.

    Args:
        of: whose weights they are, and which; the caption begins with it.
        common_scale: black to white is the same for all of them, so that those that say little look it; else each is
            drawn up to its own largest magnitude.
    """
    filters = filters.detach().float()
    if common_scale:
        reach = filters.abs().flatten().quantile(0.995).clamp_min(1e-12)
        scale = f"black to white is {-float(reach):.2g} to {float(reach):.2g}"
    else:
        reach = filters.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
        scale = "grey is 0, each on its own scale"
    return Panel(
        name=name,
        kind="images",
        array=(0.5 + 0.5 * filters / reach).clamp(0, 1).cpu().numpy(),
        caption=f"{of}; {scale}",
        columns=columns,
        low=0.0,
        high=1.0,
    )
