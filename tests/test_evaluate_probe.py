"""Probes against brute force and scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from sslterm.config.schema import DataConfig
from sslterm.data.source import Split, load_source
from sslterm.data.store import Store
from sslterm.errors import DataError, UsageError
from sslterm.evaluate import knn as knn_module
from sslterm.evaluate.features import Features, pixels
from sslterm.evaluate.knn import centred, knn_accuracy, knn_predict
from sslterm.evaluate.linear import fit_linear, logistic_regression, split_by_class, standardised
from sslterm.evaluate.linear_sgd import RATES, fit_linear_sgd
from sslterm.evaluate.probe import probe
from sslterm.methods.base import Method

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> tuple[Store, Store]:
    config = DataConfig(name="digits", path="", size=8, train_images=0, test_images=0, seed=0)
    source = load_source(config, lambda what, done, total: None)
    return Store(source.train, CPU), Store(source.test, CPU)


def clouds(n: int, *, classes: int = 5, dimensions: int = 12, spread: float = 1.5, seed: int = 0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, dimensions, generator=torch.Generator().manual_seed(99))
    labels = torch.randint(classes, (n,), generator=generator)
    return Features(centres[labels] + spread * torch.randn(n, dimensions, generator=generator), labels)


def brute_force_knn(
    queries: Tensor, gallery: Tensor, labels: Tensor, k: int, temperature: float
) -> list[int]:
    """Wu et al. 2018, §3.4, one pair at a time."""
    predicted = []
    for query in queries.double():
        similarity = []
        for other, label in zip(gallery.double(), labels.tolist(), strict=True):
            similarity.append((float(query @ other / (query.norm() * other.norm())), label))
        votes: dict[int, float] = {}
        for cosine, label in sorted(similarity, reverse=True)[:k]:
            votes[label] = votes.get(label, 0.0) + math.exp(cosine / temperature)
        predicted.append(max(votes, key=lambda label: votes[label]))
    return predicted


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (20, 1.0), (500, 0.07)])
def test_knn_is_the_loop(k: int, temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = clouds(120), clouds(60, seed=1)
    expected = brute_force_knn(test.values, train.values, train.labels, k, temperature)
    whole = knn_predict(test.values, train.values, train.labels, k=k, temperature=temperature)
    assert whole.tolist() == expected
    monkeypatch.setattr(knn_module, "_CHUNK", 7 * 120)  # seven queries at a time
    chunked = knn_predict(test.values, train.values, train.labels, k=k, temperature=temperature)
    assert chunked.tolist() == expected


def test_knn_agrees_with_scikit_learn() -> None:
    train, test = clouds(400), clouds(200, seed=1)

    def weights(distance):  # type: ignore[no-untyped-def]
        from numpy import exp

        return exp((1 - distance) / 0.07)  # scikit-learn's cosine distance is 1 - cosine

    theirs = KNeighborsClassifier(20, metric="cosine", algorithm="brute", weights=weights)
    theirs.fit(train.values.numpy(), train.labels.numpy())
    ours = knn_predict(test.values, train.values, train.labels)
    assert (ours.numpy() == theirs.predict(test.values.numpy())).all()
    assert knn_accuracy(train, test) == pytest.approx(theirs.score(test.values.numpy(), test.labels.numpy()))


def test_knn_ignores_images_without_a_label() -> None:
    train, test = clouds(100), clouds(50, seed=1)
    hidden = Features(
        torch.cat([train.values, test.values]), torch.cat([train.labels, torch.full((50,), -1)])
    )
    assert knn_accuracy(hidden, test) == knn_accuracy(train, test)
    half = Features(test.values, torch.where(torch.arange(50) < 25, test.labels, -1))
    assert knn_accuracy(train, half) == knn_accuracy(train, Features(test.values[:25], test.labels[:25]))


def test_centring_uses_the_training_mean_for_both() -> None:
    train, test = clouds(100), clouds(50, seed=1)
    a, b = centred(train, test)
    torch.testing.assert_close(a.values.mean(0), torch.zeros(12), atol=1e-5, rtol=0)
    torch.testing.assert_close(test.values - b.values, train.values.mean(0).expand(50, 12))


@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_logistic_regression_agrees_with_scikit_learn(l2: float) -> None:
    data = clouds(300)
    x = (data.values - data.values.mean(0)).double() / data.values.std(0, correction=0).double()
    weight, bias = logistic_regression(x, data.labels, classes=5, l2=l2, tolerance=1e-9, max_steps=2000)
    theirs = LogisticRegression(C=1 / (300 * l2), tol=1e-10, max_iter=10_000).fit(
        x.numpy(), data.labels.numpy()
    )
    torch.testing.assert_close(weight, torch.from_numpy(theirs.coef_), rtol=1e-4, atol=1e-5)
    # The intercept is not penalised: it is defined up to a constant, which scikit-learn does not fix either.
    intercept = torch.from_numpy(theirs.intercept_)
    torch.testing.assert_close(bias - bias.mean(), intercept - intercept.mean(), rtol=1e-4, atol=1e-5)


def test_fit_linear_standardises_and_matches_scikit_learn_at_the_penalty_it_chose() -> None:
    scale = torch.logspace(-3, 3, 12)
    train, test = clouds(400), clouds(300, seed=1)
    train, test = (Features(part.values * scale + 7, part.labels) for part in (train, test))
    fitted = fit_linear(train, seed=0)
    scaler = StandardScaler().fit(train.values.numpy())
    theirs = LogisticRegression(C=1 / (400 * fitted.l2), tol=1e-8, max_iter=10_000)
    theirs.fit(scaler.transform(train.values.numpy()), train.labels.numpy())
    predicted = theirs.predict(scaler.transform(test.values.numpy()))
    assert (fitted.predict(test.values).numpy() == predicted).mean() > 0.99
    score = theirs.score(scaler.transform(test.values.numpy()), test.labels.numpy())
    assert fitted.accuracy(test) == pytest.approx(score, abs=0.01)


def test_the_penalty_is_chosen_on_a_split_of_the_training_set_alone() -> None:
    """Many noise dimensions and few images: what generalises is a strong penalty."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 2
    values = torch.randn(60, 301, generator=generator)
    values[:, 0] += 1.5 * labels
    fitted = fit_linear(Features(values, labels), seed=0)
    assert fitted.l2 >= 1e-2
    assert fit_linear(Features(values, labels), seed=0, l2=(1e-3,)).l2 == 1e-3


def test_constant_features_and_single_members_are_no_obstacle() -> None:
    train = clouds(50)
    values = torch.cat([train.values, torch.full((50, 1), 3.25)], 1)
    labels = train.labels.clone()
    labels[0] = 5  # a class of one image
    fitted = fit_linear(Features(values, labels), seed=0)
    assert bool(fitted.weight.isfinite().all())
    assert fitted.std[-1] == 1


def test_the_split_is_by_class_and_disjoint() -> None:
    labels = torch.tensor([0] * 50 + [1] * 10 + [2])
    fit, held = split_by_class(labels, seed=0)
    assert sorted(fit.tolist() + held.tolist()) == list(range(61))
    assert torch.bincount(labels[held], minlength=3).tolist() == [10, 2, 0]


class Flat(Method):
    """Encodes an image as itself, or shrunk to nothing: features whose accuracy is known."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1) * self.scale

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        return {"half": images[:, :, :4] * self.scale, "whole": self.encode(images)}


def test_probe_of_the_identity_is_its_own_baseline(digits: tuple[Store, Store]) -> None:
    train, test = digits
    rows = list(probe(Flat(1.0), Flat(0.0), train, test, protocols=("knn", "linear", "lowshot")))
    knn, linear, lowshot = rows
    assert [row["protocol"] for row in rows] == ["knn", "linear", "lowshot"]
    for row in rows:
        assert row["accuracy"] == row["baseline_pixels"]
        assert row["layer"] == "encode"
        assert row["baseline_untrained"] == pytest.approx(0.1, abs=0.05)  # nothing to see: chance
        assert row["n_test"] == 297
    assert knn["accuracy"] == knn_accuracy(pixels(train), pixels(test))
    assert knn["accuracy"] > 0.95
    assert knn["baseline_pixels_centred"] == knn_accuracy(*centred(pixels(train), pixels(test)))
    assert linear["accuracy"] > 0.93
    assert linear["baseline_pixels_centred"] is None
    assert (knn["n_train"], linear["n_train"], lowshot["n_train"]) == (1500, 1500, 100)
    assert 0.6 < lowshot["accuracy"] < linear["accuracy"]
    assert lowshot["std"] > 0


def test_probe_by_layer(digits: tuple[Store, Store]) -> None:
    train, test = digits
    rows = list(probe(Flat(1.0), Flat(1.0), train, test, protocols=("knn",), layers=()))
    assert [row["layer"] for row in rows] == ["half", "whole"]
    assert rows[0]["accuracy"] < rows[1]["accuracy"] == rows[1]["baseline_pixels"]
    assert rows[0]["baseline_untrained"] == rows[0]["accuracy"]
    (row,) = probe(Flat(1.0), Flat(1.0), train, test, protocols=("knn",), layers=("whole",))
    assert row["layer"] == "whole"


def test_probe_refuses_what_it_cannot_do(digits: tuple[Store, Store]) -> None:
    train, test = digits
    with pytest.raises(UsageError, match="no protocol 'kn'") as error:
        list(probe(Flat(1.0), Flat(1.0), train, test, protocols=("kn",)))
    assert "knn" in error.value.hint
    with pytest.raises(UsageError, match="no layer 'hole'"):
        list(probe(Flat(1.0), Flat(1.0), train, test, layers=("hole",)))
    blind = Store(Split(test.images, torch.full((297,), -1)), CPU)
    with pytest.raises(DataError, match="test images have no labels"):
        list(probe(Flat(1.0), Flat(1.0), train, blind))


def test_unlabelled_training_images_take_no_part(digits: tuple[Store, Store]) -> None:
    train, test = digits
    labels = torch.where(torch.arange(1500) < 500, train.labels, -1)
    (row,) = probe(Flat(1.0), Flat(1.0), Store(Split(train.images, labels), CPU), test, protocols=("knn",))
    first = Store(Split(train.images[:500], train.labels[:500]), CPU)
    assert row["n_train"] == 500
    assert row["accuracy"] == knn_accuracy(pixels(first), pixels(test))


def test_sgd_at_one_rate_is_torchs() -> None:
    train = clouds(700)
    x, _, _ = standardised(train.values.double())
    weight, bias = torch.zeros(5, 12, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    weight.requires_grad_()
    bias.requires_grad_()
    optimizer = torch.optim.SGD([weight, bias], lr=0.3, momentum=0.9)
    steps = 30 * 2  # batches of 256 out of 700
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: 0.5 * (1 + math.cos(math.pi * s / steps))
    )
    generator = torch.Generator().manual_seed(3)
    for _ in range(30):
        for index in torch.randperm(700, generator=generator)[:512].split(256):
            optimizer.zero_grad()
            F.cross_entropy(x[index] @ weight.T + bias, train.labels[index]).backward()
            optimizer.step()
            schedule.step()
    features = Features(train.values.double(), train.labels)
    probe, rate = fit_linear_sgd(features, seed=3, rates=[0.3])
    assert rate == 0.3
    torch.testing.assert_close(probe.weight, weight.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(probe.bias, bias.detach(), rtol=1e-9, atol=1e-12)


def test_sgd_finds_its_rate_and_nearly_the_optimum() -> None:
    train, test = clouds(2000, spread=1.0), clouds(1000, spread=1.0, seed=1)
    probe, rate = fit_linear_sgd(train, seed=0, rates=[1e-6, 0.1])
    assert rate == 0.1
    assert probe.accuracy(test) == pytest.approx(fit_linear(train, seed=0).accuracy(test), abs=0.01)
    useless, _ = fit_linear_sgd(train, seed=0, rates=[1e-6])
    assert useless.accuracy(test) < probe.accuracy(test) - 0.005


def test_lowshot_says_how_many(digits: tuple[Store, Store]) -> None:
    train, test = digits
    names = ("lowshot@1", "lowshot@1%", "lowshot@10%", "lowshot@100%", "linear-sgd")
    one, hundredth, tenth, all_, sgd = probe(Flat(1.0), Flat(0.0), train, test, protocols=names)
    per_class = torch.bincount(train.labels).tolist()
    assert one["n_train"] == 10
    assert hundredth["n_train"] == sum(max(1, round(n / 100)) for n in per_class)
    assert tenth["n_train"] == sum(round(n / 10) for n in per_class)
    assert all_["n_train"] == 1500
    assert one["accuracy"] < hundredth["accuracy"] + 0.1 < tenth["accuracy"] + 0.1 < all_["accuracy"] + 0.1
    assert sgd["accuracy"] == pytest.approx(all_["accuracy"], abs=0.03)
    assert sgd["lr"] in RATES
    assert "lr" not in tenth


@pytest.mark.parametrize(
    "name", ["lowshot@", "lowshot@0", "lowshot@0%", "lowshot@101%", "lowshot@few", "lowshot@-1"]
)
def test_lowshot_of_no_number_is_refused(digits: tuple[Store, Store], name: str) -> None:
    with pytest.raises(UsageError, match=r"no number of images|no protocol"):
        list(probe(Flat(1.0), Flat(1.0), *digits, protocols=(name,)))
    with pytest.raises(UsageError, match="no protocol 'knn@5'"):
        list(probe(Flat(1.0), Flat(1.0), *digits, protocols=("knn@5",)))
