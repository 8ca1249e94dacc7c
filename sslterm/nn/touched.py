"""Which parameters and buffers of a network a computation looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class _Watch(TorchFunctionMode):
    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self.names, self.seen = names, set[str]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = tree_leaves((args, kwargs))
        self.seen |= {self.names[id(leaf)] for leaf in leaves if id(leaf) in self.names}
        return func(*args, **(kwargs or {}))


def touched(network: nn.Module, compute: Callable[[], object]) -> dict[str, Tensor]:
    """What of `network.state_dict()` goes into `compute()`, by name and in its order."""
    state = network.state_dict(keep_vars=True)
    watch = _Watch({id(tensor): name for name, tensor in state.items()})
    with watch:
        compute()
    return {name: tensor.detach() for name, tensor in state.items() if name in watch.seen}
