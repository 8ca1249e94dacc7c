"""SeLa: labels by optimal transport beside the paper's iteration, heads, and when labels are found anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.base import Clusters
from sslterm.methods.joint_embedding.sela import (
    SeLa,
    heads_panel,
    relabellings_due,
    self_labelling,
    transported,
)
from tests.embedding_parts import ENCODER, Data, Step, batch_of, images_of, inputs

IMAGES = 64


def build(**changes: Any) -> SeLa:
    fields: dict[str, Any] = {**ENCODER, "heads": 3, "clusters": 4, "sharpness": 25.0, "relabellings": 5}
    torch.manual_seed(0)
    return SeLa(SeLa.Config(**{**fields, **changes}), inputs("a", train_images=IMAGES)).train()


# -- the loss


def test_value_and_gradient_are_those_of_the_paper() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(4, (5, 3), generator=generator)
    total = torch.zeros((), dtype=torch.float64)
    for head in range(3):  # Eq. 1 for each head, and their mean
        for image in range(5):
            weights = logits[image, head].exp()
            total = total - (weights[labels[image, head]] / weights.sum()).log() / 5 / 3
    ours = self_labelling(logits, labels)
    torch.testing.assert_close(ours, total, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (ours, total)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-14)


def test_each_head_is_taught_its_own_labels_of_each_image() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    method.begin_epoch(data.sweep, Step(method))
    batch = data.through(torch.arange(IMAGES).flip(0))
    torch.manual_seed(5)
    loss, aux = method.loss(batch)
    torch.manual_seed(5)
    features = method.encoder(method.views["a"](batch.images))
    losses, right = [], []
    for number, head in enumerate(method.heads):
        log_p = head(features).log_softmax(1)
        for place in range(8):
            label = method.labels[number, IMAGES - 1 - place]
            losses.append(-log_p[place, label])
            right.append(float(log_p[place].argmax() == label))
    torch.testing.assert_close(loss, torch.stack(losses).mean())
    assert float(aux["accuracy"]) == pytest.approx(np.mean(right))


# -- optimal transport


def by_the_paper(logits: Tensor, sharpness: float, iterations: int) -> Tensor:
    """Eq. 7 and 8 in loops: alpha and beta in turns on P^lambda, then the largest entry of each column of Q."""
    n, k = logits.shape
    p = logits.double().softmax(1).T / n  # [K, N]
    kernel = p**sharpness
    beta = torch.ones(n, dtype=torch.float64)
    for _ in range(iterations):
        alpha = torch.stack([1 / k / sum(kernel[y, i] * beta[i] for i in range(n)) for y in range(k)])
        beta = torch.stack([1 / n / sum(alpha[y] * kernel[y, i] for y in range(k)) for i in range(n)])
    return torch.tensor([int((alpha * kernel[:, i]).argmax()) for i in range(n)])


@pytest.mark.parametrize("sharpness", [5.0, 25.0])
def test_labels_are_those_of_the_papers_iteration(sharpness: float) -> None:
    logits = 0.3 * torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    labels, log_p = transported(logits, sharpness)
    assert labels.tolist() == by_the_paper(logits, sharpness, 300).tolist()
    torch.testing.assert_close(log_p, logits.log_softmax(1)[torch.arange(20), labels])
    assert labels.tolist() != logits.argmax(1).tolist()


def test_labels_are_used_equally_however_sure_the_network_is() -> None:
    logits = 10 * torch.randn(500, 5, generator=torch.Generator().manual_seed(2))
    logits[:, 0] += 200  # collapse: p^25 of the others underflows
    labels, _ = transported(logits, 25.0)
    assert (torch.bincount(labels, minlength=5) - 100).abs().max() <= 5


def test_the_labels_of_a_head_come_from_the_whole_set_in_evaluation_mode() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    statistics = method.encoder.net.stages[0][1].running_mean.clone()
    method.begin_epoch(data.sweep, Step(method))
    assert method.training
    assert torch.equal(method.encoder.net.stages[0][1].running_mean, statistics)
    method.eval()
    with torch.no_grad():
        features = method.encode(data.images)
        for number, head in enumerate(method.heads):
            expected, _ = transported(head(features), 25.0)
            assert torch.equal(method.labels[number], expected)
            assert (torch.bincount(expected, minlength=4) - 16).abs().max() <= 4  # rounded


# -- when


def test_re_labellings_are_densest_at_the_beginning() -> None:
    """Times are total * ((j - 1) / (M - 1))^2, as in the authors' code."""
    for count in (2, 5, 80):
        for number, share in enumerate(np.linspace(0, 1, count) ** 2, start=1):
            assert relabellings_due(float(share), count) == number
            assert relabellings_due(max(float(share) - 1e-4, 0), count) == max(number - 1, 1)
    assert {relabellings_due(progress, 1) for progress in (0.0, 0.5, 1.0)} == {1}


def test_labels_are_found_anew_only_when_it_is_due() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    update, changed = Step(method), []
    for progress in (0.0, 0.05, 0.0625, 0.2, 0.3, 0.5, 0.7, 1.0):
        with torch.no_grad():
            for head in method.heads:
                torch.nn.init.normal_(head.weight)  # so that labels would change
        before = method.labels.clone()
        update.progress = progress
        method.begin_epoch(data.sweep, update)
        changed.append(not torch.equal(method.labels, before))
    assert changed == [True, False, True, False, True, False, True, True]  # 0, 1/16, 1/4, 9/16, 1
    assert len(method.kept.newest()) == 4


def test_the_share_of_labels_that_stay_is_remembered() -> None:
    method, data = build(relabellings=2), Data(images_of(IMAGES), 8)
    method.begin_epoch(data.sweep, Step(method))
    before = method.labels.clone()
    with torch.no_grad():
        torch.nn.init.normal_(method.heads[1].weight)  # one of three heads has another mind
    method.begin_epoch(data.sweep, Step(method, progress=1.0))
    assert torch.equal(method.labels[[0, 2]], before[[0, 2]])
    expected = float((method.labels == before).float().mean())
    assert 2 / 3 < expected < 1
    assert method.kept.newest().tolist() == pytest.approx([expected])


# -- what is shown and used


def test_panels_appear_as_there_is_something_to_show() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    names = []
    for progress in (0.0, 0.5, 1.0):
        with torch.no_grad():
            names.append([panel.name for panel in method.eval().panels(batch_of(8))])
        method.begin_epoch(data.sweep, Step(method, progress=progress))
    always = ["similarity", "views"]
    assert names[0] == always
    assert names[1] == ["clusters", "cluster-sizes", "heads", *always]
    assert names[2] == ["clusters", "cluster-sizes", "heads", "agreement", *always]


def test_the_wall_shows_what_the_first_head_is_surest_of() -> None:
    method, data = build(), Data(images_of(IMAGES), 8)
    method.begin_epoch(data.sweep, Step(method))
    with torch.no_grad():
        log_p = method.eval().heads[0](method.encode(data.images)).log_softmax(1)
    for cluster in range(4):
        members = (method.labels[0] == cluster).nonzero().flatten()
        surest = members[log_p[members, cluster].argsort(descending=True)[:8]]
        shown = method.wall.images[8 * cluster : 8 * cluster + 8].float() / 255
        torch.testing.assert_close(shown, data.images[surest], atol=1 / 255, rtol=0)


def test_heads_are_compared_by_their_mutual_information() -> None:
    labels = torch.randint(4, (3, 200), generator=torch.Generator().manual_seed(0))
    labels[2] = (labels[0] + 1) % 4  # the same clusters under other names
    matrix = heads_panel(labels).array
    assert matrix[0, 2] == pytest.approx(1, abs=1e-6)
    expected = normalized_mutual_info_score(labels[0], labels[1], average_method="geometric")
    assert matrix[1, 0] == matrix[0, 1] == pytest.approx(expected, abs=1e-6)
    assert matrix.diagonal().tolist() == [1, 1, 1]


def test_an_image_belongs_to_what_the_first_head_says() -> None:
    method, images = build().eval(), images_of(9, seed=3)
    with torch.no_grad():
        assert torch.equal(method.assign(images), method.heads[0](method.encode(images)).argmax(1))
    assert isinstance(method, Clusters)
    assert method.clusters == 4


def test_more_labels_than_images_are_refused() -> None:
    with pytest.raises(UsageError, match="clusters = 65: there are only 64 training images"):
        build(clusters=65)
