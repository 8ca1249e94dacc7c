"""Cells: text, colours, and what differs."""

from __future__ import annotations

import numpy as np
import pytest

from sslterm.errors import UsageError
from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import (
    ACCENT,
    GROUND,
    MUTED,
    SERIES,
    WARNING,
    categorical,
    map_colors,
    map_colors_on_paper,
    rgb,
    shares,
    to_256,
)
from sslterm.render.theme import DARK, LIGHT, THEMES, Theme, choose_theme


def test_text_is_clipped_at_both_edges() -> None:
    cells = Cells.blank(5, 2)
    assert cells.put("abcdefg", 0, -2) == 5
    assert cells.put("xyz", 1, 3) == 6
    cells.put("below", 2, 0)
    assert cells.plain() == "cdefg\n   xy"


def test_a_wide_glyph_takes_two_cells_and_is_never_halved() -> None:
    assert text_width("数字") == 4
    cells = Cells.blank(5, 1)
    cells.put("数字数", 0, 0)
    assert cells.text(0) == "数字 "
    assert fit("数字数", 4) == "数…"
    assert text_width(fit("数字数", 4)) <= 4


def test_what_cannot_be_shown_is_a_dot() -> None:
    cells = Cells.blank(6, 1)
    cells.put("a\x1b[0m\n", 0, 0)
    assert cells.text(0) == "a·[0m·"


def test_ansi_sets_colours_once_a_run_and_resets_them() -> None:
    cells = Cells.blank(6, 1)
    cells.put("ab", 0, 0, 0xFF0000)
    cells.put("c", 0, 3, 0xFF0000)
    assert cells.ansi("truecolor") == "\x1b[38;2;255;0;0mab c\x1b[0m"
    assert cells.ansi("256") == "\x1b[38;5;196mab c\x1b[0m"
    assert cells.ansi("none") == cells.plain() == "ab c"


def test_ansi_keeps_a_background_at_the_end_of_a_line() -> None:
    cells = Cells.blank(4, 1)
    cells.bg[0, 1] = 0x0000FF
    assert cells.ansi("truecolor") == " \x1b[48;2;0;0;255m \x1b[0m"


def test_changes_name_the_part_of_each_row_that_differs() -> None:
    before, after = Cells.blank(10, 3), Cells.blank(10, 3)
    assert after.changes(before) == []
    after.put("x", 1, 2)
    after.put("y", 1, 7)
    after.fg[2, 9] = 0x00FF00
    assert after.changes(before) == [(1, 2, 8), (2, 9, 10)]
    assert Cells.line("日本", 10).changes(Cells.line("目本", 10)) == [(0, 0, 2)]
    assert after.changes(None) == [(0, 0, 10), (1, 0, 10), (2, 0, 10)]
    assert len(after.changes(Cells.blank(9, 3))) == 3


def test_changes_that_are_far_apart_in_a_row_are_two() -> None:
    before, after = Cells.blank(60, 2), Cells.blank(60, 2)
    for column in (3, 12, 40, 50):
        after.put("x", 1, column)
    assert after.changes(before) == [(1, 3, 13), (1, 40, 51)]


def test_paste_is_clipped() -> None:
    cells, other = Cells.blank(4, 2), Cells.blank(3, 3)
    other.put("abc", 0, 0)
    other.put("def", 1, 0)
    cells.paste(other, 1, 2)
    assert cells.plain() == "\n  ab"


@pytest.mark.parametrize(
    ("color", "index"), [(0xFFFFFF, 231), (0x000000, 16), (0xFF0000, 196), (0x808080, 244), (GROUND, GROUND)]
)
def test_the_nearest_of_256_colours(color: int, index: int) -> None:
    assert to_256(np.array([color]))[0] == index


@pytest.mark.parametrize("theme", [*THEMES.values(), None], ids=[*THEMES, "paper"])
def test_a_diverging_map_tells_signs_and_strength_apart(theme: Theme | None) -> None:
    share = np.linspace(0, 1, 31)
    if theme is None:
        mapped = map_colors_on_paper(share, diverging=True, levels=31)
    else:
        mapped = theme.colors(map_colors(share, diverging=True))
    dark = theme is not None and theme.name != "light"
    colors = [rgb(int(c)) for c in mapped]
    strength = np.array([0.299 * r + 0.587 * g + 0.114 * b for r, g, b in colors])
    assert all(b > r for r, _, b in colors[:12])
    assert all(r > b for r, _, b in colors[19:])
    outwards = strength[15:] if dark else -strength[15:]
    assert (np.diff(outwards) > 0).all()
    assert (np.diff((strength if dark else -strength)[:16]) < 0).all()


def luminance(color: int) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [part / 255 for part in rgb(color)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(color: int, ground: int) -> float:
    high, low = sorted((luminance(color), luminance(ground)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("name", "ground", "least"), [
    ("dark", 0x000000, 4.5), ("light", 0xFFFFFF, 4.5), ("high-contrast", 0x000000, 7.0)
])  # fmt: skip
def test_text_can_be_read_on_its_ground(name: str, ground: int, least: float) -> None:
    theme = THEMES[name]
    for role in (MUTED, ACCENT, WARNING):
        assert contrast(theme.color(role), ground) >= least
    for index in range(SERIES):
        assert contrast(theme.color(categorical(index)), ground) >= (
            3.0 if name != "high-contrast" else least
        )


def test_a_theme_leaves_colours_and_the_ground_alone() -> None:
    mixed = np.array([GROUND, ACCENT, 0x123456, categorical(1)])
    assert DARK.colors(mixed).tolist() == [GROUND, DARK.accent, 0x123456, DARK.series[1]]
    assert [DARK.color(int(c)) for c in mixed] == DARK.colors(mixed).tolist()


def test_escapes_are_in_the_colours_of_the_theme() -> None:
    cells = Cells.line("x", 1, ACCENT)
    for theme in THEMES.values():
        assert cells.ansi("truecolor", theme) == "\x1b[38;2;{};{};{}mx\x1b[0m".format(*rgb(theme.accent))
    assert cells.ansi("256", LIGHT) == f"\x1b[38;5;{to_256(np.array([LIGHT.accent]))[0]}mx\x1b[0m"


def test_the_theme_is_chosen_by_name_or_by_the_terminals_ground() -> None:
    assert choose_theme({}) is DARK
    assert choose_theme({"COLORFGBG": "0;15"}) is LIGHT
    assert choose_theme({"COLORFGBG": "15;0"}) is DARK
    assert choose_theme({"COLORFGBG": "0;15"}, "dark") is DARK
    assert choose_theme({"SSLTERM_THEME": "light"}, "dark") is LIGHT
    with pytest.raises(UsageError, match="no theme 'lihgt'"):
        choose_theme({"SSLTERM_THEME": "lihgt"})


def test_a_sequential_map_gets_lighter_throughout_and_has_few_levels() -> None:
    colors = map_colors(np.linspace(0, 1, 1000), diverging=False)
    assert len(np.unique(colors)) <= 32
    luminance = np.array([0.299 * r + 0.587 * g + 0.114 * b for r, g, b in map(rgb, colors.tolist())])
    assert (np.diff(luminance) >= 0).all()


def test_shares_are_symmetric_around_a_centre_and_keep_what_is_missing() -> None:
    share, low, high = shares(np.array([-0.5, 0.0, 1.0, np.nan, np.inf]), low=None, high=None, center=0)
    assert (low, high) == (-1.0, 1.0)
    assert share[:3].tolist() == [0.25, 0.5, 1.0]
    assert np.isnan(share[3])
    assert share[4] == 1.0


def test_shares_of_equal_values_are_finite() -> None:
    assert np.isfinite(shares(np.full(3, 7.0), low=None, high=None, center=None)[0]).all()
    assert np.isfinite(shares(np.full(3, 7.0), low=None, high=None, center=7)[0]).all()
