"""Frame prediction: losses against loops, the multi-scale recursion, and prediction from predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.frame_prediction import FramePrediction, gradient_difference, lp_error
from sslterm.nn.pyramid import MultiScale

INPUTS = Inputs(channels=1, height=12, width=14, train_images=10, frames=5)
CONFIG = FramePrediction.Config(
    context=3, widths=((4,), (5, 6)), kernel=3, p=2, gradient_weight=0.5, gradient_power=1
)


def make(inputs: Inputs = INPUTS, **changes: Any) -> FramePrediction:
    torch.manual_seed(0)
    return FramePrediction(replace(CONFIG, **changes), inputs)


def clips(count: int = 2, frames: int = 5) -> Tensor:
    return torch.rand(count, frames, 1, 12, 14, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("alpha", [1, 2])
def test_gradient_difference_is_equation_6(alpha: int) -> None:
    y, truth = torch.rand(2, 3, 4).double(), torch.rand(2, 3, 4).double()
    down = [
        abs(abs(truth[c, i, j] - truth[c, i - 1, j]) - abs(y[c, i, j] - y[c, i - 1, j])) ** alpha
        for c in range(2) for i in range(1, 3) for j in range(4)
    ]  # fmt: skip
    across = [
        abs(abs(truth[c, i, j - 1] - truth[c, i, j]) - abs(y[c, i, j - 1] - y[c, i, j])) ** alpha
        for c in range(2) for i in range(3) for j in range(1, 4)
    ]  # fmt: skip
    expected = sum(down) / len(down) + sum(across) / len(across)
    assert gradient_difference(y, truth, alpha).item() == pytest.approx(float(expected))


def test_gradient_difference_sees_edges_and_not_brightness() -> None:
    truth = torch.zeros(1, 8, 8)
    truth[:, :, 4:] = 1
    assert gradient_difference(truth + 0.25, truth, 1) == 0
    assert gradient_difference(1 - truth, truth, 1) == 0  # absolute differences
    blurred = F.avg_pool2d(F.pad(truth, (1, 1, 1, 1), mode="replicate"), 3, 1)
    assert gradient_difference(blurred, truth, 1) > 0


def test_errors_are_means_of_powers() -> None:
    y, truth = torch.rand(7), torch.rand(7)
    assert lp_error(y, truth, 1).item() == pytest.approx(F.l1_loss(y, truth).item())
    assert lp_error(y, truth, 2).item() == pytest.approx(F.mse_loss(y, truth).item())


def test_every_scale_mends_the_coarser_one() -> None:
    """Equation 1, written out for two scales with one hidden layer each."""
    torch.manual_seed(0)
    network = MultiScale(2, 1, widths=((3,), (4,)), kernel=3)
    x, start = torch.randn(2, 2, 8, 10), torch.randn(2, 1, 8, 10)
    predictions, hidden = network.run(x, start)
    (inner1, last1), (inner2, last2) = network.scales  # type: ignore[misc]
    half, begin = F.avg_pool2d(x, 2), F.avg_pool2d(start, 2)
    z1 = inner1(torch.cat((half, begin), dim=1))
    y1 = begin + last1(z1)
    larger = F.interpolate(y1, scale_factor=2, mode="bilinear")
    z2 = inner2(torch.cat((x, larger), dim=1))
    for ours, theirs in zip((*predictions, *hidden), (y1, larger + last2(z2), z1, z2), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_further_frames_follow_from_predicted_ones() -> None:
    method, images = make(), clips()
    with torch.no_grad():
        three = method.predict(images, 3)
        seen = images
        for step in range(3):
            one = method.predict(seen, 1)
            torch.testing.assert_close(three[:, step : step + 1], one)
            seen = torch.cat((seen, one), dim=1)
        assert torch.equal(method.predict(images[:, 2:], 1), method.predict(images, 1)), (
            "the last frames count"
        )
        assert not torch.allclose(method.predict(images.flip(1), 1), three[:, :1])


def test_the_loss_is_over_the_frames_left_out() -> None:
    method, images = make(p=1), clips()
    loss, aux = method.loss(Batch(images, torch.arange(2), torch.full((2,), -1)))
    with torch.no_grad():
        y = torch.stack(list(method.continued(images[:, :3], 2)), dim=1)
    assert aux["lp"].item() == pytest.approx(F.l1_loss(y, images[:, 3:]).item())
    assert loss.item() == pytest.approx((aux["lp"] + 0.5 * aux["gdl"]).item())
    changed = images.clone()
    changed[:, 3:] = 0
    with torch.no_grad():
        assert torch.equal(torch.stack(list(method.continued(changed[:, :3], 2)), dim=1), y), (
            "it sees the answer"
        )


def test_solve_compares_with_copying_the_last_frame() -> None:
    images = clips(3)
    images[2] = images[2, :1]  # nothing moves
    with torch.no_grad():
        figures = make().solve(images)
    expected = [F.mse_loss(clip[2].expand(2, -1, -1, -1), clip[3:]).item() for clip in images]
    assert figures["mse_copy_last"].tolist() == pytest.approx(expected)
    assert figures["mse_copy_last"][2] == 0
    assert figures["mse"].shape == (3,)


def test_a_little_training_predicts_a_bar_that_moves() -> None:
    """It moves by a pixel a frame; half of the error of copying is beaten by far."""
    torch.manual_seed(0)
    start = torch.randint(2, 8, (64,))
    columns = torch.arange(14)
    frames = [
        ((columns - start[:, None] - t).abs() <= 1).float()[:, None, None].expand(-1, 1, 12, 14)
        for t in range(4)
    ]
    images = torch.stack(frames, dim=1)
    method = make(replace(INPUTS, frames=4), gradient_weight=0.0, widths=((16,), (16,)))
    optimizer = torch.optim.Adam(method.parameters(), 0.01)
    batch = Batch(images, torch.arange(64), torch.full((64,), -1))
    for _ in range(80):
        optimizer.zero_grad()
        method.loss(batch)[0].backward()
        optimizer.step()
    with torch.no_grad():
        figures = method.solve(images)
    assert figures["mse"].mean() < 0.3 * figures["mse_copy_last"].mean()


def test_still_images_stand_for_all_frames() -> None:
    method, image = make(), clips()[:, 0]
    with torch.no_grad():
        repeated = image.unsqueeze(1).expand(-1, 3, -1, -1, -1)
        assert torch.equal(method.encode(image), method.encode(repeated))
        assert method.encode(image).shape == (2, 4 + 6)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match=r"data\.frames = 3") as caught:
        make(replace(INPUTS, frames=3))
    assert "set data.frames=4" in caught.value.hint
    with pytest.raises(UsageError, match="still images"):
        make(replace(INPUTS, frames=0))
    with pytest.raises(UsageError, match=r"method\.kernel = 4"):
        make(kernel=4)
    with pytest.raises(UsageError, match="no hidden layer"):
        make(widths=((4,), ()))
