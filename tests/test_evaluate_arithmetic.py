"""Sums of codes, with a decoder that writes its code into the image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.evaluate.arithmetic import NOISE, Term, arithmetic_panel, combine, parse_sum
from tests.test_evaluate_latent import Transparent


def term(sign: int, name: str, *codes: tuple[float, ...]) -> Term:
    z = torch.tensor(codes)
    return Term(sign, name, z.mean(0), z.view(-1, 1, 1, z.shape[1]))


def king() -> list[Term]:
    return [
        term(1, "1,4", (1.0, 2.0, 8.0), (3.0, 4.0, 0.0)),
        term(-1, "2", (5.0, -1.0, 0.5)),
        term(1, "3,6", (0.0, 1.0, 1.0), (1.0, 0.0, 2.0)),
    ]


def test_sums_are_read() -> None:
    assert parse_sum("1,4,7 - 2,5,8 + 3, 6,9") == [
        (1, ("1", "4", "7")),
        (-1, ("2", "5", "8")),
        (1, ("3", "6", "9")),
    ]
    assert parse_sum(" T-shirt/top  -  Ankle boot ") == [(1, ("T-shirt/top",)), (-1, ("Ankle boot",))]
    assert parse_sum("7") == [(1, ("7",))]
    for broken in ("", "1,", "- 2 + 1", "1 - - 2", "1 + -2", "1,,2"):
        with pytest.raises(UsageError, match="no sum of codes"):
            parse_sum(broken)


def test_a_linear_decoder_shows_the_arithmetic() -> None:
    panel, codes = arithmetic_panel(Transparent(3), king(), spread=torch.ones(3))
    expected = torch.tensor([2.0 - 5 + 0.5, 3.0 + 1 + 0.5, 4.0 - 0.5 + 1.5])
    torch.testing.assert_close(combine(king()), expected)
    rows = torch.from_numpy(panel.array).view(5, 4, 3)
    assert panel.columns == 4
    torch.testing.assert_close(
        rows[:3, 0], torch.tensor([[2.0, 3.0, 4.0], [5.0, -1.0, 0.5], [0.5, 0.5, 1.5]])
    )
    torch.testing.assert_close(rows[0, 1:], torch.tensor([[1.0, 2.0, 8.0], [3.0, 4.0, 0.0], [0.5, 0.5, 0.5]]))
    torch.testing.assert_close(rows[3, 0], expected)
    torch.testing.assert_close(codes, torch.cat([rows[:3, 0], rows[3], rows[4]]))
    assert panel.caption.startswith("1,4 - 2 + 3,6: a row for each")


def test_neighbours_are_within_the_noise_that_the_spread_allows() -> None:
    spread = torch.tensor([1.0, 10.0, 0.0])

    def around(seed: int) -> Tensor:
        _, codes = arithmetic_panel(Transparent(3), king(), spread=spread, seed=seed)
        return codes[4:] - combine(king())

    noise = torch.cat([around(seed) for seed in range(40)])
    assert len(noise) == 40 * 7
    assert noise[:, 2].abs().max() == 0
    for axis, sd in ((0, 1.0), (1, 10.0)):
        assert 0.95 * NOISE * sd < noise[:, axis].abs().max() <= NOISE * sd + 1e-5
        assert abs(float(noise[:, axis].mean())) < 0.1 * sd
    assert torch.equal(around(3), around(3))
    assert not torch.equal(around(3), around(4))
