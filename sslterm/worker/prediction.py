"""`predict`: what comes next in a clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslterm.config.schema import ClipConfig
from sslterm.data.pictures import load_clip
from sslterm.errors import DataError
from sslterm.evaluate.features import choose, evaluating
from sslterm.methods.base import Predicts
from sslterm.run.panels import Panel
from sslterm.worker.clips import beside, resized, same_size, working_size
from sslterm.worker.desk import Desk
from sslterm.worker.outputs import Report, stages, to_bytes, write_output
from sslterm.worker.requests import Predict


def predict(desk: Desk, request: Predict, report: Report) -> dict[str, Any]:
    """Predict frames of clips; a strip and a GIF beside what came, and errors where that is known."""
    method, progress = desk.loaded.method, stages(report)
    if not isinstance(method, Predicts):
        raise desk.cannot("predict")
    clips = _clips_to_predict(desk, request, report)
    section = desk.loaded.experiment.data
    stride = section.stride if isinstance(section, ClipConfig) else 1
    rows, films, results = [], [], []
    for number, (name, images) in enumerate(clips):
        progress(f"predicting {name}", number, len(clips))
        frames = images[::stride].float() / 255  # as far apart as in training
        needed = method.context + (0 if request.beyond else request.n)
        if len(frames) < needed:
            raise DataError(
                f"{name} has {len(frames)} frames{f', taking one in {stride}' * (stride > 1)}: too few to predict "
                f"{request.n} from {method.context}",
                f"give {needed * stride} frames or more, or predict fewer: -n",
            )
        context = frames if request.beyond else frames[: -request.n]
        truth = None if request.beyond else frames[-request.n :]
        with evaluating(desk.loaded.method):
            predicted = method.predict(context[None].to(desk.device), request.n)[0].cpu()
        seen = context[-method.context :]
        results.append(_errors(name, predicted, truth, context[-1]))
        rows.append(torch.cat((seen, predicted)))
        films.append(torch.cat((seen, predicted)))
        if truth is not None:
            rows.append(torch.cat((seen, truth)))
            films[-1] = torch.cat((films[-1], rows[-1]), dim=3)
    steps = range(1 - method.context, request.n + 1)
    panel = Panel(
        name="predictions",
        kind="images",
        array=torch.cat(same_size([row.expand(-1, 3, -1, -1) for row in rows])).numpy(),
        caption=_said(results, method.context, request.n),
        columns=method.context + request.n,
        labels=tuple(f"{step:+d}" if step else "0" for step in steps),
        low=0.0,
        high=1.0,
    )
    stem = f"predict-{desk.loaded.images}-" + (
        Path(request.clip).stem if request.clip else f"seed{request.seed}"
    )
    path = write_output(
        desk.run, panel, stem, request.out, frames=to_bytes(beside(films).expand(-1, 3, -1, -1)), back=False
    )
    known = [one for one in results if one["mse"] is not None]
    means = {
        name: sum(one[name] for one in known) / len(known) if known else None
        for name in ("mse", "mse_copy_last")
    }
    gif = str(Path(path).with_suffix(".gif"))
    return {"path": path, "gif": gif, "n": len(results), **means, "results": results}


def _clips_to_predict(desk: Desk, request: Predict, report: Report) -> list[tuple[str, Tensor]]:
    if not request.clip:
        footages = desk.footage(stages(report))
        places = choose(len(footages), request.clips, seed=request.seed).tolist()
        return [(footages[place].name, footages[place].images) for place in places]
    images = load_clip(Path(request.clip), channels=desk.loaded.inputs.channels)
    return [(Path(request.clip).name, resized(images, working_size(desk, images)))]


def _errors(name: str, predicted: Tensor, truth: Tensor | None, last: Tensor) -> dict[str, Any]:
    if truth is None:
        return {"clip": name, "frames": len(predicted), "mse": None, "mse_copy_last": None}
    mse, copied = float((predicted - truth).square().mean()), float((last - truth).square().mean())
    return {"clip": name, "frames": len(predicted), "mse": mse, "mse_copy_last": copied}


def _said(results: Sequence[dict[str, Any]], context: int, n: int) -> str:
    caption = f"{context} frames and the {n} predicted after them"
    known = [one for one in results if one["mse"] is not None]
    if not known:
        return caption
    mse, copied = (float(np.mean([one[name] for one in known])) for name in ("mse", "mse_copy_last"))
    return f"{caption}, the truth below; squared error {mse:.4g} a value, copying the last frame {copied:.4g}"
