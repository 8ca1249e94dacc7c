"""The mechanics of one update: portions, clipping, rates, what is logged, and how divergence is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sslterm.config.resolve import resolve
from sslterm.config.schema import AdamConfig, ConstantSchedule, Experiment, SGDConfig
from sslterm.data.batch import Batch
from sslterm.engine.build import build_method
from sslterm.engine.update import Clock, NotFiniteError, Updater, Window
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method
from sslterm.rows import bernoulli, draw, rand, randint, randn, rows
from tests.conformance.shrink import make_trainer, shrink

CPU = torch.device("cpu")


class Noisy(Method):
    """A loss with noise of its own for every image, and both kinds of aux."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(4, 3)
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = batch.images.flatten(1)
        noise = randn(len(x), 3, like=x) + rand(len(x), 3, like=x) + bernoulli(x[:, :3])
        score = (self.net(x) + noise).square().sum(1)
        return score.mean(), {"norm": score.mean().sqrt(), "scores": score}


def experiment(**train: object) -> Experiment:
    base = resolve("vae", "digits")
    sgd = SGDConfig(
        name="sgd", lr=0.5, momentum=0.0, nesterov=False, weight_decay=0.0, decay_biases_and_norms=False,
        schedule=ConstantSchedule(name="constant", warmup_images=0),
    )  # fmt: skip
    return replace(base, train=replace(base.train, batch=12, **train), optim={"main": sgd})  # type: ignore[arg-type]


def batch() -> Batch:
    images = torch.rand(12, 1, 2, 2, generator=torch.Generator().manual_seed(5))
    return Batch(images, torch.arange(12), torch.full((12,), -1))


def updater(method: Method, settings: Experiment) -> Updater:
    return Updater(method, settings, device=CPU, precision="float32", clock=Clock(total_images=1000))


@pytest.mark.parametrize("portions", [2, 3, 5])
def test_portions_change_nothing(portions: int) -> None:
    results = []
    for count in (1, portions):
        method = Noisy()
        update = updater(method, experiment(micro_batches=count))
        torch.manual_seed(3)
        handed = update("main", method.loss, batch())
        results.append(
            (method.net.weight.detach().clone(), handed["scores"], update.window.means(), torch.rand(1))
        )
    whole, cut = results
    torch.testing.assert_close(cut[0], whole[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(cut[1], whole[1])
    assert cut[2]["main/loss"] == pytest.approx(whole[2]["main/loss"], rel=1e-6)
    assert torch.equal(cut[3], whole[3]), "the random state after an update depends on the portions"


def test_clipping_bounds_the_step_and_logs_the_norm() -> None:
    method = Noisy()
    before = [parameter.detach().clone() for parameter in method.net.parameters()]
    update = updater(method, experiment(clip_norm=0.01))
    update("main", method.loss, batch())
    moved = torch.cat(
        [(new - old).flatten() for old, new in zip(before, method.net.parameters(), strict=True)]
    )
    assert moved.norm().item() == pytest.approx(0.5 * 0.01, rel=1e-4)
    assert update.window.means()["main/grad_norm"] > 0.01


def test_a_scaler_that_overflows_steps_back_and_is_no_divergence() -> None:
    method = Noisy()
    before = [parameter.detach().clone() for parameter in method.net.parameters()]
    update = updater(method, experiment(clip_norm=0.01))
    update.scaler = torch.amp.GradScaler("cpu", init_scale=3e38)
    update("main", lambda batch: (1e3 * method.loss(batch)[0], {}), batch())
    update.window.check()
    assert update.scaler.get_scale() == pytest.approx(1.5e38)
    for old, new in zip(before, method.net.parameters(), strict=True):
        assert torch.equal(old, new)


def test_more_portions_than_images_are_refused() -> None:
    settings = resolve("vae", "digits")
    settings = replace(settings, train=replace(settings.train, batch=4, micro_batches=8))
    inputs = Inputs(channels=1, height=16, width=16, train_images=10, batch=4)
    with pytest.raises(UsageError, match="there are 4 images of a batch to divide"):
        build_method(settings, inputs)


def test_a_step_is_plain_gradient_descent_and_touches_no_other_group() -> None:
    class Two(Noisy):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Linear(3, 3)

        def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
            return {"main": [*self.net.parameters()], "second": [*self.other.parameters()]}

        def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            return self.other(self.net(batch.images.flatten(1))).square().mean(), {}

    method = Two()
    settings = experiment()
    settings = replace(settings, optim={"main": settings.optim["main"], "second": settings.optim["main"]})
    loss, _ = method.loss(batch())
    expected = method.net.weight - 0.5 * torch.autograd.grad(loss, method.net.weight)[0]
    other = method.other.weight.detach().clone()
    updater(method, settings)("main", method.loss, batch())
    torch.testing.assert_close(method.net.weight, expected)
    assert torch.equal(method.other.weight, other)
    assert method.other.weight.grad is None


def test_the_rate_follows_the_schedule_and_what_a_person_sets() -> None:
    settings = experiment()
    warm = replace(settings.optim["main"], schedule=ConstantSchedule(name="constant", warmup_images=48))
    method = Noisy()
    update = updater(method, replace(settings, optim={"main": warm}))
    assert update.rate_factor("main") == 0.25  # a batch of 12 of 48
    update.clock.images = 36
    assert update.rate_factor("main") == 1.0
    update.rate_factors["main"] = 0.1
    update("main", method.loss, batch())
    assert update.optimizers["main"].param_groups[0]["lr"] == pytest.approx(0.05)


def test_forget_drops_the_state_of_one_module() -> None:
    settings = experiment()
    adam = AdamConfig(
        name="adam", lr=1e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0, decay_biases_and_norms=False,
        schedule=ConstantSchedule(name="constant", warmup_images=0),
    )  # fmt: skip
    method = Noisy()
    update = updater(method, replace(settings, optim={"main": adam}))
    update("main", method.loss, batch())
    assert method.net.weight in update.optimizers["main"].state
    update.forget(method.net)
    assert not update.optimizers["main"].state
    update("main", method.loss, batch())  # and goes on from nothing


def test_a_window_names_the_first_value_that_is_not_finite() -> None:
    window = Window()
    for step, value in enumerate([1.0, 2.0, float("nan"), float("nan")]):
        window.add("main/kl", torch.tensor(1.0), step)
        window.add("main/loss", torch.tensor(value), step)
    with pytest.raises(NotFiniteError) as caught:
        window.means()
    assert (caught.value.name, caught.value.step) == ("main/loss", 2)


def test_a_window_survives_a_checkpoint() -> None:
    window, copy = Window(), Window()
    for step in range(3):
        window.add("main/loss", torch.tensor(float(step)), step)
    copy.restore(window.state(), CPU)
    assert copy.means() == window.means() == {"main/loss": 1.0}


@pytest.mark.parametrize(
    "make",
    [
        lambda n, like: randn(n, 3, like=like),
        lambda n, like: rand(n, 2, 2, like=like),
        lambda n, like: randint(10, n, like=like),
        lambda n, like: bernoulli(like),
    ],
)
def test_draws_do_not_depend_on_the_cut(make: object) -> None:
    like = torch.rand(10, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    whole = make(10, like)  # type: ignore[operator]
    parts = []
    for start, stop in ((0, 3), (3, 7), (7, 10)):
        torch.manual_seed(1)
        with rows(start, stop, 10):
            parts.append(make(stop - start, like[start:stop]))  # type: ignore[operator]
    assert torch.equal(torch.cat(parts), whole)


def test_a_draw_that_is_not_per_image_is_left_whole() -> None:
    with rows(2, 4, 10):
        assert draw(5, lambda total: torch.arange(total)).tolist() == [0, 1, 2, 3, 4]
        assert draw(2, lambda total: torch.arange(total)).tolist() == [2, 3]


def test_the_status_says_what_is_done_in_place_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(shrink("vae", "digits", steps=2), tmp_path)
    seen: set[tuple[str, str]] = set()
    for name in ("panels", "log_prob"):

        def watched(*arguments: object, name: str = name) -> object:
            seen.add((name, trainer.scribe.status.between_steps))
            return getattr(type(trainer.method), name)(trainer.method, *arguments)

        monkeypatch.setattr(trainer.method, name, watched)
    trainer.prepare(None)
    trainer.train()
    assert seen == {("panels", "drawing"), ("log_prob", "measuring")}
    assert trainer.scribe.status.between_steps == ""
