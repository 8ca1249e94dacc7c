"""Stands for a worker: a decoder that writes its code into the image, an encoder whose map is known."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslterm.errors import SsltermError
from sslterm.run.layout import RunDirectory
from sslterm.run.packed import pack, pack_rows, unpack_rows
from tests.tui.recorded import new_run, put_status

SIDE = 4


def put_checkpoint(run: RunDirectory, images: int) -> None:
    run.checkpoint(images).mkdir(parents=True)
    (run.checkpoint(images) / "manifest.json").touch()


def explored_run(root: Path, method: str = "vae", *, checkpoint: int | None = 512_000) -> RunDirectory:
    run = new_run(root, f"{method}-digits-1", method)
    put_status(run, state="finished")
    if checkpoint is not None:
        put_checkpoint(run, checkpoint)
    return run


def picture(z: NDArray[Any]) -> NDArray[np.uint8]:
    """[N, D] -> [N, 1, 4, 4]: all pixels of an image say where its first two coordinates are."""
    value = np.clip(np.rint(128 + 40 * z[:, 0] + 8 * z[:, min(1, z.shape[1] - 1)]), 0, 255).astype(np.uint8)
    return np.broadcast_to(value[:, None, None, None], (len(z), 1, SIDE, SIDE)).copy()


POINTS = np.array([[x, y] for y in range(3) for x in range(4)], dtype=np.float32)
"""A map of 12 images in 4 columns and 3 rows; those of a row are of a class."""


class Explored(AbstractContextManager["Explored"]):
    """Answers as a worker does, at once; remembers what it was asked."""

    def __init__(self, dimensions: int = 2, *, prior: str = "normal", codes: int = 300) -> None:
        self.dimensions, self.prior, self.codes = dimensions, prior, codes
        self.alive = True
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.newest = 512_000
        self.images = self.newest
        self.dies = False
        """At the next question."""
        self.refusal: SsltermError | None = None
        self.ended = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __enter__(self) -> Explored:
        self.alive = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()

    def terminate(self) -> None:
        self.may_answer.set()
        self.ended.set()

    def questions(self, do: str) -> list[dict[str, Any]]:
        return [arguments for what, arguments in self.asked if what == do]

    def codes_of(self, do: str) -> list[NDArray[np.float32]]:
        """The codes of every question of a kind."""
        return [unpack_rows(arguments["z"], self.dimensions) for arguments in self.questions(do)]

    def ask(
        self, do: str, on_progress: Callable[[dict[str, Any]], None] | None = None, **arguments: Any
    ) -> dict[str, Any]:
        self.asked.append((do, arguments))
        if on_progress is not None and do in ("explore", "embed"):
            on_progress({"stage": "loading the run", "done": 0, "total": 1})
        self.may_answer.wait(10)
        if self.dies:
            self.alive = self.dies = False
            raise SsltermError("the process was killed by signal 9", "it may have run out of memory")
        if self.refusal is not None:
            raise self.refusal
        answer: dict[str, Any] = getattr(self, f"_{do}")(**arguments)
        return answer

    def _explore(self) -> dict[str, Any]:
        unit = np.eye(self.dimensions, dtype=np.float32)
        shares = np.linspace(-2, 2, 101, dtype=np.float32)
        own = None if self.prior == "normal" else pack(np.tile(shares, (self.dimensions, 1)))
        names = [f"z{i + 1}" for i in range(self.dimensions)]
        families = {
            "dimensions": {"names": names, "vectors": pack(unit), "quantiles": own, "order": "variance"}
        }
        if self.codes and self.dimensions > 2:
            quantiles = pack(np.tile(shares, (self.dimensions, 1)))
            names = [f"PC{i + 1} (9 %)" for i in range(self.dimensions)]
            families["principal"] = {
                "names": names, "vectors": pack(unit[::-1].copy()), "quantiles": quantiles, "order": "variance",
            }  # fmt: skip
        return {
            "dimensions": self.dimensions, "prior": self.prior, "origin": pack(np.zeros(self.dimensions)),
            "families": families, "codes": self.codes, "shape": [1, SIDE, SIDE], "images": self.images,
        }  # fmt: skip

    def _decode(self, z: str, side: int = 0) -> dict[str, Any]:
        return {"images": pack(picture(unpack_rows(z, self.dimensions)))}

    def _code(self, place: int) -> dict[str, Any]:
        z = np.full((1, self.dimensions), 0.5 + place)
        return {
            "z": pack_rows(z), "place": place, "index": 40 + place, "label": 3, "class_name": "three",
            "image": pack(picture(z)),
        }  # fmt: skip

    def _interpolate(self, z: str, steps: int, names: list[str], save: bool) -> dict[str, Any]:
        points = unpack_rows(z, self.dimensions)
        legs = [np.linspace(a, b, steps) for a, b in itertools.pairwise(points)]
        path = np.concatenate(legs)
        saved = f"/runs/outputs/path-{''.join(names)}.png" if save else None
        return {"kind": "linear", "z": pack(path), "images": pack(picture(path)), "path": saved, "gif": saved}

    def _embed(self, method: str, n: int, save: bool) -> dict[str, Any]:
        points = POINTS if method == "pca" else POINTS[::-1].copy()
        return {
            "points": pack(points), "labels": [i // 4 for i in range(12)] if self.codes else None,
            "class_names": ["ant", "bee", "cat"], "caption": f"{method} of 12 images (uses labels)",
            "x_label": "x", "y_label": "y", "n": 12, "dimensions": self.dimensions, "images": self.images,
            "path": f"/runs/outputs/embedding-{method}.png" if save else None,
        }  # fmt: skip

    def _neighbours(self, place: int, k: int, n: int) -> dict[str, Any]:
        places = [near % 12 for near in (place + 1, place + 2, place + 4)]
        images = np.stack([np.full((1, SIDE, SIDE), 20 * near, np.uint8) for near in (place, *places)])
        return {
            "places": places, "similarities": [0.9, 0.8, 0.7], "index": [100 + p for p in (place, *places)],
            "images": pack(images),
        }  # fmt: skip

    def _reload(self) -> dict[str, Any]:
        self.images = self.newest
        return {"images": self.images}
