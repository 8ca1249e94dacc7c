"""What every method of the catalog must do; a new method is tested by being listed."""

from __future__ import annotations

import ast
import fcntl
import importlib.util
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sslterm.catalog import CATALOG
from sslterm.config.presets import needs_download, preset_names, read_preset
from sslterm.data.source import load_source
from sslterm.data.store import Store
from sslterm.data.stream import BatchStream
from sslterm.engine.build import build_method, inputs_of, method_class
from sslterm.engine.checkpoint import list_checkpoints, open_checkpoint
from sslterm.engine.sweep import sweep_over
from sslterm.engine.update import Clock, Updater
from sslterm.errors import UsageError
from sslterm.methods.base import CAPABILITIES, Batch, LossFn, Method, Solves
from sslterm.render.charts import choose_charts
from sslterm.render.panel import draw_panel
from sslterm.run.layout import RunDirectory
from sslterm.run.reader import RunReader
from tests.conformance.ranks import STEPS, train_a_little
from tests.conformance.shrink import METHODS, PRESETS, make_trainer, shrink

NEED_MORE_STEPS = ("deepcluster", "dino", "rbm", "dbm", "frame-order")
"""Whose loss need not fall in forty."""
METHOD_IDS = [method for method, _ in METHODS]
every_method = pytest.mark.parametrize(("method", "preset"), METHODS, ids=METHOD_IDS)


@pytest.mark.parametrize(("method", "preset"), PRESETS, ids=["/".join(names) for names in PRESETS])
def test_builds_from_every_preset(method: str, preset: str) -> None:
    experiment = shrink(method, preset)
    built = build_method(experiment, inputs_of(experiment, load_source(experiment.data)))
    listed = [id(parameter) for group in built.parameter_groups().values() for parameter in group]
    assert len(listed) == len(set(listed)), "a parameter belongs to two groups"
    assert set(listed) <= {id(parameter) for parameter in built.parameters()}


@every_method
def test_has_a_preset_without_download_and_names_itself_consistently(method: str, preset: str) -> None:
    assert not needs_download(read_preset(method, preset)[0])
    for name in preset_names(method):
        table, header = read_preset(method, name)
        assert (table["run"]["method"], table["run"]["preset"]) == (method, name)
        assert f"sslterm train {method} --preset {name}" in header
    module = CATALOG[method].target.partition(":")[0]
    assert module.rpartition(".")[2] == method.replace("-", "_")


@every_method
def test_explains_itself(method: str, preset: str) -> None:
    spec = importlib.util.find_spec(CATALOG[method].target.partition(":")[0])
    assert spec is not None
    assert spec.origin is not None
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or ""
    for section in ("Idea:", "Objective:", "Departures:", "Watch for:", "Shapes:"):
        assert f"\n{section}\n" in text, f"{method} has no section {section}"


@every_method
def test_trains_and_every_panel_can_be_drawn(method: str, preset: str, tmp_path: Path) -> None:
    """Forty steps, and all that the trainer writes meanwhile."""
    experiment = shrink(method, preset, batch=32, steps=40, log_every_images=32)
    trainer = make_trainer(experiment, tmp_path / method)
    trainer.prepare(None)
    assert trainer.train() == "finished"
    reader = RunReader(trainer.scribe.run)
    reader.refresh()
    _check_metrics(method, reader)
    _check_panels(method, reader)


def _check_metrics(method: str, reader: RunReader) -> None:
    series = reader.metrics.series
    for name, values in series.items():
        assert np.isfinite(values.value).all(), name
    assert CATALOG[method].headline in series
    assert set(CATALOG[method].curves) <= {chart.what for chart in choose_charts(series)}
    # A game has no loss to minimise; DeepCluster's classifier is drawn anew every three steps here, so that
    # tests/math/test_deepcluster.py has epochs that are long enough; DINO's targets sharpen as it learns; those of
    # Boltzmann machines are differences of energies, 0 at the start and at the end (tests/math/test_rbm.py); to
    # find out what moves takes more steps than there are here, so that tests/math/test_frame_order.py has them.
    if CATALOG[method].family != "implicit" and method not in NEED_MORE_STEPS:
        loss = series["main/loss"].value[3:]  # in an epoch, of three steps, queues and banks have filled
        assert loss[-8:].mean() < loss[:8].mean()


def _check_panels(method: str, reader: RunReader) -> None:
    assert set(CATALOG[method].opens_on) <= set(reader.panels)
    for name, history in reader.panels.items():
        panel = reader.panel(name, history[-1])
        assert np.isfinite(panel.array).all(), name
        assert panel.caption, f"panel {name} does not say what it shows"
        for color in (True, False):
            cells = draw_panel(panel, 60, 20, color=color)
            assert any(line.strip() for line in cells.plain().splitlines())
        assert reader.panel_png(name, history[-1]).stat().st_size > 100


@every_method
def test_resumes_to_the_bit(method: str, preset: str, tmp_path: Path) -> None:
    experiment = shrink(method, preset, steps=12)  # 96 images, batches of 16: an epoch ends at step 6
    whole = make_trainer(experiment, tmp_path / "whole")
    whole.prepare(None)
    whole.train()
    cut = (
        4 * experiment.train.batch
    )  # as if killed right after this checkpoint, with later lines already written
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    run = RunDirectory(tmp_path / "cut")
    for images in list_checkpoints(run):
        if images > cut:
            shutil.rmtree(run.checkpoint(images))
    torch.manual_seed(999)  # a new process has another random state
    resumed = make_trainer(experiment, run.path)
    resumed.prepare(open_checkpoint(run, cut))
    resumed.train()

    end = experiment.train.images
    ours, theirs = open_checkpoint(run, end), open_checkpoint(whole.scribe.run, end)
    _assert_equal(ours.model_state(), theirs.model_state())
    ignored = {"elapsed_seconds"}
    states = [{k: v for k, v in c.trainer_state().items() if k not in ignored} for c in (ours, theirs)]
    _assert_equal(*states)
    readers = [RunReader(run), RunReader(whole.scribe.run)]
    for reader in readers:
        reader.refresh()
    for name, series in readers[1].metrics.series.items():
        if not name.startswith("speed/"):
            assert series.value.tolist() == readers[0].metrics.series[name].value.tolist(), name
            assert series.step.tolist() == readers[0].metrics.series[name].step.tolist(), name
    for picture in whole.scribe.run.panels.rglob("*.npz"):
        assert (
            picture.read_bytes() == (run.panels / picture.relative_to(whole.scribe.run.panels)).read_bytes()
        )


def _assert_equal(ours: object, theirs: object, where: str = "") -> None:
    if isinstance(ours, Tensor) and isinstance(theirs, Tensor):
        assert torch.equal(ours, theirs), where
    elif isinstance(ours, dict) and isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), where
        for key in ours:
            _assert_equal(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), where
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            _assert_equal(one, other, f"{where}[{number}]")
    else:
        assert ours == theirs, where


@every_method
def test_micro_batches_are_equal_or_refused(method: str, preset: str) -> None:
    cut = shrink(method, preset, micro_batches=4)
    inputs = inputs_of(cut, load_source(cut.data))
    if method_class(method).couples_batch:
        with pytest.raises(UsageError, match="micro_batches"):
            build_method(cut, inputs)
        return
    _assert_close(train_a_little(cut), train_a_little(shrink(method, preset)))


def _assert_close(ours: dict[str, dict[str, Tensor]], theirs: dict[str, dict[str, Tensor]]) -> None:
    """The same first gradients, and nearly the same state after a few steps."""
    for group, gradient in theirs["gradients"].items():
        scale = gradient.abs().max()
        assert scale > 0, group
        assert (ours["gradients"][group] - gradient).abs().max() <= 2e-5 * scale, group
    for name, value in theirs["state"].items():
        torch.testing.assert_close(
            ours["state"][name].float(), value.float(), rtol=0, atol=STEPS * 4e-3, msg=name
        )


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One pair of processes that takes the whole catalog through a few steps; test processes share what it finds."""
    shared = tmp_path_factory.getbasetemp()
    folder = (shared if worker_id == "master" else shared.parent) / "ranks"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _run_two_ranks(folder)
            (folder / "done").touch()
    return folder


def _run_two_ranks(folder: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, "-m", "tests.conformance.ranks", str(folder)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.timeout(1000)
@every_method
def test_two_ranks_are_one_process(method: str, preset: str, two_ranks: Path) -> None:
    first, second = (torch.load(two_ranks / f"{method}-{rank}.pt", weights_only=True) for rank in (0, 1))
    _assert_equal(first, second, method)  # every parameter and buffer, to the bit
    _assert_close(first, train_a_little(shrink(method, preset)))


class _Recorder(Updater):
    """Notes which losses a step hands over."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.seen: dict[str, tuple[LossFn, Batch]] = {}

    def __call__(self, name: str | tuple[str, ...], loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        for each in (name,) if isinstance(name, str) else name:
            self.seen[each] = (loss_fn, batch)
        return super().__call__(name, loss_fn, batch)


@every_method
def test_compiles_without_graph_breaks_or_is_marked_eager(method: str, preset: str) -> None:
    experiment = shrink(method, preset)
    source = load_source(experiment.data)
    built = build_method(experiment, inputs_of(experiment, source)).train()
    clock = Clock()
    recorder = _Recorder(built, experiment, device=torch.device("cpu"), precision="float32", clock=clock)
    stream = BatchStream(Store(source.train, torch.device("cpu")), batch=experiment.train.batch, seed=0)
    built.begin_epoch(partial(sweep_over, stream.store, size=16), recorder)
    built.step(stream, recorder)
    if set(recorder.seen) != set(experiment.optim):  # the others are trained in a later stage
        clock.images = clock.total_images
        built.step(stream, recorder)
    assert set(recorder.seen) == set(experiment.optim)
    for loss_fn, batch in recorder.seen.values():
        if getattr(loss_fn, "eager", False):
            continue
        torch._dynamo.reset()
        loss, _ = torch.compile(loss_fn, backend="eager", fullgraph=True)(
            batch
        )  # a graph break is an error here
        assert torch.isfinite(loss)


@every_method
def test_keeps_what_it_claims(method: str, preset: str) -> None:
    experiment = shrink(method, preset)
    source = load_source(experiment.data)
    inputs = inputs_of(experiment, source)
    built = build_method(experiment, inputs).eval()
    has = {name for name, protocol in CAPABILITIES.items() if isinstance(built, protocol)}
    assert has == set(CATALOG[method].capabilities)
    images = Store(source.test, torch.device("cpu")).batch(torch.arange(6)).images
    with torch.no_grad():
        for name in has:
            _CALLS[name](built, images)
        if isinstance(built, Solves):
            _check_solve(built, images)


def _are_images(images: Tensor, shape: tuple[int, ...]) -> None:
    assert images.shape == shape
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1


def _check_encode(method: Method, images: Tensor) -> None:
    features = method.encode(images)
    assert features.ndim == 2
    assert len(features) == len(images)
    assert torch.isfinite(features).all()
    layers = method.layers(images)
    assert all(len(layer) == len(images) for layer in layers.values())
    assert any(
        torch.equal(layer.flatten(1), features)
        for layer in layers.values()
        if layer.numel() == features.numel()
    )
    torch.testing.assert_close(method.encode(images[:2]), features[:2], rtol=1e-4, atol=1e-5)


def _check_sample(method: Method, images: Tensor) -> None:
    def draw(seed: int) -> Tensor:
        *_, final = method.sample(5, torch.Generator().manual_seed(seed))
        return final

    _are_images(draw(0), (5, *images.shape[1:]))
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))


def _check_reconstruct(method: Method, images: Tensor) -> None:
    _are_images(method.reconstruct(images), tuple(images.shape))


def _check_decode(method: Method, images: Tensor) -> None:
    assert method.latent_prior in ("normal", "none")
    _are_images(method.decode(torch.randn(5, method.latent_dim)), (5, *images.shape[1:]))
    if method.latent_prior == "normal" and not hasattr(getattr(method, "sampling", None), "sampler"):
        z = torch.randn(5, method.latent_dim, generator=torch.Generator().manual_seed(2))
        *_, samples = method.sample(5, torch.Generator().manual_seed(2))
        torch.testing.assert_close(samples, method.decode(z))  # `traverse --arithmetic` relies on it


def _check_decode_class(method: Method, images: Tensor) -> None:
    assert method.latent_prior == "normal"
    z = torch.randn(1, method.latent_dim).expand(method.classes, -1)
    drawn = method.decode_class(z, torch.arange(method.classes))
    _are_images(drawn, (method.classes, *images.shape[1:]))
    assert len(drawn.flatten(1).unique(dim=0)) == method.classes  # one code, as every class


def _check_log_prob(method: Method, images: Tensor) -> None:
    assert method.likelihood_kind in ("exact", "bound", "estimate")
    assert method.likelihood_protocol
    first, again = (method.log_prob(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (len(images),)
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)


def _check_complete(method: Method, images: Tensor) -> None:
    mask = torch.zeros(len(images), 1, *images.shape[2:])
    mask[:, :, 8:24, 8:24] = 1
    *_, final = method.complete(images, mask, torch.Generator().manual_seed(0))
    _are_images(final, tuple(images.shape))
    assert torch.equal(final * (1 - mask), images * (1 - mask))  # what was there stays
    assert not torch.equal(final * mask, images * mask)


def _check_colorize(method: Method, images: Tensor) -> None:
    _are_images(method.colorize(images.mean(1, keepdim=True)), (len(images), 3, *images.shape[2:]))


def _check_track(method: Method, clips: Tensor) -> None:
    mask = torch.zeros(2, *clips.shape[3:])
    mask[0, :16], mask[1, 16:] = 1, 1
    for follow in (method.track, method.track_pixels):
        tracked = follow(clips[0], mask)
        _are_images(tracked, (clips.shape[1], 2, *clips.shape[3:]))
        assert torch.equal(tracked[0], mask)
        assert follow(clips[0, ..., 3:, :-2], mask[:, 3:, :-2]).shape[2:] == (29, 30)  # of any size


def _check_predict(method: Method, clips: Tensor) -> None:
    _are_images(method.predict(clips[:, : method.context], 3), (len(clips), 3, *clips.shape[2:]))
    assert method.predict(clips[..., 3:, :-2], 1).shape[3:] == (29, 30)  # of any size


def _check_solve(method: Solves, images: Tensor) -> None:
    """On the same draws the same figures, one for every image."""
    torch.manual_seed(0)
    figures = method.solve(images)
    torch.manual_seed(0)
    again = method.solve(images)
    assert set(figures) == set(method.solved)
    for name, values in figures.items():
        assert values.shape == (len(images),), name
        assert torch.isfinite(values).all(), name
        assert torch.equal(values, again[name]), name


_CALLS = {
    "encode": _check_encode,
    "sample": _check_sample,
    "reconstruct": _check_reconstruct,
    "decode": _check_decode,
    "decode_class": _check_decode_class,
    "log_prob": _check_log_prob,
    "complete": _check_complete,
    "colorize": _check_colorize,
    "track": _check_track,
    "predict": _check_predict,
}
