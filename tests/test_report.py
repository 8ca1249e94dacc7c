"""`report`: one page of all that runs have come to, which needs nothing else and runs nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from sslterm.render.overlay import OverlayRun, overlay_plot
from sslterm.render.plot import Plot
from sslterm.render.svg import overlay_svg
from sslterm.report.pictures import small_png
from sslterm.run.events import append_event
from sslterm.run.metrics import Series
from tests.cli_program import Cli, cli
from tests.test_cli_compare import ELBO, put_run
from tests.test_render_figures import FD, KNN, LIKELIHOOD, evaluated, probed
from tests.tui.recorded import full_run

__all__ = ["cli"]


class Page(HTMLParser):
    """What a page refers to, and whether its elements close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "path", "circle"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_holds_all_it_shows_and_runs_nothing(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path / "runs"))
    for number in range(3):
        full_run(tmp_path / "runs", f"vae-digits-{number}")
    out = tmp_path / "report.html"
    answer = cli("report", "vae-digits-0", "vae-digits-1", "vae-digits-2", "--out", out, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["bytes"] == out.stat().st_size < 3_000_000
    page = Page(out.read_text())
    assert page.open == []
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert page.tags.count("svg") >= 2
    pictures = [source for source in page.sources if not source.startswith("#")]
    assert pictures
    assert all(source.startswith("data:image/png;base64,") for source in pictures)
    assert "http" not in re.sub(r'content="[^"]*"', "", out.read_text()).replace("http-equiv", "")


def test_what_runs_say_is_text_and_no_markup(tmp_path: Path, cli: Cli) -> None:
    run = put_run(tmp_path, "vae-digits-1", 500.0, 140.0)
    evil = "<script>alert(1)</script>"
    append_event(run.events, "warning", text=evil, step=0)
    put_run(tmp_path, "vae-digits-2", 3.0, metric=f"test/{evil}")
    out = tmp_path / "a.html"
    assert (
        cli("report", "vae-digits-1", "vae-digits-2", "--runs", tmp_path, "--out", out, "--title", evil).code
        == 0
    )
    text = out.read_text()
    assert evil not in text
    assert text.count("&lt;script&gt;") >= 3
    assert "Where the settings differ" in text


def test_likelihoods_of_different_densities_have_charts_of_their_own(tmp_path: Path, cli: Cli) -> None:
    bits = put_run(tmp_path, "vae-digits-1", 500.0, 140.0)
    put_run(tmp_path, "vae-digits-2", 2000.0, 900.0)
    with bits.config.open("a") as file:
        file.write('[method]\nbinarization = "dynamic"\n')
    assert (
        cli("report", "vae-digits-1", "vae-digits-2", "--runs", tmp_path, "--out", tmp_path / "a.html").code
        == 0
    )
    text = (tmp_path / "a.html").read_text()
    assert "-ELBO (test) dynamic binarization [nats]" in text
    assert "-ELBO (test) 8-bit pixels [nats]" in text


def test_what_was_measured_afterwards_is_listed_with_all_that_says_what_it_is(
    tmp_path: Path, cli: Cli
) -> None:
    run = put_run(tmp_path, "vae-digits-1", 500.0, 140.0)
    for results in (evaluated(LIKELIHOOD, FD, FD | {"name": "KD[judge-v1]@1000"}), probed(KNN)):
        append_event(run.results, results.pop("kind"), **results)
    assert cli("report", run.name, "--runs", tmp_path, "--out", tmp_path / "a.html").code == 0
    text = (tmp_path / "a.html").read_text()
    assert "1,000 samples of each, judged in judge-v1-ae609c" in text  # as `compare` has it
    for said in (
        "dynamic binarization",
        "bound",
        "± 0.43",
        "raw pixels",
        "independent pixels",
        "real images",
    ):
        assert said in text
    assert text.count("evaluate/FD") == 0  # no columns of it beside the table of its space


def test_wrong_names_are_refused_and_nothing_written(tmp_path: Path, cli: Cli) -> None:
    put_run(tmp_path, "vae-digits-1", 500.0)
    answer = cli("report", "vae-digits-1", "--runs", tmp_path, "--out", tmp_path / "a.pdf")
    assert answer.code == 2
    assert "a.html" in answer.err
    assert cli("report", "none", "--runs", tmp_path, "--out", tmp_path / "a.html").code == 3
    assert not (tmp_path / "a.html").exists()


def test_lines_end_where_their_values_are() -> None:
    images = np.arange(0, 1001, 100)
    value = np.linspace(1.0, 0.0, 11)
    value[3] = np.nan
    series = Series(images, images, images.astype(float), value)
    runs = [OverlayRun(place=place, name=f"run<{place}", series=series) for place in range(2)]
    drawn = ElementTree.fromstring(overlay_svg(overlay_plot(ELBO, runs), {"A": "run<0", "B": "run<1"}))
    groups = drawn.findall("g")
    assert [group.findtext("title") for group in groups] == ["run<1; last 0", "run<0; last 0"]
    first, second = groups[1].findall("path")  # broken where there is no number
    assert first.attrib["d"].startswith("M62.0 12.0L")
    assert second.attrib["d"].endswith("L522.0 212.0")
    assert "stroke-dasharray" in groups[0].findall("path")[0].attrib
    smooth = replace(overlay_plot(ELBO, runs[:1]).lines[0], smooth=np.full(11, 0.5))
    group = ElementTree.fromstring(overlay_svg(Plot(title="", lines=(smooth,)), {})).findall("g")[0]
    paths = [(path.attrib["class"], path.attrib["d"][:10]) for path in group.findall("path")]
    assert paths[0] == ("behind", "M62.0 12.0")
    assert paths[-1] == ("line", "M62.0 112.")
    assert overlay_svg(overlay_plot(ELBO, []), {}).endswith("no values</text></svg>")


def test_pictures_are_made_to_fit(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    for most in (60_000, 20_000, 5_000):
        png = small_png(tmp_path / "noise.png", most)
        assert png is not None
        assert len(png) <= most
    assert small_png(tmp_path / "noise.png", 100) is None
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    assert small_png(tmp_path / "missing.png", 10_000) is None
    Image.fromarray(noise[:8, :8]).save(tmp_path / "tiny.png")
    assert small_png(tmp_path / "tiny.png", 10_000) == (tmp_path / "tiny.png").read_bytes()
