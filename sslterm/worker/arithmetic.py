"""`traverse --arithmetic`: what terms of a sum of codes mean, and the picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.evaluate.arithmetic import BESIDE, SPACED, Term, arithmetic_panel, parse_sum
from sslterm.evaluate.features import choose, seeded
from sslterm.evaluate.latent import encodes_for_decoding
from sslterm.methods.base import Latent
from sslterm.worker.codes import CODES, OfClass, decoded, encoded, flat, layout_of
from sslterm.worker.desk import Desk
from sslterm.worker.outputs import write_output
from sslterm.worker.requests import Traverse
from sslterm.worker.sampling import IN_GRID, class_number


def arithmetic(desk: Desk, method: Latent, request: Traverse) -> dict[str, Any]:
    """A sum of codes as a picture, and what it is a sum of.

    Raises:
        UsageError: it is no sum, or its terms mean nothing here.
    """
    if isinstance(method, OfClass):
        raise UsageError(
            f"{desk.loaded.experiment.run.method} draws a code as the class that it is told: a sum of codes has none",
            "walk between codes of one class: --from SEED --to SEED --class NAME",
        )
    written = parse_sum(request.arithmetic)
    ends = request.ends
    if ends == "auto":
        ends = "codes" if _has_classes(desk, method) or method.latent_prior != "normal" else "prior"
    source = _Classes(desk, method) if ends == "codes" else _Draws(desk, method, request.seed)
    terms = [source.term(sign, names) for sign, names in written]
    panel, z = arithmetic_panel(method, terms, spread=source.spread, seed=request.seed)
    path = write_output(
        desk.run, panel, f"arithmetic-{desk.loaded.images}-{ends}", request.out, also={"z": flat(z)}
    )
    described = [
        {"sign": term.sign, "of": list(names)} for term, (_, names) in zip(terms, written, strict=True)
    ]
    return {"path": path, **layout_of(method, panel), "ends": ends, "terms": described}


def _has_classes(desk: Desk, method: Latent) -> bool:
    return encodes_for_decoding(method) and bool((desk.test.labels >= 0).any())


class _Draws:
    """Terms that are images of the grid that `sample` draws, numbered along its rows from 1."""

    def __init__(self, desk: Desk, method: Latent, seed: int) -> None:
        if method.latent_prior != "normal":
            raise UsageError(
                "this latent space has no prior to draw from", "take classes of held-out images: --ends codes"
            )
        self.desk, self.method = desk, method
        generator = seeded(desk.device, seed)
        self.codes = torch.randn(
            IN_GRID, method.latent_dim, generator=generator, device=generator.device
        ).cpu()  # as `sample` does
        self.spread = torch.ones(method.latent_dim)

    def term(self, sign: int, names: Sequence[str]) -> Term:
        codes = torch.stack([self.codes[self._place(name)] for name in names])
        return Term(sign, ",".join(names), codes.mean(0), decoded(self.desk, self.method, codes[:BESIDE]))

    def _place(self, name: str) -> int:
        if name.isdecimal() and 1 <= int(name) <= IN_GRID:
            return int(name) - 1
        raise UsageError(
            f"there is no sample {name!r}: a grid of `sslterm sample` has 1 to {IN_GRID}, row by row",
            "" if name.isdecimal() else SPACED,
        )


class _Classes:
    """Terms that are classes: the mean codes of their held-out images."""

    def __init__(self, desk: Desk, method: Latent) -> None:
        self.desk = desk
        self.index = choose(len(desk.test), CODES, seed=0)
        self.labels = desk.test.labels.cpu()[self.index]
        self.codes = encoded(desk, method, desk.test.batch(self.index).images)
        self.spread = self.codes.std(0) if method.latent_prior == "none" else torch.ones(method.latent_dim)

    def term(self, sign: int, names: Sequence[str]) -> Term:
        members = [self._members(name) for name in names]
        mean = torch.stack([self.codes[places].mean(0) for places in members]).mean(0)  # classes count alike
        some = torch.cat([places[: max(1, BESIDE // len(names))] for places in members])[:BESIDE]
        return Term(sign, ",".join(names), mean, self.desk.test.batch(self.index[some]).images.cpu())

    def _members(self, name: str) -> Tensor:
        places = (self.labels == class_number(self.desk, name)).nonzero().squeeze(1)
        if not len(places):
            raise UsageError(f"no held-out image of {self.desk.data} is of the class {name!r}")
        return places
