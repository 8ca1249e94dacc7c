"""The first GAN: the losses of games against probabilities, maxout, dropout, and the order of Alg. 1."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sslterm.methods.adversarial.gan import GAN
from sslterm.methods.base import Inputs
from sslterm.nn.gan_losses import critic_gap, hinge, minimax, non_saturating, standing
from sslterm.nn.maxout import Dropout, Maxout
from sslterm.rows import rows
from tests.game import Recorder, real_batch, stream_of

CONFIG = GAN.Config(
    objective="non-saturating",
    discriminator_updates=3,
    latent_dim=6,
    generator_widths=(9, 8),
    discriminator_widths=(5, 4),
    pieces=3,
    input_dropout=0.2,
    dropout=0.5,
)
INPUTS = Inputs(channels=1, height=8, width=8, train_images=100)


def build(**changes: object) -> GAN:
    torch.manual_seed(0)
    return GAN(replace(CONFIG, **changes), INPUTS)  # type: ignore[arg-type]


# the losses of all adversarial methods


def answers() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64).mul(3).unbind()


def test_losses_are_those_of_the_probabilities() -> None:
    real, fake = answers()
    d = 1 / (1 + (-fake).exp())
    torch.testing.assert_close(minimax(fake), (1 - d).log().mean())
    torch.testing.assert_close(non_saturating(fake), -d.log().mean())
    torch.testing.assert_close(critic_gap(real, fake), sum(real) / 40 - sum(fake) / 40)
    hinged = (
        sum(max(0.0, 1 - r) for r in real.tolist()) / 40 + sum(max(0.0, 1 + f) for f in fake.tolist()) / 40
    )
    assert float(hinge(real, fake)) == pytest.approx(hinged, rel=1e-12)


def test_losses_are_exact_under_autocast_and_finite_where_the_discriminator_is_sure() -> None:
    sure = torch.tensor([-200.0, 200.0])
    with torch.autocast("cpu", torch.bfloat16):
        assert minimax(sure).dtype == torch.float32
        torch.testing.assert_close(minimax(sure), torch.tensor(-100.0))
        torch.testing.assert_close(non_saturating(sure.bfloat16()), torch.tensor(100.0))


def test_minimax_saturates_where_the_other_does_not() -> None:
    """§3: where D rejects samples with confidence, log(1 - D) is flat and log D steep."""
    gradients = {}
    for loss in (minimax, non_saturating):
        logits = torch.tensor([-12.0], requires_grad=True)
        loss(logits).backward()
        assert logits.grad is not None
        gradients[loss] = float(logits.grad)
    assert gradients[minimax] == pytest.approx(0, abs=1e-5)
    assert gradients[non_saturating] == pytest.approx(-1, abs=1e-5)


def test_standing_counts_what_is_judged_rightly() -> None:
    figures = standing(torch.tensor([2.0, 1.0, -1.0, 3.0]), torch.tensor([-2.0, 0.5]))
    assert float(figures["accuracy_real"]) == 0.75
    assert float(figures["accuracy_fake"]) == 0.5
    assert float(figures["margin"]) == pytest.approx(1.25 + 0.75)


# its networks


def test_a_maxout_unit_is_the_largest_of_its_pieces() -> None:
    torch.manual_seed(0)
    layer, x = Maxout(7, 4, 3), torch.randn(5, 7)
    values = x @ layer.linear.weight.T + layer.linear.bias
    for unit in range(4):
        pieces = values[:, 3 * unit : 3 * unit + 3]
        torch.testing.assert_close(layer(x)[:, unit], pieces.max(1).values)


def test_dropout_keeps_the_mean_and_draws_for_every_image_by_its_row() -> None:
    torch.manual_seed(0)
    layer, x = Dropout(0.25).train(), torch.ones(400, 50)
    dropped = layer(x)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert abs(float(dropped.mean()) - 1) < 0.02
    assert torch.equal(layer.eval()(x), x)
    layer.train()
    torch.manual_seed(1)
    whole = layer(x)
    torch.manual_seed(1)
    with rows(100, 200, 400):
        assert torch.equal(layer(x[100:200]), whole[100:200])


def test_images_are_in_range_and_the_dense_networks_have_the_papers_sizes() -> None:
    images = build().decode(100 * torch.randn(20, 6))
    assert images.shape == (20, 1, 8, 8)
    assert images.min() >= 0
    assert images.max() <= 1
    inputs = Inputs(channels=1, height=28, width=28, train_images=10)
    config = replace(
        CONFIG, latent_dim=100, generator_widths=(1200, 1200), discriminator_widths=(240, 240), pieces=5
    )
    method = GAN(config, inputs)
    shapes = [tuple(value.shape) for name, value in method.named_parameters() if name.endswith("weight")]
    assert shapes == [(1200, 100), (1200, 1200), (784, 1200), (1200, 784), (1200, 240), (1, 240)]


# the game


def test_losses_are_those_of_the_objective() -> None:
    method, batch = build().eval(), real_batch(INPUTS)  # evaluation mode: no dropout
    torch.manual_seed(5)
    loss, aux = method.discriminator_loss(batch)
    torch.manual_seed(5)
    fake = method.discriminator(method.generator(torch.randn(10, 6))).double()
    d_real = method.discriminator(2 * batch.images - 1).double().sigmoid()
    expected = -d_real.log().mean() - (1 - fake.sigmoid()).log().mean()
    torch.testing.assert_close(loss.double(), expected)
    torch.testing.assert_close(aux["real"].double(), d_real.mean())
    for objective, truth in (
        ("minimax", (1 - fake.sigmoid()).log().mean()),
        ("non-saturating", -fake.sigmoid().log().mean()),
    ):
        method = build(objective=objective).eval()
        torch.manual_seed(5)
        torch.testing.assert_close(method.generator_loss(batch)[0].double(), truth)


def test_a_step_is_k_updates_of_the_discriminator_on_new_batches_then_one_of_the_generator() -> None:
    method = build().train()
    recorder = Recorder(method)
    names = {name for name, _ in method.named_parameters()}
    method.step(stream_of(INPUTS), recorder)
    assert [call.name for call in recorder.calls] == ["discriminator"] * 3 + ["generator"]
    for call in recorder.calls:
        assert call.graded == {name for name in names if name.startswith(call.name)}
    firsts = [float(call.batch.images[0, 0, 0, 0]) for call in recorder.calls[:3]]
    assert len(set(firsts)) == 3


def test_the_best_discriminator_says_the_share_of_the_data() -> None:
    """Prop. 1: D* = p_data / (p_data + p_g); for N(1, 1) against N(-1, 1) its logit is 2x."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(20_000, 1, generator=generator) + 1
    fake = torch.randn(20_000, 1, generator=generator) - 1
    judge = torch.nn.Linear(1, 1)
    optimizer = torch.optim.LBFGS(judge.parameters(), max_iter=50)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = non_saturating(judge(real)) - minimax(judge(fake))
        loss.backward()
        return loss

    optimizer.step(closure)
    assert float(judge.weight.detach()) == pytest.approx(2, abs=0.06)
    assert float(judge.bias.detach()) == pytest.approx(0, abs=0.06)
