"""`methods`, `explain`, `presets`, `data`: what there is to know before training."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sslterm.catalog import CATALOG, Entry
from sslterm.config import presets
from sslterm.config.presets import default_preset, presets_root, read_preset
from sslterm.data.catalog import SOURCES
from sslterm.method_text import draw_tree, family_tree, read_method_text
from tests.cli_program import Cli, cli
from tests.test_config import PRESET

__all__ = ["cli"]  # a fixture


@pytest.fixture
def own_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of presets with one whole preset and one that is damaged."""
    folder = tmp_path / "presets"
    (folder / "vae").mkdir(parents=True)
    (folder / "vae" / "tiny.toml").write_text(PRESET)
    (folder / "vae" / "broken.toml").write_text("# What was meant.\n[run\n")
    monkeypatch.setattr(presets, "presets_root", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


# methods


def test_methods_are_a_tree(cli: Cli) -> None:
    lines = cli("methods").out.splitlines()
    for entry in CATALOG.values():
        (line,) = [line for line in lines if line.split("─ ")[-1].split()[:1] == [entry.name]]
        assert str(entry.year) in line
        assert entry.title in line
    explicit = lines.index("├─ explicit")
    approximate = lines.index("│  └─ approximate")
    implicit = lines.index("└─ implicit")
    (vae,) = [number for number, line in enumerate(lines) if line.startswith("│     ├─ vae ")]
    assert explicit < lines.index("│  ├─ tractable") < approximate < vae < implicit


def test_a_tree_of_many_branches() -> None:
    def entry(name: str, family: str) -> Entry:
        return Entry(
            name=name, topic="generative", family=family, title="", authors="", year=2000, paper="",
            target="", capabilities=(), headline="", unit="", opens_on=(),
        )  # fmt: skip

    entries = [entry("a", "explicit, tractable"), entry("b", "explicit, tractable"), entry("c", "implicit")]
    assert [line for line, _ in draw_tree(family_tree(iter(entries)))] == [
        "├─ explicit",
        "│  └─ tractable",
        "│     ├─ a",
        "│     └─ b",
        "└─ implicit",
        "   └─ c",
    ]


def test_methods_as_json_have_the_documented_shape(cli: Cli, own_presets: Path) -> None:
    found = {one["name"]: one for one in cli("methods", "--json").json}
    assert list(found) == list(CATALOG)
    assert found["vae"] == {
        "name": "vae",
        "topic": "generative",
        "family": "explicit, approximate",
        "title": "Auto-Encoding Variational Bayes",
        "year": 2014,
        "paper": "arXiv:1312.6114",
        "capabilities": ["encode", "sample", "reconstruct", "decode", "log_prob"],
        "presets": [
            {"name": "tiny", "data": "digits", "needs_download": False},
            {"name": "broken", "data": None, "needs_download": True},
        ],
    }


# explain


@pytest.mark.parametrize("name", CATALOG)
def test_every_method_is_explained(cli: Cli, name: str) -> None:
    entry = CATALOG[name]
    text = cli("explain", name).out
    assert text.startswith(f"{name}: {entry.title}\n{entry.authors} {entry.year}, {entry.paper}\n")
    for heading in ("Idea", "Objective", "Departures", "Watch for"):
        assert f"\n{heading}\n  " in text, heading
    assert f"{entry.headline}: {entry.unit}" in text
    found = cli("explain", name, "--json").json
    assert found["headline"] == entry.headline
    assert found["panels"] == list(entry.opens_on)
    assert all(len(body) > 40 for heading, body in found["sections"].items() if heading != "Shapes")
    settings = [setting["name"] for setting in found["settings"]]
    preset, _ = read_preset(name, default_preset(name))
    assert sorted(settings) == sorted(preset["method"])  # those that it shares with others too


def test_settings_are_those_of_the_preset(cli: Cli) -> None:
    table = tomllib.loads((presets_root() / "vae" / "digits.toml").read_text())
    settings = cli("explain", "vae", "--json").json["settings"]
    assert [setting["name"] for setting in settings] == list(table["method"])
    assert {
        "name": "beta",
        "type": "NonNegative",
        "about": "Weight of the KL term; 1 is the bound.",
    } in settings
    inherited = {setting["name"] for setting in cli("explain", "simclr", "--json").json["settings"]}
    assert {"backbone", "temperature"} <= inherited


def test_lines_fit_a_narrow_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    body = cli("explain", "vae").out.partition("\n\n")[2].rpartition("\n\n")[0]
    assert max(map(len, body.splitlines())) <= 60
    assert "E_q(z|x)[-log p(x|z)]" in body


def test_a_method_s_file_is_read_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sslterm" / "methods" / "x.py"
    file.parent.mkdir(parents=True)
    file.write_text('"""Title.\n\nIdea:\n    One.\n    Two.\n"""\nraise SystemExit("it was run")\n')
    monkeypatch.setattr("sslterm.__file__", str(tmp_path / "sslterm" / "__init__.py"))
    entry = CATALOG["vae"]
    text = read_method_text(Entry(**{**vars(entry), "target": "sslterm.methods.x:X"}))
    assert (text.citation, dict(text.sections), text.settings) == ("Title.", {"Idea": "One.\nTwo."}, ())


# presets


def test_presets_are_listed(cli: Cli, own_presets: Path) -> None:
    answer = cli("presets")
    assert answer.code == 0
    assert answer.out == cli("presets", "list").out
    rows = {line.split()[1]: line for line in answer.out.splitlines()}
    assert rows["tiny"].split()[:5] == ["vae", "tiny", "digits", "no", "100"]
    assert "is not TOML" in rows["broken"]
    tiny, broken = cli("presets", "list", "vae", "--json").json
    assert (tiny["name"], tiny["images"], tiny["batch"], tiny["problem"]) == ("tiny", 100_000, 128, None)
    assert tiny["path"] == str(own_presets / "vae" / "tiny.toml")
    assert broken["data"] is broken["needs_download"] is None
    assert "is not TOML" in broken["problem"]


def test_an_incomplete_preset_says_so(cli: Cli, own_presets: Path) -> None:
    (own_presets / "vae" / "tiny.toml").write_text(PRESET.replace("batch = 128", "bacth = 128"))
    (found,) = [one for one in cli("presets", "list", "vae", "--json").json if one["name"] == "tiny"]
    assert found["problem"] == "vae/tiny [train]: there is no key 'bacth'"


def test_every_packaged_preset_is_whole(cli: Cli) -> None:
    found = cli("presets", "list", "--json").json
    assert found
    assert [one["problem"] for one in found] == [None] * len(found)
    for one in found:
        assert one["about"], one["path"]
        assert tomllib.loads(Path(one["path"]).read_text())["run"]["method"] == one["method"]
        assert tomllib.loads(Path(one["path"]).read_text())["run"]["preset"] == one["name"]


def test_a_preset_is_shown_as_it_is_written(cli: Cli, own_presets: Path) -> None:
    assert cli("presets", "show", "vae", "tiny").out == PRESET
    assert cli("presets", "show", "vae", "tiny", "--json").json == tomllib.loads(PRESET)


def test_a_preset_is_copied_once(cli: Cli, own_presets: Path, tmp_path: Path) -> None:
    answer = cli("presets", "copy", "vae", "tiny")
    assert answer.out == "vae-tiny.toml\n"
    assert "sslterm train vae --preset tiny --config vae-tiny.toml" in answer.err
    assert Path("vae-tiny.toml").read_text() == PRESET
    Path("vae-tiny.toml").write_text("changed")
    answer = cli("presets", "copy", "vae", "tiny")
    assert (answer.code, Path("vae-tiny.toml").read_text()) == (2, "changed")
    assert cli("presets", "copy", "vae", "tiny", "mine.toml", "--json").json["path"] == "mine.toml"
    assert cli("presets", "copy", "vae", "tiny", tmp_path / "none" / "x.toml").code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("presets show vea tiny", "error: there is no method 'vea'\n  did you mean 'vae'?"),
        ("presets show vae tinny", "error: vae has no preset 'tinny'\n  did you mean 'tiny'?"),
        ("presets show vae ../vae/tiny", "error: vae has no preset '../vae/tiny'"),
        ("presets list vea", "error: there is no method 'vea'"),
        ("presets copy vae", "error: missing argument 'PRESET'"),
    ],
)
def test_presets_that_are_not_there(cli: Cli, own_presets: Path, arguments: str, says: str) -> None:
    answer = cli(*arguments.split())
    assert answer.code == 2
    assert answer.err.startswith(says)


def test_a_damaged_preset_is_one_line(cli: Cli, own_presets: Path) -> None:
    answer = cli("presets", "show", "vae", "broken", "--json")
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert "broken.toml is not TOML" in answer.err


# data


def test_data_is_listed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLTERM_DATA", str(tmp_path))
    answer = cli("data")
    assert answer.out == cli("data", "list").out
    assert [line.split()[0] for line in answer.out.splitlines()[1:]] == list(SOURCES)
    assert str(tmp_path) in answer.err
    found = {one["name"]: one for one in cli("data", "list", "--json").json}
    assert found["digits"]["needs_download"] is False
    assert found["digits"]["is_ready"] is True
    assert found["mnist"]["is_ready"] is False
    assert found["mnist"]["train"] == 60_000
    assert "fetch 11.6 MB" in answer.out


def test_data_is_read_and_counted(cli: Cli) -> None:
    found = cli("data", "check", "digits", "--json").json
    assert (found["train"], found["test"], found["labelled"]) == (1500, 297, 1797)
    assert (found["channels"], found["height"], found["width"], found["frames"]) == (1, 8, 8, 0)
    assert sum(one["train"] for one in found["classes"]) == 1500
    assert cli("data", "check", "digits", "--size", 16, "--json").json["height"] == 16
    text = cli("data", "check", "digits").out
    assert "8x8, grey" in text
    assert "0 178, 1 182" in text


def test_what_is_built_in_is_not_fetched(cli: Cli) -> None:
    answer = cli("data", "get", "digits", "--json")
    assert answer.json == [{"name": "digits", "path": None, "train": 1500, "test": 297}]
    assert "nothing to fetch" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("data get mnsit", 2, "error: there is no data set 'mnsit'\n  did you mean 'mnist'?"),
        ("data check dgits", 2, "error: there is no data set 'dgits'\n  did you mean 'digits'?"),
        ("data check ./photos", 3, "error: there is no folder ./photos"),
        ("data get", 2, "error: missing argument 'NAME"),
    ],
)
def test_data_that_is_not_there(cli: Cli, arguments: str, code: int, says: str) -> None:
    answer = cli(*arguments.split())
    assert answer.code == code
    assert answer.err.startswith(says)
