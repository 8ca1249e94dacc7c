"""The whole catalog on two gloo ranks, in one pair of processes.

    torchrun --nproc-per-node 2 -m tests.conformance.ranks OUT

Writes, for every method, the gradient of each first update and the state after a few steps, as each rank sees it.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sslterm.config.schema import Experiment
from sslterm.data.source import load_source
from sslterm.data.store import Store
from sslterm.data.stream import BatchStream
from sslterm.engine.build import build_method, inputs_of
from sslterm.engine.distributed import copy_from_first
from sslterm.engine.sweep import sweep_over
from sslterm.engine.update import Clock, Updater
from sslterm.rows import rank, world_size
from tests.conformance.shrink import METHODS, shrink

STEPS = 3


class RecordingUpdater(Updater):
    """Keeps the exchanged gradient of the first update of every group."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.first_gradients: dict[str, Tensor] = {}

    def rate_factor(self, name: str) -> float:  # called between the exchange and the step
        if name not in self.first_gradients:
            gradients = [parameter.grad for parameter in self.groups[name] if parameter.grad is not None]
            self.first_gradients[name] = torch.cat([gradient.flatten().clone() for gradient in gradients])
        return super().rate_factor(name)


def train_a_little(experiment: Experiment) -> dict[str, dict[str, Tensor]]:
    """A few steps from the seed, on all ranks there are: {"gradients": by group, "state": of the method}."""
    device = torch.device("cpu")
    source = load_source(experiment.data)
    store = Store(source.train, device)
    method = build_method(experiment, inputs_of(experiment, source)).train()
    clock = Clock(total_images=experiment.train.images)
    updater = RecordingUpdater(method, experiment, device=device, precision="float32", clock=clock)
    stream = BatchStream(
        store, batch=experiment.train.batch, seed=experiment.run.seed, rank=rank(), world=world_size()
    )
    torch.manual_seed(experiment.run.seed)
    method.begin_epoch(partial(sweep_over, store, size=experiment.train.batch), updater)
    copy_from_first(method)
    for _ in range(STEPS):
        method.step(stream, updater)
        clock.step += 1
        clock.images = stream.position
    if set(updater.first_gradients) != set(updater.groups):  # some are trained in a later stage
        clock.images = clock.total_images
        method.step(stream, updater)
    state = {name: value.clone() for name, value in nn.Module.state_dict(method).items()}
    return {"gradients": updater.first_gradients, "state": state}


def main() -> None:
    dist.init_process_group("gloo")
    for method, preset in METHODS:
        torch.save(train_a_little(shrink(method, preset)), Path(sys.argv[1]) / f"{method}-{rank()}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
