"""Colour guards against chromatic aberration: the projection and the dropping of Doersch et al., §3."""

from __future__ import annotations

import torch

from sslterm.augment.aberration import drop, project


def test_the_projection_is_the_paper_s_matrix() -> None:
    images = torch.rand(4, 3, 5, 6, dtype=torch.float64)
    a = torch.tensor([[-1.0, 2.0, -1.0]], dtype=torch.float64)  # the green-magenta axis
    b = torch.eye(3, dtype=torch.float64) - a.T @ a / (a @ a.T)
    expected = torch.einsum("ij,njhw->nihw", b, images)
    torch.testing.assert_close(project(images), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(project(project(images)), expected, rtol=1e-12, atol=1e-12)


def test_green_that_is_shifted_against_magenta_leaves_no_trace() -> None:
    grey = torch.rand(2, 1, 8, 9).expand(-1, 3, -1, -1)
    assert torch.allclose(project(grey), grey, atol=1e-6), "grey stays grey"
    shifted = torch.stack((grey[:, 0], grey[:, 1].roll(1, 2), grey[:, 2]), dim=1)
    left = project(shifted)
    assert torch.allclose(left[:, 0], left[:, 1], atol=1e-6)
    assert torch.allclose(left[:, 1], left[:, 2], atol=1e-6)


def test_dropping_keeps_one_channel_of_each_patch() -> None:
    patches = torch.rand(64, 3, 3, 10, 10)
    mean = torch.tensor([0.2, 0.5, 0.8]).view(3, 1, 1)
    torch.manual_seed(0)
    result = drop(patches, mean)
    same = (result == patches).flatten(3).all(3)  # [B, n, C]
    assert (same.sum(2) == 1).all()
    counts = same.sum((0, 1)).double()
    assert ((counts - 64).square() / 64).sum() < 14, "chi-square with 2 degrees of freedom, p = 0.001"
    noise = (result - mean)[~same]  # [M, h, w]
    assert noise.mean().abs() < 1e-4
    spread = (patches * same[..., None, None]).sum(2).flatten(2).std(2, correction=0)  # of what stays, [B, n]
    expected = 0.01 * spread[:, :, None].expand(-1, -1, 3)[~same]
    ratio = noise.flatten(1).std(1) / expected
    assert abs(ratio.mean() - 1) < 0.02
