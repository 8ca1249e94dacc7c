"""DeepCluster: clusters of a whole epoch, uniform sampling over them, and a classifier that is drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.base import Clusters
from sslterm.methods.joint_embedding.deepcluster import DeepCluster, Sobel, uniform_order
from sslterm.methods.joint_embedding.pseudo_labels import REMEMBERED, History
from sslterm.nn.kmeans import nearest, pca_whiten
from tests.embedding_parts import ENCODER, SIDE, Data, Step, batch_of, images_of, inputs

IMAGES = 64


def build(**changes: Any) -> DeepCluster:
    fields: dict[str, Any] = {**ENCODER, "clusters": 5, "pca": 4, "kmeans_iterations": 50, "sobel": False}
    torch.manual_seed(0)
    config = DeepCluster.Config(**{**fields, **changes})
    return DeepCluster(config, inputs("a", train_images=IMAGES)).train()


# -- sampling


def test_an_epoch_has_equally_many_images_of_each_cluster() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 9 + [3])[torch.randperm(100)]
    order = uniform_order(labels, 4)
    assert torch.bincount(labels[order], minlength=4).tolist() == [25] * 4
    assert labels[order].unique().tolist() == [0, 1, 2, 3]
    times = torch.bincount(order, minlength=100)
    assert times[labels == 0].max() == 1  # 25 of the 70, none of them twice
    assert times[labels == 3].tolist() == [25]
    assert (times[labels == 2] > 0).sum() > 6  # nine of them, drawn with replacement


def test_what_does_not_divide_is_spread() -> None:
    labels = torch.arange(17) % 5
    counts = torch.bincount(labels[uniform_order(labels, 5)], minlength=5)
    assert sorted(counts.tolist()) == [3, 3, 3, 4, 4]


def test_another_epoch_draws_other_images_of_a_large_cluster() -> None:
    labels = torch.cat((torch.zeros(900, dtype=torch.int64), torch.ones(100, dtype=torch.int64)))
    torch.manual_seed(0)
    first, second = uniform_order(labels, 2), uniform_order(labels, 2)
    torch.manual_seed(0)
    assert torch.equal(uniform_order(labels, 2), first)
    both = set(first[labels[first] == 0].tolist()) & set(second[labels[second] == 0].tolist())
    assert 200 < len(both) < 360  # 500 of 900, twice: 278 in common by chance


# -- between epochs


def test_labels_are_the_clusters_of_whitened_features_in_evaluation_mode() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    statistics = method.encoder.net.stages[0][1].running_mean.clone()
    method.begin_epoch(data.sweep, Step(method))
    assert method.training
    assert torch.equal(method.encoder.net.stages[0][1].running_mean, statistics)
    with torch.no_grad():
        points = pca_whiten(method.eval().encode(data.images), 4)
    labels = method.labels
    assert torch.bincount(labels, minlength=5).min() > 0
    centres = torch.stack([points[labels == cluster].mean(0) for cluster in range(5)])
    assert torch.equal(nearest(points, centres), labels)  # where Lloyd's algorithm rests
    assert torch.bincount(labels[method.order], minlength=5).max() <= 13


def test_the_classifier_is_drawn_anew_and_its_optimizer_state_dropped() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    update = Step(method)
    method.begin_epoch(data.sweep, update)
    first = method.head.weight.detach().clone()
    for _ in range(3):
        method.step(data, update)
    assert method.head.bias.abs().max() > 0
    method.begin_epoch(data.sweep, update)
    assert update.forgotten == [method.head, method.head]
    assert not method.head.bias.any()
    assert not torch.allclose(method.head.weight, first, atol=1e-3)
    assert float(method.head.weight.detach().std()) == pytest.approx(0.01, rel=0.4)


def test_agreement_with_the_epoch_before_is_remembered() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    update = Step(method)
    method.begin_epoch(data.sweep, update)
    assert len(method.agreement.newest()) == 0
    before = method.labels.clone()
    method.begin_epoch(data.sweep, update)
    expected = normalized_mutual_info_score(before, method.labels, average_method="geometric")
    assert 0 < expected < 1
    assert method.agreement.newest().tolist() == pytest.approx([expected], abs=1e-6)


def test_a_history_keeps_the_newest() -> None:
    history = History()
    for value in range(REMEMBERED + 3):
        history.append(float(value))
    assert history.newest().tolist() == [float(value) for value in range(3, REMEMBERED + 3)]
    again = History()
    again.load_state_dict(history.state_dict())
    assert torch.equal(again.newest(), history.newest())


def test_the_wall_shows_the_images_nearest_to_their_centre() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    method.begin_epoch(data.sweep, Step(method))
    with torch.no_grad():
        points = pca_whiten(method.eval().encode(data.images), 4)
        panel = next(iter(method.panels(batch_of(8))))
    assert (panel.name, panel.columns, len(panel.array)) == ("clusters", 8, 5 * 8)
    for cluster in range(5):
        members = (method.labels == cluster).nonzero().flatten()
        distance = (points[members] - points[members].mean(0)).square().sum(1)
        nearest_members = members[distance.argsort()[:8]]
        row = panel.array[8 * cluster : 8 * cluster + 8]
        expected = data.images[nearest_members].numpy()
        np.testing.assert_allclose(row[: len(expected)], expected, atol=1 / 255)
        assert not row[len(expected) :].any()


# -- within one


def test_the_loss_is_the_cross_entropy_with_an_images_own_cluster() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    method.begin_epoch(data.sweep, Step(method))
    batch = data.through(torch.arange(IMAGES).flip(0))
    torch.manual_seed(5)
    loss, aux = method.loss(batch)
    torch.manual_seed(5)
    logits = method.head(method.encoder(method.views["a"](batch.images)))
    labels = [int(method.labels[IMAGES - 1 - place]) for place in range(8)]
    by_hand = [-(row.exp()[label] / row.exp().sum()).log() for row, label in zip(logits, labels, strict=True)]
    torch.testing.assert_close(loss, torch.stack(by_hand).mean())
    assert float(aux["accuracy"]) == (logits.argmax(1) == torch.tensor(labels)).float().mean()


def test_batches_go_through_the_balanced_order() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    method.begin_epoch(data.sweep, Step(method))
    seen: list[int] = []

    class Noting(Step):
        def __call__(self, name: Any, loss_fn: Any, batch: Any) -> dict[str, Tensor]:
            assert name == ("main", "head")
            seen.extend(batch.index.tolist())
            return super().__call__(name, loss_fn, batch)

    update = Noting(method)
    for _ in range(IMAGES // 8):
        method.step(data, update)
    assert seen == method.order.tolist()


def test_it_learns_its_labels_within_an_epoch() -> None:
    """Eight kinds of texture, of which k-means on random features finds something; epochs of 40 steps."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.rand(8, 3, SIDE, SIDE, generator=generator)
    images = (
        kinds[torch.arange(IMAGES) % 8] + 0.1 * torch.randn(IMAGES, 3, SIDE, SIDE, generator=generator)
    ).clamp(0, 1)
    method, data = build(clusters=8), Data(images, 16)
    update = Step(method, rate=3.0)
    torch.manual_seed(0)
    for _ in range(3):
        method.begin_epoch(data.sweep, update)
        losses = []
        for _ in range(40):
            method.step(data, update)
            losses.append(update.loss)
        assert losses[0] == pytest.approx(np.log(8), abs=0.1)  # a classifier that knows nothing
        assert np.mean(losses[-8:]) < 0.8 * losses[0]


# -- the input


def test_sobel_filters_give_the_two_gradients_of_the_grey_image() -> None:
    images = images_of(2)
    ours = Sobel()(images).numpy()
    for image, edges in zip(images.numpy(), ours, strict=True):
        grey = image.mean(0)
        np.testing.assert_allclose(edges[0], -ndimage.sobel(grey, axis=1, mode="nearest"), atol=1e-5)
        np.testing.assert_allclose(edges[1], -ndimage.sobel(grey, axis=0, mode="nearest"), atol=1e-5)


def test_with_sobel_filters_colours_do_not_reach_the_network() -> None:
    method, images = build(sobel=True, pixel_mean=(0.0,)).eval(), images_of(4)
    rolled = images.roll(1, dims=1)  # other colours of the same grey
    with torch.no_grad():
        torch.testing.assert_close(method.encode(images), method.encode(rolled), rtol=1e-4, atol=1e-5)
        assert torch.equal(method.layers(images)["pooled"], method.encode(images))
        without = build().eval()
        assert not torch.allclose(without.encode(images), without.encode(rolled), atol=1e-3)


def test_the_cluster_of_a_new_image_is_what_the_classifier_says() -> None:
    method, images = build().eval(), images_of(9, seed=3)
    with torch.no_grad():
        expected = F.linear(method.encode(images), method.head.weight, method.head.bias).argmax(1)
        assert torch.equal(method.assign(images), expected)
    assert isinstance(method, Clusters)
    assert method.clusters == 5


def test_panels_appear_as_there_is_something_to_show() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    names = []
    for _ in range(3):
        with torch.no_grad():
            names.append([panel.name for panel in method.eval().panels(batch_of(8))])
        method.begin_epoch(data.sweep, Step(method))
    always = ["similarity", "views"]
    assert names[0] == always
    assert names[1] == ["clusters", "cluster-sizes", *always]
    assert names[2] == ["clusters", "cluster-sizes", "agreement", *always]


def test_more_clusters_than_images_are_refused() -> None:
    with pytest.raises(UsageError, match="clusters = 65: there are only 64 training images"):
        build(clusters=65)
