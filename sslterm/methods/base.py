"""The contract between methods and the engine.

A method owns the *order* of a training step; the engine owns its *mechanics*. A method hands `update` a function of
a batch, never a computed loss; precision, micro-batches, gradient exchange, clipping, schedules, compilation and
logging then live in one place and hold for all methods.

Rules that make exact resume, several ranks and micro-batches hold without code in any method:

- State that must survive is a parameter or a buffer; what changes with time is a function of `update.progress`.
- Randomness inside a loss comes from `sslterm.rows` (`randn`, `rand`, `bernoulli`, ...), which draws for the whole
  batch and returns the rows at hand, so that the result does not depend on how a batch is cut.
- A loss reads buffers and never writes them (normalization statistics aside); writes happen in `step`.
- Networks return float32, and losses are computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from sslterm.config.schema import ViewConfig
from sslterm.data.batch import Batch
from sslterm.run.panels import Panel

LossFn = Callable[[Batch], tuple[Tensor, dict[str, Tensor]]]
"""batch -> (scalar loss, aux). A 0-d entry of aux is logged; one of B rows is handed back by `update`."""


class Stream(Protocol):
    """Yields this rank's rows of the next batch, epoch after epoch."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __next__(self) -> Batch: ...

    def through(self, order: Tensor) -> Batch:
        """The next batch, with image `order[i]` wherever image i stands in the epoch's permutation.

        Args:
            order: [N] int64, N the images of the training set, equal on all ranks; keep it in a buffer.
        """


class Sweep(Protocol):
    """A look at the training set between two epochs."""

    def __call__(self, fn: Callable[[Tensor], Tensor], index: Tensor | None = None) -> Tensor:
        """`fn` over the images at `index` [N], or over all in their order: [N, ...], equal on all ranks."""


class Update(Protocol):
    """One optimizer step, and the clocks that schedules are functions of."""

    @property
    def step(self) -> int:
        """Steps done so far."""

    @property
    def images(self) -> int:
        """Training images drawn so far, over all ranks."""

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1]."""

    def __call__(self, name: str | tuple[str, ...], loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        """Minimise `loss_fn` over the parameter group `name` by one step; returns the batched entries of aux.

        Several groups step together, each by its own optimizer and schedule, on one gradient of the loss; what
        is logged bears the name of the first.
        """

    def forget(self, module: nn.Module) -> None:
        """Drop the optimizer state of a module whose weights were drawn anew."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a method is built for: the shape of the data, and the views of the preset."""

    channels: int
    height: int
    width: int
    train_images: int
    batch: int = 0
    """Images in an update, over all ranks; 0 where nothing is trained."""
    classes: int = 0
    """0 where there are no labels."""
    unlabelled: int = 0
    """Training images whose class is unknown."""
    frames: int = 0
    """Frames in a clip; 0 for still images."""
    views: Mapping[str, ViewConfig] = field(default_factory=dict)
    """The preset's `[augment.*]`."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return (self.channels, self.height, self.width)

    @property
    def values(self) -> int:
        """Numbers in an image: C * H * W."""
        return self.channels * self.height * self.width


class Method(nn.Module):
    """What every method is. Subclasses define a frozen dataclass `Config` and `loss`; the rest has defaults.

    Args of every subclass's `__init__`:
        config: the preset's `[method]` section.
        inputs: what it is trained on.
    """

    Config: ClassVar[type[Any]]
    couples_batch: ClassVar[bool] = False
    """The loss compares images of a batch (also through batch normalization): micro-batches are refused."""

    @property
    def onnx_lacks(self) -> str:
        """What `encode` or `decode` does that ONNX has no form of, in words; "" where it has all."""
        return ""

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Scalar to minimise, and aux: 0-d entries are logged as `name/key`, batched ones are handed back."""
        raise NotImplementedError

    def step(self, data: Stream, update: Update) -> None:
        """The algorithm box; override to change the order."""
        update("main", self.loss, next(data))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """What each optimizer of the preset (`[optim.<name>]`) trains."""
        return {"main": [parameter for parameter in self.parameters() if parameter.requires_grad]}

    def begin_epoch(self, sweep: Sweep, update: Update) -> None:
        """Called on every rank before the step that enters a new epoch; rank 0's state is given to all after it."""

    def panels(self, batch: Batch) -> Iterator[Panel]:
        """What is worth watching besides what the capabilities give; `batch` is held out and always the same."""
        yield from ()


F = TypeVar("F", bound=Callable[..., Any])


def eager(loss: F) -> F:
    """Mark a loss that must not be compiled (it differentiates twice)."""
    loss.eager = True  # type: ignore[attr-defined]
    return loss


# Capabilities: what can be asked of a trained method. Structural; the conformance suite calls each one that is claimed
# in the catalog. All are called in evaluation mode, without gradients.


@runtime_checkable
class Encodes(Protocol):
    def encode(self, images: Tensor) -> Tensor:
        """[B, C, H, W] in [0, 1] -> [B, D] features."""

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """Named intermediate features, each [B, ...], in order of depth; includes what `encode` gives."""


@runtime_checkable
class EmbedsViews(Protocol):
    """What has a space in which views of an image are compared; diagnostics look at it, users need not."""

    def embed_views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, H, W] -> embeddings of two random views of each image, [B, D] each."""


@runtime_checkable
class Clusters(Protocol):
    """What assigns every image to one of its own clusters."""

    clusters: int

    def assign(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B] int64, the cluster of each."""


@runtime_checkable
class Solves(Protocol):
    """What sets itself a task of which the answer is known, such as a puzzle or a picture to be restored."""

    solved: Mapping[str, str]
    """The figures of `solve`, and the unit of each, with what guessing reaches: "share (chance 0.25)"."""

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        """Set the task on [B, (T,) C, H, W] and solve it: figures by name, [B] each, one for every image.

        What naive answers reach on the same task ("mse_copy_last") belongs beside what the method reaches.
        """


@runtime_checkable
class Samples(Protocol):
    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """Partial images [n, C, H, W] in [0, 1]; the last is final."""


@runtime_checkable
class Adjustable(Protocol):
    """What draws samples in more than one way."""

    sampling: Any
    """How it draws them now: a frozen dataclass, read by `sample` and `decode`, that commands replace.

    No part of the state: a run that is loaded draws as it was built to. Where the values of a field are not listed by
    its type, an attribute named like it in the plural (`resolutions` of `resolution`) may list them. A method
    `refuse_idle(chosen)` may raise UsageError where one of the chosen fields would do nothing beside the others.
    """


@runtime_checkable
class Reconstructs(Protocol):
    def reconstruct(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W], both in [0, 1]."""


@runtime_checkable
class Latent(Protocol):
    latent_dim: int
    latent_prior: Literal["normal", "none"]
    """"normal": codes are standard normal a priori; "none": there is no prior (autoencoder).

    Under a prior `sample` decodes torch.randn(n, latent_dim, generator=generator), but for samplers that draw on.
    """

    def decode(self, z: Tensor) -> Tensor:
        """[B, latent_dim] -> [B, C, H, W] in [0, 1]."""


@runtime_checkable
class ClassLatent(Protocol):
    """A decoder that is told which class to draw: of one class it is as `Latent` is."""

    latent_dim: int
    latent_prior: Literal["normal"]
    classes: int

    def decode_class(self, z: Tensor, label: Tensor) -> Tensor:
        """[B, latent_dim], [B] int64 -> [B, C, H, W] in [0, 1]."""


@runtime_checkable
class Likelihood(Protocol):
    """A density of images. One that takes many forward passes an image says about how many: `likelihood_passes`."""

    likelihood_kind: Literal["exact", "bound", "estimate"]
    likelihood_protocol: str
    """What density is measured: "dynamic binarization", "binarized at 0.5", or "8-bit pixels, ..."."""

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """[B, C, H, W] -> [B] natural logarithms of the density (or its bound or estimate), in nats.

        Bits are drawn from the generator before anything else, so that all densities are judged by the same.
        """


@runtime_checkable
class Completes(Protocol):
    def complete(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """Fill where `mask` [B, 1, H, W] is 1; partial images, the last is final."""


@runtime_checkable
class Colorizes(Protocol):
    def colorize(self, images: Tensor) -> Tensor:
        """Grey [B, 1, H, W] -> colour [B, 3, H, W], both in [0, 1]."""


@runtime_checkable
class Tracks(Protocol):
    def track(self, clip: Tensor, mask: Tensor) -> Tensor:
        """Clip [T, C, H, W] of any size and masks of its first frame [K, H, W] -> masks [T, K, H, W].

        Masks are shares in [0, 1]; what is left to 1 is background. The first ones come back as they were.
        """

    def track_pixels(self, clip: Tensor, mask: Tensor) -> Tensor:
        """The same with raw pixels in place of features: what tracking has to beat."""


@runtime_checkable
class Predicts(Protocol):
    context: int
    """Frames that it looks at."""

    def predict(self, clips: Tensor, n: int) -> Tensor:
        """The `n` frames after clips [B, T, C, H, W], T >= context: [B, n, C, H, W], all in [0, 1]."""


CAPABILITIES: Mapping[str, type[Any]] = {
    "encode": Encodes,
    "sample": Samples,
    "reconstruct": Reconstructs,
    "decode": Latent,
    "decode_class": ClassLatent,
    "log_prob": Likelihood,
    "complete": Completes,
    "colorize": Colorizes,
    "track": Tracks,
    "predict": Predicts,
}
