"""Fine-tuning: whose parameters are whose, what is done with them, and the training beside a plain loop."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.catalog import CATALOG
from sslterm.config.schema import DataConfig
from sslterm.data.source import Split, load_source
from sslterm.data.store import Store
from sslterm.engine.build import build_method, inputs_of
from sslterm.errors import DivergedError, UsageError
from sslterm.evaluate.classifier import (
    BATCH,
    HEAD_FACTOR,
    WEIGHT_DECAY,
    Classifier,
    Tuning,
    accuracy,
    fine_tune,
    schedule,
    vary,
)
from sslterm.evaluate.features import Features, choose_by_class, encode_layers, pixels
from sslterm.evaluate.linear import fit_linear
from sslterm.evaluate.probe import probe
from sslterm.evaluate.treatment import (
    copy_for,
    make_plan,
    parameters_by_layer,
    reached_by_layer,
    set_modes,
    treatments,
)
from sslterm.methods.base import Encodes, Method
from sslterm.nn.norm import BatchNorm
from tests.conformance.shrink import METHODS, shrink

CPU = torch.device("cpu")


class Stack(Method):
    """Three layers with a norm, one without weights, one that shares, a head that nothing named depends on."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.norm = BatchNorm(4)
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.ReLU())
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.third = nn.Linear(4, 5)
        self.scale = nn.Parameter(torch.ones(5))
        self.projector = nn.Linear(5, 3)
        self.teacher = copy.deepcopy(self.first).requires_grad_(False)

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        first = self.norm(self.first(images))
        second = self.second(first).relu()
        pooled = second.mean((2, 3))
        third = (self.third(pooled) * self.scale).tanh()
        return {"conv1": first, "conv2": second, "pooled": pooled, "dense": third}

    def encode(self, images: Tensor) -> Tensor:
        return self.layers(images)["pooled"]


CONV1 = {"first.0.weight", "norm.weight", "norm.bias"}
CONV2 = {"second.weight", "second.bias"}
DENSE = {"third.weight", "third.bias", "scale"}


def some(n: int = 4) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def digits() -> tuple[Store, Store]:
    config = DataConfig(name="digits", path="", size=8, train_images=0, test_images=0, seed=0)
    source = load_source(config, lambda what, done, total: None)
    return Store(source.train, CPU), Store(source.test, CPU)


# whose parameters are whose


def test_a_layer_owns_what_its_gradient_reaches_and_no_earlier_ones_does() -> None:
    method = Stack()
    method.second.requires_grad_(False)
    method.train()
    reached = reached_by_layer(method, some())
    assert reached["conv2"] == CONV1 | CONV2 == reached["pooled"] == reached["encode"]
    assert parameters_by_layer(reached) == {"conv1": CONV1, "conv2": CONV2, "pooled": set(), "dense": DENSE}
    learns = {name for name, parameter in method.named_parameters() if parameter.requires_grad}
    assert learns == {name for name, _ in method.named_parameters()} - CONV2 - {"teacher.0.weight"}
    assert method.training
    assert method.norm.training
    assert torch.equal(method.norm.running_mean, torch.zeros(4))
    assert all(parameter.grad is None for parameter in method.parameters())


ENCODERS = [names for names in METHODS if "encode" in CATALOG[names[0]].capabilities]


@pytest.mark.parametrize(("method", "preset"), ENCODERS, ids=[method for method, _ in ENCODERS])
def test_every_method_that_encodes_has_layers_with_weights_of_their_own(method: str, preset: str) -> None:
    experiment = shrink(method, preset)
    source = load_source(experiment.data)
    built = build_method(experiment, inputs_of(experiment, source)).eval()
    assert isinstance(built, Encodes)
    images = Store(source.test, CPU).batch(torch.arange(4)).images
    reached = reached_by_layer(built, images)
    own = parameters_by_layer(reached)
    assert list(own) == list(built.layers(images))
    listed = [name for names in own.values() for name in names]
    assert len(listed) == len(set(listed))
    assert reached["encode"], "its encoding depends on no weights"
    assert reached["encode"] <= set(listed)
    assert own[next(iter(own))], "the first layer has no weights"
    # What is not reached does not matter, and what is does.
    parameters = dict(built.named_parameters())
    with torch.no_grad():
        before = built.encode(images)
        for name in parameters.keys() - reached["encode"]:
            parameters[name].add_(1.0)
        assert torch.equal(built.encode(images), before)
        for name in own[next(iter(own))] & reached["encode"]:
            parameters[name].mul_(1.5).add_(0.1)
        assert not torch.equal(built.encode(images), before)


@pytest.mark.parametrize(("method", "preset"), ENCODERS, ids=[method for method, _ in ENCODERS])
def test_every_method_that_encodes_can_be_fine_tuned(method: str, preset: str) -> None:
    experiment = shrink(method, preset)
    source = load_source(experiment.data)
    built = build_method(experiment, inputs_of(experiment, source)).eval()
    store = Store(Split(source.train.images[:32], torch.arange(32) % 2), CPU)
    reached = reached_by_layer(built, store.batch(torch.arange(2)).images)
    own = {name: names & reached["encode"] for name, names in parameters_by_layer(reached).items()}
    first, *_ = (name for name, names in own.items() if names)
    plan = make_plan(reached, "encode", layers=(f"{first}=frozen",), rate=0.01)
    classifier = Classifier(copy_for(plan, built, built), "encode", store.batch(torch.arange(2)).images, 2)
    before = copy.deepcopy(classifier.state_dict())
    fine_tune(classifier, plan, store, torch.arange(32), Tuning(epochs=2), seed=0)
    changed = {
        name for name, value in classifier.state_dict().items() if not torch.equal(value, before[name])
    }
    learns = {f"network.{name}" for name, rate in plan.rates.items() if rate}
    assert {"head.weight", "norm.running_mean"} <= changed
    assert changed & {f"network.{name}" for name, _ in built.named_parameters()} <= learns
    assert not any(
        name.rpartition(".")[0] in {f"network.{part.rpartition('.')[0]}" for part in own[first]}
        for name in changed
    )
    assert 0 <= accuracy(classifier, store, torch.arange(32)) <= 1


# what is done with them


def test_treatments_name_layers_spans_and_all_and_the_last_word_counts() -> None:
    names = ["conv1", "conv2", "pooled", "dense"]
    assert treatments(("conv1=frozen", " dense = 0.1 "), names) == {"conv1": "frozen", "dense": "0.1"}
    assert treatments(("all=1e-4", "conv2..dense=new", "dense=frozen"), names) == {
        "conv1": "1e-4", "conv2": "new", "pooled": "new", "dense": "frozen",
    }  # fmt: skip
    assert treatments((), names) == {}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("conv1", "does not say what is done", "conv1=frozen"),
        ("conv1=", "does not say what is done", "conv1=new"),
        ("conv1=fast", "does not say what is done", "conv1=0.0001"),
        ("conv1=0", "does not say what is done", "conv1=frozen"),
        ("conv1=-0.1", "does not say what is done", ""),
        ("conv1=inf", "does not say what is done", ""),
        ("=new", "there is no layer ''", "there is: conv1"),
        ("cnov1=new", "there is no layer 'cnov1'", "'conv1'"),
        ("conv1..nose=new", "there is no layer 'nose'", ""),
        ("dense..conv1=new", "conv1 lies below dense", "conv1..dense"),
    ],
)
def test_treatments_that_say_nothing_are_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        treatments((text,), ["conv1", "conv2", "pooled", "dense"])
    assert hint in error.value.hint


def test_a_plan_gives_every_parameter_below_the_head_its_rate() -> None:
    plan = make_plan(
        reached_by_layer(Stack(), some()),
        "dense",
        layers=("conv1=frozen", "conv2=new", "dense=0.1"),
        rate=0.01,
    )
    assert plan.rates == dict.fromkeys(CONV1, 0.0) | dict.fromkeys(CONV2, 0.01) | dict.fromkeys(DENSE, 0.1)
    assert plan.new == CONV2
    plan = make_plan(reached_by_layer(Stack(), some()), "encode", layers=("all=new",), rate=0.01)
    assert plan.rates == dict.fromkeys(CONV1 | CONV2, 0.01)
    assert plan.new == CONV1 | CONV2
    assert make_plan(reached_by_layer(Stack(), some()), "conv1", layers=(), rate=0.5).rates == dict.fromkeys(
        CONV1, 0.5
    )


@pytest.mark.parametrize(
    ("head", "text", "message"),
    [
        ("encode", "dense=frozen", "it lies above encode, where the head is"),
        ("conv1", "conv2=new", "it lies above conv1"),
        ("dense", "pooled=new", "it has no weights of its own"),
        ("dnese", "conv1=new", "there is no layer 'dnese'"),
    ],
)
def test_a_plan_for_what_is_not_below_the_head_is_refused(head: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_plan(reached_by_layer(Stack(), some()), head, layers=(text,), rate=0.01)


def test_what_is_new_comes_from_another_draw_with_its_statistics() -> None:
    method, redrawn = Stack(0), Stack(1)
    for stack, value in ((method, 3.0), (redrawn, 7.0)):
        stack.norm.running_mean.fill_(value)
    before = copy.deepcopy(method.state_dict())
    plan = make_plan(reached_by_layer(method, some()), "encode", layers=("conv1=new",), rate=0.01)
    network = copy_for(plan, method, redrawn)
    ours, new = network.state_dict(), redrawn.state_dict()
    for name, value in ours.items():
        source = new if name.startswith(("first.", "norm.")) else before
        assert torch.equal(value, source[name]), name
    assert float(ours["norm.running_mean"][0]) == 7.0
    learns = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learns == CONV1 | CONV2  # not the layer above the head, nor what no layer needs
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_frozen_layers_stay_to_the_bit_with_their_statistics_and_the_run_is_not_touched(
    digits: tuple[Store, Store],
) -> None:
    method = Stack()
    before = copy.deepcopy(method.state_dict())
    plan = make_plan(reached_by_layer(method, some()), "encode", layers=("conv1=frozen",), rate=0.01)
    classifier = Classifier(copy_for(plan, method, method), "encode", some(), 10)
    fine_tune(classifier, plan, digits[0], torch.arange(300), Tuning(epochs=1), seed=0)
    for name, value in classifier.network.state_dict().items():
        assert torch.equal(value, before[name]) != (name in CONV2), name
        assert torch.equal(method.state_dict()[name], before[name]), name
    set_modes(classifier.network)
    modes = {name: part.training for name, part in classifier.network.named_modules()}
    assert not modes[""]
    assert not modes["norm"]
    assert modes["second"]
    learning = copy_for(
        make_plan(reached_by_layer(method, some()), "encode", layers=(), rate=0.01), method, method
    )
    set_modes(learning)
    assert {name: part.training for name, part in learning.named_modules()}["norm"]
    assert not {name: part.training for name, part in learning.named_modules()}["projector"]


# training


def test_training_is_a_plain_loop(digits: tuple[Store, Store]) -> None:
    """AdamW with three rates, weight decay on matrices alone, a schedule by step: beside torch's by hand."""
    store, _ = digits
    index = torch.arange(600)
    tuning = Tuning(layers=("conv1=0.003", "conv2=new"), rate=0.01, epochs=2, flip=False, shift=False)
    method, redrawn = Stack(0), Stack(1)
    plan = make_plan(reached_by_layer(method, some()), "dense", layers=tuning.layers, rate=tuning.rate)
    classifier = Classifier(copy_for(plan, method, redrawn), "dense", some(), 10)
    reference = copy.deepcopy(method)
    reference.second.load_state_dict(redrawn.second.state_dict())
    head, norm = nn.Linear(5, 10), nn.BatchNorm1d(5, affine=False)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    rates = [
        (reference.first, 0.003),
        (reference.norm, 0.003),
        (reference.second, 0.01),
        (reference.third, 0.01),
        (head, 0.01 * HEAD_FACTOR),
    ]
    groups = [
        {"params": [p for p in part.parameters() if (p.ndim > 1) == matrices], "peak": rate,
         "weight_decay": WEIGHT_DECAY if matrices else 0.0}
        for part, rate in rates
        for matrices in (True, False)
    ]  # fmt: skip
    groups.append({"params": [reference.scale], "peak": 0.01, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    generator, step = torch.Generator().manual_seed(5), 0
    reference.train()
    for _ in range(2):
        order = torch.randperm(600, generator=generator)
        for start in range(0, 512, BATCH):
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * schedule(step / 8)
            batch = store.batch(index[order[start : start + BATCH]])
            optimizer.zero_grad()
            F.cross_entropy(head(norm(reference.layers(batch.images)["dense"])), batch.label).backward()
            optimizer.step()
            step += 1
    stages: list[tuple[str, int, int]] = []
    fine_tune(
        classifier,
        plan,
        store,
        index,
        tuning,
        seed=5,
        progress=lambda *at: stages.append(at),
        stage="training",
    )
    ours = classifier.network.state_dict()
    for name, value in reference.state_dict().items():
        if not name.startswith("projector"):
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(classifier.head.weight, head.weight, rtol=1e-3, atol=1e-5)
    assert stages[0] == ("training, epoch 1 of 2", 0, 8)


def test_the_rate_rises_and_falls_to_nothing() -> None:
    assert schedule(0.0) == pytest.approx(0.02)
    assert schedule(0.05) == pytest.approx(0.5 * (1 + math.cos(0.05 * math.pi)))
    assert max(schedule(step / 1000) for step in range(1001)) > 0.99
    assert schedule(0.5) == pytest.approx(0.5)
    assert schedule(1.0) == pytest.approx(0.0)


def test_few_images_are_gone_through_more_often() -> None:
    assert Tuning().epochs_of(20_000) == 10
    assert Tuning().epochs_of(100) == 500  # a step each
    assert Tuning().epochs_of(1280) == 50
    assert Tuning(epochs=3).epochs_of(100) == 3


def test_shifts_are_windows_of_the_mirrored_continuation_and_half_is_flipped() -> None:
    images = torch.rand(400, 2, 16, 8, generator=torch.Generator().manual_seed(1))
    padded = F.pad(images, (1, 1, 2, 2), mode="reflect")
    varied = vary(images, Tuning(flip=True, shift=True), torch.Generator().manual_seed(0))
    flipped_pad = F.pad(images.flip(3), (1, 1, 2, 2), mode="reflect")
    found = torch.zeros(400, dtype=torch.long)
    seen, flips = set(), 0
    for down in range(5):
        for right in range(3):
            for flip, source in ((0, padded), (1, flipped_pad)):
                window = source[:, :, down : down + 16, right : right + 8]
                same = (window == varied).flatten(1).all(1)
                found += same
                seen |= {(down, right)} if bool(same.any()) else set()
                flips += flip * int(same.sum())
    assert found.tolist() == [1] * 400
    assert len(seen) == 15
    assert flips == pytest.approx(200, abs=50)
    assert torch.equal(vary(images, Tuning(flip=False, shift=False), torch.Generator()), images)
    clips = images.view(200, 2, 2, 16, 8)
    moved = vary(clips, Tuning(flip=True, shift=True), torch.Generator().manual_seed(0))
    whole = vary(clips.flatten(1, 2), Tuning(flip=True, shift=True), torch.Generator().manual_seed(0))
    assert torch.equal(moved.flatten(1, 2), whole)


def test_a_rate_that_is_too_high_is_said_to_be(digits: tuple[Store, Store]) -> None:
    plan = make_plan(reached_by_layer(Stack(), some()), "dense", layers=(), rate=1e38)
    classifier = Classifier(copy_for(plan, Stack(), Stack()), "dense", some(), 10)
    with pytest.raises(DivergedError, match=r"diverged at a rate of 1e\+38") as error:
        fine_tune(classifier, plan, digits[0], torch.arange(300), Tuning(rate=1e38, epochs=1), seed=0)
    assert "--rate" in error.value.hint


# the protocol


def rows_of(digits: tuple[Store, Store], *protocols: str, **options: object) -> list[dict[str, object]]:
    train, test = digits
    return list(probe(Stack(0), Stack(1), train, test, protocols=protocols, **options))  # type: ignore[arg-type]


def test_the_protocol_gives_all_that_gives_it_meaning(digits: tuple[Store, Store]) -> None:
    train, test = digits
    told: list[str] = []
    tuning = Tuning(layers=("conv1=frozen",), epochs=3, flip=False)
    (row,) = rows_of(
        digits,
        "finetune",
        layers=("dense",),
        tuning=tuning,
        progress=lambda stage, done, total: told.append(stage),
    )
    assert (row["protocol"], row["layer"], row["dimensions"]) == ("finetune", "dense", 5)
    assert (row["n_train"], row["n_test"], row["epochs"], row["lr"]) == (1500, 297, 3, 1e-3)
    assert (row["layers"], row["augment"], row["baseline_pixels_centred"]) == ("conv1=frozen", "shift", None)
    assert row["baseline_pixels"] == fit_linear(pixels(train), seed=0).accuracy(pixels(test))
    frozen = [encode_layers(Stack(0), store)["dense"] for store in (train, test)]
    assert row["baseline_frozen"] == fit_linear(frozen[0], seed=0).accuracy(frozen[1])
    assert 0.1 < row["accuracy"] <= 1  # type: ignore[operator]
    assert "std" not in row
    assert {
        "finetune on dense (trained), epoch 3 of 3",
        "finetune on dense (untrained), epoch 1 of 3",
    } <= set(told)
    (again,) = rows_of(digits, "finetune", layers=("dense",), tuning=tuning)
    assert again == row


def test_few_labelled_images_are_drawn_several_times(digits: tuple[Store, Store]) -> None:
    train, test = digits
    few, share = rows_of(digits, "finetune@3", "finetune@1%", tuning=Tuning(epochs=2, flip=False))
    assert (few["protocol"], few["n_train"], few["draws"]) == ("finetune@3", 30, 3)
    assert share["n_train"] == sum(max(1, round(n / 100)) for n in torch.bincount(train.labels).tolist())
    raw, held = pixels(train), pixels(test)
    scores = []
    for draw in range(3):
        chosen = choose_by_class(train.labels, "3", seed=draw)
        assert torch.bincount(train.labels[chosen]).tolist() == [3] * 10
        scores.append(fit_linear(Features(raw.values[chosen], raw.labels[chosen]), seed=draw).accuracy(held))
    assert few["baseline_pixels"] == pytest.approx(sum(scores) / 3)
    assert few["std"] >= 0  # type: ignore[operator]


def test_fine_tuning_starts_from_what_was_learned(digits: tuple[Store, Store]) -> None:
    """A network that has been taught these digits is ahead of an untrained one that is given as few steps."""
    train, test = digits
    plan = make_plan(reached_by_layer(Stack(), some()), "dense", layers=(), rate=0.01)
    taught = copy_for(plan, Stack(), Stack())
    classifier = Classifier(taught, "dense", some(), 10)
    fine_tune(classifier, plan, train, torch.arange(1500), Tuning(rate=0.01, epochs=8, flip=False), seed=0)
    learnt = accuracy(classifier, test, torch.arange(297))
    assert learnt > 0.5
    tuning = Tuning(layers=("all=frozen",), rate=0.01, epochs=8, flip=False)
    (row,) = probe(taught, Stack(1), train, test, protocols=("finetune",), layers=("dense",), tuning=tuning)
    assert row["accuracy"] > row["baseline_untrained"] + 0.15  # type: ignore[operator]
    assert row["accuracy"] == pytest.approx(row["baseline_frozen"], abs=0.1)
    fresh = Tuning(layers=("all=new",), rate=0.01, epochs=2, flip=False)
    (row,) = probe(
        taught,
        Stack(1),
        train,
        test,
        protocols=("finetune",),
        layers=("dense",),
        tuning=fresh,
        redrawn=Stack(2),
    )
    assert row["accuracy"] == row["baseline_untrained"]  # all that was learned has been replaced


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("finetune@0", "no number of images"),
        ("finetune@", "no number of images"),
        ("finetune@200%", "no share"),
    ],
)
def test_no_number_of_images_is_refused(digits: tuple[Store, Store], name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        rows_of(digits, name)
    assert "finetune@10" in error.value.hint


def test_unlabelled_images_take_no_part(digits: tuple[Store, Store]) -> None:
    train, test = digits
    labels = torch.where(torch.arange(1500) % 3 == 0, train.labels, -1)
    hidden = Store(Split(train.images, labels), CPU)
    tuning = Tuning(epochs=1, flip=False)
    (row,) = probe(Stack(), Stack(1), hidden, test, protocols=("finetune",), tuning=tuning)
    assert row["n_train"] == 500
