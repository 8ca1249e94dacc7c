"""What the likelihoods of a run are likelihoods of, as far as its configuration says.

Nats of bits drawn by grey levels, of bits cut off at a half and of 8-bit pixels differ by tens and hundreds: they
share neither a column nor an order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sslterm.run.comparison import Side, better, order

_LIKELIHOODS: Final = ("_nats", "_bits_per_dim")
_BITS: Final = {
    "dynamic": "dynamic binarization",
    "fixed": "fixed binarization",
    "threshold": "binarized at 0.5",
}
EIGHT_BITS: Final = "8-bit pixels"


def is_likelihood(metric: str) -> bool:
    """Whether a metric is one of a density: "test/nll_nats"."""
    return metric.endswith(_LIKELIHOODS)


def density_of(config: Mapping[str, Any]) -> str:
    """The density of a configuration by dotted keys: "binarized at 0.5"."""
    if config.get("method.output", "binary") != "binary":  # a pixel model of grey levels or of colours
        return EIGHT_BITS
    return _BITS.get(config.get("method.binarization", ""), EIGHT_BITS)


def densities_of(sides: Sequence[Side], metric: str) -> list[str]:
    """The densities among runs that have measured a metric; none of what is no likelihood."""
    if not is_likelihood(metric):
        return []
    return list(dict.fromkeys(density_of(side.config) for side in sides if metric in side.results))


def best_first(sides: Sequence[Side], metric: str) -> list[int]:
    """Indices of runs, the best by a metric first; of likelihoods those of one density after the other."""
    ranked = order([side.last(metric) for side in sides], better(metric))
    places = {density: place for place, density in enumerate(densities_of(sides, metric))}
    return sorted(ranked, key=lambda index: places.get(density_of(sides[index].config), len(places)))
