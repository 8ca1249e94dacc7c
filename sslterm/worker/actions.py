"""What a trained run does when it is asked: the commands, and what explores it live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from sslterm.engine.build import build_method
from sslterm.errors import DataError, SsltermError, UsageError
from sslterm.evaluate.features import choose, encode, evaluating, own_randomness, rankme, relative_std
from sslterm.evaluate.fidelity import LeaveOut
from sslterm.evaluate.likelihood import ImportanceWeighted, Unnormalized, likelihood
from sslterm.evaluate.online import reconstruction_error, solved
from sslterm.evaluate.panels import reconstructions_panel
from sslterm.evaluate.tracking import tracking
from sslterm.methods.base import Encodes, Likelihood, Method, Reconstructs, Samples, Solves, Tracks
from sslterm.nn.ais import BETAS, CHAINS
from sslterm.run.events import append_event
from sslterm.run.results import EVALUATE
from sslterm.worker.codes import CODES
from sslterm.worker.desk import Desk, read_image
from sslterm.worker.embedding import embed, neighbours
from sslterm.worker.explore import code_of, decode_codes, explore, interpolate, traverse
from sslterm.worker.exporting import export
from sslterm.worker.features import search, write_all
from sslterm.worker.outputs import Report, Stage, check_out, stages, write_output
from sslterm.worker.prediction import predict
from sslterm.worker.probing import probe_run
from sslterm.worker.quality import sample_quality
from sslterm.worker.requests import (
    Code,
    Colorize,
    Complete,
    Decode,
    Embed,
    Evaluate,
    Explore,
    Export,
    Features,
    Interpolate,
    Neighbours,
    Predict,
    Probe,
    Reconstruct,
    Reload,
    Request,
    Sample,
    Score,
    Search,
    Track,
    Traverse,
)
from sslterm.worker.restore import colorize, complete
from sslterm.worker.sampling import choosing, sample
from sslterm.worker.scoring import score
from sslterm.worker.tracking import track


def answer(desk: Desk, request: Request, report: Report) -> dict[str, Any]:
    """Do what `request` asks; returns what the command's `--json` prints.

    Raises:
        SsltermError: it cannot be done.
    """
    result: dict[str, Any]
    match request:
        case Sample():
            result = sample(desk, request, report)
        case Traverse():
            result = traverse(desk, request, report)
        case Reconstruct():
            result = _reconstruct(desk, request, report)
        case Complete():
            result = complete(desk, request, report)
        case Colorize():
            result = colorize(desk, request, report)
        case Track():
            result = track(desk, request, report)
        case Predict():
            result = predict(desk, request, report)
        case Probe():
            result = probe_run(desk, request, report)
        case Evaluate():
            with choosing(desk, request.sampling) as chosen:
                result = _evaluate(desk, request, report, chosen)
        case Score():
            result = score(desk, request, report)
        case Explore():
            result = explore(desk, request)
        case Decode():
            result = decode_codes(desk, request)
        case Code():
            result = code_of(desk, request)
        case Interpolate():
            result = interpolate(desk, request)
        case Embed():
            result = embed(desk, request, report)
        case Neighbours():
            result = neighbours(desk, request, report)
        case Features():
            result = write_all(desk, request, report)
        case Search():
            result = search(desk, request, report)
        case Export():
            result = export(desk, request, report)
        case Reload():
            desk.reload()
            result = {"images": desk.loaded.images}
    return {"run": desk.run.name, **result}


def _reconstruct(desk: Desk, request: Reconstruct, report: Report) -> dict[str, Any]:
    method = desk.loaded.method
    if not isinstance(method, Reconstructs):
        raise desk.cannot("reconstruct")
    check_out(request.out, request.images)
    report_stage = stages(report)
    results: list[dict[str, Any]] = []
    with evaluating(desk.loaded.method), own_randomness(desk.device, request.seed):
        if not request.images:
            index = choose(len(desk.test), request.n, seed=request.seed)
            images = desk.test.batch(index).images
            panel = reconstructions_panel(method, images)
            path = write_output(
                desk.run, panel, f"reconstruct-{desk.loaded.images}-seed{request.seed}", request.out
            )
            restored = torch.from_numpy(panel.array[1::2]).to(images)
            errors = (restored - images).square().flatten(1).mean(1)
            results = [
                {"image": f"test[{position}]", "path": path, "mse": error}
                for position, error in zip(index.tolist(), errors.tolist(), strict=True)
            ]
        for number, name in enumerate(request.images):
            report_stage("reconstructing", number, len(request.images))
            image = read_image(Path(name), desk.loaded.inputs.shape).to(desk.device)
            panel = reconstructions_panel(method, image)
            restored = torch.from_numpy(panel.array[1:]).to(image)
            stem = f"reconstruct-{desk.loaded.images}-{Path(name).stem}"
            path = write_output(desk.run, panel, stem, request.out)
            results.append({"image": name, "path": path, "mse": float((restored - image).square().mean())})
    mean = sum(result["mse"] for result in results) / len(results)
    return {"n": len(results), "mse": mean, "results": results}


def _untrained(desk: Desk) -> Method:
    """The run's network as it was before training."""
    return build_method(desk.loaded.experiment, desk.loaded.inputs).to(desk.device)


def _evaluate(desk: Desk, request: Evaluate, report: Report, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """All figures that the method's capabilities allow, `chosen` saying how its samples are drawn."""
    method = desk.loaded.method
    if not isinstance(method, Likelihood | Samples | Reconstructs | Encodes | Solves | Tracks):
        raise desk.cannot("evaluate")
    if request.samples and not isinstance(method, ImportanceWeighted):
        kind = (
            f"its likelihood is {method.likelihood_kind}"
            if isinstance(method, Likelihood)
            else "it has no likelihood"
        )
        raise UsageError(
            f"{desk.loaded.experiment.run.method} has no importance-weighted bound: {kind}",
            "leave --samples out",
        )
    if (request.betas or request.chains) and not isinstance(method, Unnormalized):
        raise UsageError(
            f"{desk.loaded.experiment.run.method} has no log Z that would have to be estimated",
            "leave --betas and --chains out",
        )
    results: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    pictures: list[dict[str, str]] = []

    def leave_out(what: str, error: SsltermError) -> None:
        skipped.append({"name": what, "reason": error.message, "hint": error.hint})

    for what, measure in _measures(desk, request, stages(report), leave_out, pictures):
        try:
            results += measure
        except (UsageError, DataError) as error:  # too few images for one measure says nothing of the others
            leave_out(what, error)
    if not results:
        raise UsageError(skipped[0]["reason"], skipped[0]["hint"])
    found = {"data": desk.data, "images": desk.loaded.images, "sampling": dict(chosen), "results": results}
    with suppress(OSError):  # a run that is read-only can be evaluated all the same
        append_event(desk.run.results, EVALUATE, **found)
    return {**found, "skipped": skipped, "pictures": pictures}


def _measures(
    desk: Desk, request: Evaluate, progress: Stage, leave_out: LeaveOut, pictures: list[dict[str, str]]
) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """(what is measured, its results) by capability."""
    method, n, seed = desk.loaded.method, request.n or None, request.seed
    if isinstance(method, Likelihood):
        untrained = _untrained(desk)
        assert isinstance(untrained, Likelihood)
        yield "likelihood", likelihood(
            method, desk.test, n=n, k=request.samples or None,
            betas=request.betas or BETAS, chains=request.chains or CHAINS, seed=seed,
            train=desk.train, untrained=untrained, progress=progress,
        )  # fmt: skip
    if isinstance(method, Reconstructs):
        yield "reconstruction", _reconstruction(method, desk, n, seed)
    if isinstance(method, Solves):
        yield "task", _task(method, desk, n, seed)
    if isinstance(method, Tracks):
        yield "tracking", _tracking(method, desk, n, progress)
    if isinstance(method, Encodes):
        yield "embedding", _embedding(method, desk, n, seed)
    if isinstance(method, Samples):
        yield "samples", sample_quality(desk, request, progress, leave_out, pictures)


def _reconstruction(method: Reconstructs, desk: Desk, n: int | None, seed: int) -> Iterator[dict[str, Any]]:
    index = choose(len(desk.test), n, seed=seed)
    with own_randomness(desk.device, seed):
        error = reconstruction_error(method, desk.test, index)
    about = {"n": len(index), "split": "test", "seed": seed}
    yield {"name": "mse", "value": error, "unit": "per value in [0, 1]", "kind": "exact", **about}


def _task(method: Solves, desk: Desk, n: int | None, seed: int) -> Iterator[dict[str, Any]]:
    index = choose(len(desk.test), n, seed=seed)
    with own_randomness(desk.device, seed):
        figures = solved(method, desk.test, index)
    for name, values in figures.items():
        error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
        about = {"kind": "estimate", "standard_error": error, "n": len(values), "split": "test", "seed": seed}
        yield {"name": name, "value": float(values.mean()), "unit": method.solved[name], **about}


def _tracking(method: Tracks, desk: Desk, n: int | None, progress: Stage) -> Iterator[dict[str, Any]]:
    yield from tracking(method, desk.footage(progress)[:n], progress=progress)


def _embedding(method: Encodes, desk: Desk, n: int | None, seed: int) -> Iterator[dict[str, Any]]:
    index = choose(len(desk.test), n or CODES, seed=seed)
    with own_randomness(desk.device, seed):
        features = encode(method, desk.test, index).values
    about = {"kind": "exact", "n": len(index), "split": "test", "dimensions": features.shape[1], "seed": seed}
    yield {"name": "rankme", "value": rankme(features), "unit": "dimensions", **about}
    yield {"name": "relative_std", "value": relative_std(features), "unit": "1/sqrt(D)", **about}
