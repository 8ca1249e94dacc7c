"""Presets, overrides and the reading of tables: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from sslterm.config import presets
from sslterm.config.override import apply_overrides, flatten, merge_file
from sslterm.config.presets import needs_download, preset_names, preset_path, read_preset
from sslterm.config.read import dump, parse, parse_experiment, to_table
from sslterm.config.resolve import resolve
from sslterm.config.schema import ClipConfig, Count, DataConfig, Momentum
from sslterm.errors import DataError, UsageError

PRESET = """\
# Auto-Encoding Variational Bayes, Kingma & Welling 2014.
#
# sslterm train vae --preset tiny

[run]
method = "vae"
preset = "tiny"
seed = 0

[data]
name = "digits"
path = ""
size = 0
train_images = 0
test_images = 300
seed = 0

[train]
images = 100_000
batch = 128
micro_batches = 1
precision = "auto"
compile = false
clip_norm = 0

[watch]
log_every_images = 1280
panels_every_images = 10_000
evaluate_every_images = 10_000
checkpoint_every_images = 50_000
keep_checkpoints = 2

[optim.main]
name = "adam"
lr = 1e-3
betas = [0.9, 0.999]
eps = 1e-8
weight_decay = 0
decay_biases_and_norms = true

[optim.main.schedule]
name = "constant"
warmup_images = 0

[augment.one]
size = 0
crop = [0.2, 1.0]
crop_ratio = [0.75, 1.333]
flip = 0.5
rotate = 0.0
jitter = 0.8
brightness = 0.4
contrast = 0.4
saturation = 0.4
hue = 0.1
grey = 0.2
blur = 0.0
blur_sigma = [0.1, 2.0]
solarize = 0.0
cutout = 0.0
cutout_size = 0.3
noise = 0.0
noise_std = 0.1
sobel = 0.0

[method]
latent_dim = 2
network = "dense"
widths = [500, 500]
bias = true
beta = 1.0
"""


@pytest.fixture
def table() -> dict[str, Any]:
    return tomllib.loads(PRESET)


@pytest.fixture
def preset_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "presets"
    (folder / "vae").mkdir(parents=True)
    (folder / "vae" / "tiny.toml").write_text(PRESET)
    monkeypatch.setattr(presets, "presets_root", lambda: folder)
    return folder


def with_value(table: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(table)
    *above, last = path.split(".")
    section = changed
    for part in above:
        section = section[part]
    section[last] = value
    return changed


def without(table: dict[str, Any], path: str) -> dict[str, Any]:
    changed = with_value(table, path, None)
    *above, last = path.split(".")
    section = changed
    for part in above:
        section = section[part]
    del section[last]
    return changed


# reading


def test_a_preset_is_read_with_its_types(table: dict[str, Any]) -> None:
    experiment = parse_experiment(table, "f.toml")
    assert experiment.optim["main"].lr == 1e-3
    assert experiment.train.clip_norm == 0.0
    assert isinstance(experiment.train.clip_norm, float)
    assert experiment.augment["one"].crop == (0.2, 1.0)
    assert experiment.method == table["method"]
    assert type(experiment.data) is DataConfig


def test_dump_is_read_back_exactly(table: dict[str, Any]) -> None:
    experiment = parse_experiment(table, "f.toml")
    text = dump(experiment)
    assert parse_experiment(tomllib.loads(text), "again") == experiment
    assert "betas = [0.9, 0.999]\n" in text
    assert list(tomllib.loads(text)) == ["run", "data", "train", "watch", "optim", "augment", "method"]


def test_dump_keeps_texts_that_look_like_lists(table: dict[str, Any]) -> None:
    odd = 'a "b" = [\n    1,\n]'
    table["method"] = {"odd": odd, "empty": [], "nested": [["a,", "b"], ["c"]]}
    again = tomllib.loads(dump(parse_experiment(table, "f")))["method"]
    assert again == table["method"]


def test_augment_may_be_absent(table: dict[str, Any]) -> None:
    assert parse_experiment(without(table, "augment"), "f").augment == {}


def test_data_with_frames_is_a_clip(table: dict[str, Any]) -> None:
    clip = with_value(with_value(with_value(table, "data.frames", 4), "data.stride", 2), "data.motion", 1.0)
    assert parse_experiment(clip, "f").data == ClipConfig(
        name="digits",
        path="",
        size=0,
        train_images=0,
        test_images=300,
        seed=0,
        frames=4,
        stride=2,
        motion=1.0,
    )
    with pytest.raises(UsageError, match=r"f \[data\]: missing stride, motion"):
        parse_experiment(with_value(table, "data.frames", 4), "f")


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("train.batch", 1.5, r"f \[train\]: batch must be a whole number, not 1.5"),
        ("train.batch", True, r"f \[train\]: batch must be a whole number, not true"),
        ("train.batch", "many", r"f \[train\]: batch must be a whole number, not the text 'many'"),
        ("train.batch", 0, r"f \[train\]: batch = 0 is out of range: it must be at least 1"),
        ("train.compile", 1, r"f \[train\]: compile must be true or false, not 1"),
        ("train.precision", "half", r"f \[train\]: precision = 'half' is not known"),
        ("train.clip_norm", True, r"f \[train\]: clip_norm must be a number, not true"),
        ("optim.main.lr", 0, r"f \[optim.main\]: lr = 0.0 is out of range: it must be above 0"),
        ("optim.main.lr", float("nan"), r"f \[optim.main\]: lr must be a finite number, not nan"),
        ("optim.main.lr", float("inf"), r"f \[optim.main\]: lr must be a finite number, not inf"),
        ("optim.main.betas", [0.9], r"f \[optim.main\]: betas must have 2 values, not 1"),
        ("optim.main.betas", 0.9, r"f \[optim.main\]: betas must be a list, not 0.9"),
        ("optim.main.betas", [0.9, 1.0], r"betas\[1\] = 1.0 is out of range: .* at least 0 and below 1"),
        ("optim.main.name", "adamm", r"f \[optim.main\]: name = 'adamm' is not known"),
        ("optim.main.schedule", "cosine", r"\[optim.main\]: schedule must be a section, not the text"),
        ("optim.main.schedule.name", 3, r"f \[optim.main.schedule\]: name = 3 is not known"),
        ("augment.one.hue", 0.6, r"f \[augment.one\]: hue = 0.6 is out of range: .* at most 0.5"),
        ("augment.one", 3, r"f \[augment\]: one must be a section, not 3"),
        ("data", 3, r"f: data must be a section, not 3"),
        ("optim", {}, r"f: there is no \[optim.\*\] section"),
        ("run.seed", -1, r"f \[run\]: seed = -1 is out of range"),
        ("run.method", 3, r"f \[run\]: method must be a text, not 3"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(table: dict[str, Any], path: str, value: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_experiment(with_value(table, path, value), "f")


def test_an_unknown_key_names_the_nearest(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"f \[train\]: there is no key 'bacth'") as caught:
        parse_experiment(with_value(table, "train.bacth", 3), "f")
    assert caught.value.hint == "did you mean 'batch'?"
    with pytest.raises(UsageError, match=r"f: there is no key 'trian'"):
        parse_experiment(with_value(table, "trian", {}), "f")


def test_missing_keys_and_sections_are_all_named(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"f \[optim.main\]: missing lr, eps"):
        parse_experiment(without(without(table, "optim.main.lr"), "optim.main.eps"), "f")
    with pytest.raises(UsageError, match=r"f: missing \[data\], \[train\]"):
        parse_experiment(without(without(table, "data"), "train"), "f")
    with pytest.raises(UsageError, match=r"f \[optim.main\]: missing \[optim.main.schedule\]"):
        parse_experiment(without(table, "optim.main.schedule"), "f")
    with pytest.raises(UsageError, match=r"f \[optim.main\]: missing name"):
        parse_experiment(without(table, "optim.main.name"), "f")


def test_parse_reads_a_methods_own_config() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Small:
        name: Literal["small"]
        depth: Count

    @dataclass(frozen=True, kw_only=True)
    class Large:
        name: Literal["large", "huge"]
        widths: tuple[Count, ...]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        momentum: Momentum
        network: Small | Large
        scales: Mapping[str, float]
        kind: Literal[1, 2]

    globals().update(Small=Small, Large=Large)  # where annotations are looked up
    table = {"momentum": 0, "network": {"name": "huge", "widths": [1, 2]}, "scales": {"a": 1}, "kind": 2}
    assert parse(Config, table, "f [method]") == Config(
        momentum=0.0, network=Large(name="huge", widths=(1, 2)), scales={"a": 1.0}, kind=2
    )
    for changed, says in [
        ({"momentum": 1.0}, r"f \[method\]: momentum = 1.0 is out of range"),
        ({"network": {"name": "small", "widths": []}}, r"f \[method.network\]: there is no key 'widths'"),
        (
            {"network": {"name": "huge", "widths": [0]}},
            r"f \[method.network\]: widths\[0\] = 0 is out of range",
        ),
        ({"network": {}}, r"f \[method.network\]: missing name"),
        ({"scales": {"a": "x"}}, r"f \[method.scales\]: a must be a number"),
        ({"kind": True}, r"f \[method\]: kind = True is not known"),
    ]:
        with pytest.raises(UsageError, match=says):
            parse(Config, table | changed, "f [method]")


# overrides


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.batch=64", "train.batch", 64),
        ("train.images = 1_000", "train.images", 1000),
        ("optim.main.lr=3e-4", "optim.main.lr", 3e-4),
        ("optim.main.lr=.5", "optim.main.lr", 0.5),
        ("optim.main.lr=1", "optim.main.lr", 1),
        ("optim.main.betas=[0.5, 0.9]", "optim.main.betas", [0.5, 0.9]),
        ("train.compile=true", "train.compile", True),
        ("train.precision=bfloat16", "train.precision", "bfloat16"),
        ('train.precision="bfloat16"', "train.precision", "bfloat16"),
        ("data.path=/a b/c=d", "data.path", "/a b/c=d"),
        ("data.path=", "data.path", ""),
        ("data.name=1984", "data.name", "1984"),
        ("method.latent_dim=8", "method.latent_dim", 8),
        ("method.network=convolutional", "method.network", "convolutional"),
        ("method.widths=[32]", "method.widths", [32]),
        ("method.bias=false", "method.bias", False),
        ("method.beta=4", "method.beta", 4),
        ("augment.one.hue=0.5", "augment.one.hue", 0.5),
        ("run.seed=7", "run.seed", 7),
    ],
)  # fmt: skip
def test_an_override_sets_one_value(table: dict[str, Any], override: str, path: str, value: Any) -> None:
    before = copy.deepcopy(table)
    changed = apply_overrides(table, [override])
    assert flatten(changed) == flatten(before) | {path: value}
    assert type(flatten(changed)[path]) is type(value)
    assert table == before


def test_the_last_override_wins(table: dict[str, Any]) -> None:
    assert apply_overrides(table, ["train.batch=1", "train.batch=2"])["train"]["batch"] == 2


@pytest.mark.parametrize(
    ("override", "says", "hint"),
    [
        ("train.batch", "there is no '='", "section.key=value"),
        ("method.latent_dmi=3", "there is no key 'method.latent_dmi'", "did you mean 'method.latent_dim'?"),
        ("latent_dim=3", "there is no key 'latent_dim'", "did you mean 'method.latent_dim'?"),
        ("lr=3", "there is no key 'lr'", "did you mean 'optim.main.lr'?"),
        ("optim.lr=3", "there is no key 'optim.lr'", "did you mean 'optim.main.lr'?"),
        ("seed=3", "there is no key 'seed'", "did you mean 'run.seed' or 'data.seed'?"),
        ("optm.main.lr=3", "there is no key 'optm.main.lr'", "did you mean 'optim.main.lr'?"),
        ("trian.batch=3", "there is no key", "did you mean 'train.batch'?"),
        ("trian.btach=3", "there is no key", "did you mean 'train.batch'?"),
        ("latent=3", "there is no key", "did you mean 'method.latent_dim'?"),
        ("zzz=3", "there is no key", "there is: run, data, train, watch, optim, augment, method"),
        ("train.batch.size=3", "there is no key 'train.batch.size'", ""),
        ("=3", "there is no key ''", ""),
        ("train=3", "train is a section", "train.batch"),
        ("train.batch=1e6", "batch must be a whole number, not 1000000.0", "write 1000000"),
        ("train.batch=many", "batch must be a whole number, not the text 'many'", ""),
        ("train.batch=1\nimages=2", "batch must be a whole number, not the text", ""),
        ("train.batch=-3", "batch = -3 is out of range: it must be at least 1", ""),
        ("optim.main.lr=nan", "lr must be a finite number", ""),
        ("optim.main.betas=0.9", "betas must be a list", ""),
        ("optim.main.momentum=0.9", "there is no key 'optim.main.momentum'", "there is: name, lr, betas"),
        ("train.precision=half", "precision = 'half' is not known", ""),
        ("method.latent_dim=big", "latent_dim must be a number, not the text 'big'", "it is 2 now"),
        ("method.latent_dim=true", "latent_dim must be a number, not true", ""),
        ("method.bias=1", "bias must be true or false, not 1", "it is true now"),
        ("method.widths=32", "widths must be a list, not 32", ""),
        ('method.widths=["a"]', "widths must be a number, not the text 'a'", ""),
        ("run.method=dcgan", "the method is chosen on the command line", "sslterm train"),
    ],
)  # fmt: skip
def test_a_bad_override_is_refused(table: dict[str, Any], override: str, says: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        apply_overrides(table, [override])
    assert says in caught.value.message
    assert caught.value.message.startswith(f"--set {override}")
    assert hint in caught.value.hint


def test_another_optimizer_asks_for_what_it_needs(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="'sgd' also needs momentum, nesterov") as caught:
        apply_overrides(table, ["optim.main.name=sgd"])
    assert "--set optim.main.momentum=... --set optim.main.nesterov=..." in caught.value.hint
    changed = apply_overrides(
        table, ["optim.main.momentum=0.9", "optim.main.name=sgd", "optim.main.nesterov=true"]
    )
    main = parse_experiment(changed, "f").optim["main"]
    assert (main.name, main.lr) == ("sgd", 1e-3)
    assert apply_overrides(table, ["optim.main.name=adamw"])["optim"]["main"]["betas"] == [0.9, 0.999]


def test_another_schedule_asks_for_what_it_needs(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="'cosine' also needs final_fraction"):
        apply_overrides(table, ["optim.main.schedule.name=cosine"])
    changed = apply_overrides(
        table, ["optim.main.schedule.final_fraction=0", "optim.main.schedule.name=cosine"]
    )
    assert parse_experiment(changed, "f").optim["main"].schedule.name == "cosine"


# files


def test_a_file_changes_what_it_names(table: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "[train]\nbatch = 32\n[method]\nbeta = 4\n"
        '[optim.main]\nname = "sgd"\nmomentum = 0.9\nnesterov = false\n'
    )
    merged = merge_file(table, file)
    experiment = parse_experiment(merged, "f")
    assert experiment.train.batch == 32
    assert experiment.optim["main"].name == "sgd"
    assert experiment.method["beta"] == 4
    assert experiment.watch == parse_experiment(table, "f").watch


def test_a_whole_preset_may_be_merged(table: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "whole.toml"
    file.write_text(PRESET.replace("batch = 128", "batch = 64"))
    assert flatten(merge_file(table, file)) == flatten(table) | {"train.batch": 64}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[train]\nbacth = 3", r"mine.toml \[train\]: there is no key 'train.bacth'"),
        ("[trian]", r"mine.toml: there is no key 'trian'"),
        ("batch = 3", r"mine.toml: there is no key 'batch'"),
        ("[train]\nbatch = 'x'", r"mine.toml \[train\]: batch must be a whole number"),
        ("[train]\nbatch = 1979-05-27", r"batch must be a whole number, not the date 1979-05-27"),
        ("train = 3", r"mine.toml: train is a section"),
        ("[method]\nbeta = 'x'", r"mine.toml \[method\]: beta must be a number"),
        ("[method.widths]\na = 1", r"there is no key 'method.widths.a'"),
        ("[optim.main]\nname = 'sgd'", r"mine.toml \[optim.main\]: 'sgd' also needs momentum, nesterov"),
        ("[optim.other]\nlr = 1", r"there is no key 'optim.other.lr'"),
        ("[run]\nmethod = 'dcgan'", r"is for the method 'dcgan', not 'vae'"),
        ("[run]\npreset = 'mnist'", r"is for the preset 'mnist', not 'tiny'"),
        ("run = 3", r"mine.toml: run is a section"),
        ("[[optim]]\nlr = 1", r"mine.toml: optim is a section"),
        ("not toml", r"mine.toml is not TOML: .*line 1"),
        ("x = " + "[" * 5000, r"mine.toml is not TOML"),
        ("\0", r"mine.toml is not TOML"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused(table: dict[str, Any], tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        merge_file(table, file)
    assert "\n" not in caught.value.message


def test_files_that_are_no_text_are_refused(table: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "pickle.toml").write_bytes(b"\x80\x04\x95\xff\xfe")
    for name, says in [("pickle.toml", "not UTF-8"), ("none.toml", "No such file"), ("", "Is a directory")]:
        with pytest.raises(UsageError, match=says):
            merge_file(table, tmp_path / name)


# presets


def test_presets_are_found_and_read(preset_folder: Path) -> None:
    mnist = PRESET.replace('name = "digits"', 'name = "mnist"')
    (preset_folder / "vae" / "another.toml").write_text(mnist)
    assert preset_names("vae") == ["tiny", "another"]  # those that need no download come first
    table, header = read_preset("vae", "tiny")
    assert header.startswith("Auto-Encoding Variational Bayes")
    assert header.endswith("--preset tiny")
    assert not needs_download(table)
    assert needs_download(tomllib.loads(mnist))
    assert preset_path("vae", "tiny") == preset_folder / "vae" / "tiny.toml"
    assert preset_names("dcgan") == []


def test_unknown_methods_and_presets_name_the_nearest(preset_folder: Path) -> None:
    with pytest.raises(UsageError, match="there is no method 'vea'") as caught:
        read_preset("vea", "tiny")
    assert caught.value.hint == "did you mean 'vae'?"
    with pytest.raises(UsageError, match="vae has no preset 'tinny'") as caught:
        read_preset("vae", "tinny")
    assert caught.value.hint == "did you mean 'tiny'?"
    with pytest.raises(UsageError, match="has no preset"):
        read_preset("vae", "../vae/tiny")


def test_a_damaged_preset_is_one_line_and_hides_no_other(preset_folder: Path) -> None:
    (preset_folder / "vae" / "broken.toml").write_text("[run\nmethod =")
    assert preset_names("vae") == ["tiny", "broken"]
    with pytest.raises(UsageError, match=r"broken.toml is not TOML") as caught:
        read_preset("vae", "broken")
    assert "\n" not in caught.value.message


# resolving


def test_precedence(preset_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nbatch = 32\nclip_norm = 1.0\n[run]\nseed = 5\n")
    experiment = resolve("vae", "tiny", config=file, overrides=["train.batch=16"])
    assert (experiment.train.batch, experiment.train.clip_norm, experiment.run.seed) == (16, 1.0, 5)
    assert resolve("vae", "tiny", config=file, seed=6).run.seed == 6
    assert resolve("vae", "tiny", seed=6, overrides=["run.seed=7"]).run.seed == 7
    assert to_table(resolve("vae", "tiny")) == to_table(parse_experiment(tomllib.loads(PRESET), "f"))


def test_data_is_a_source_or_a_folder(
    preset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "a.png").touch()
    data = resolve("vae", "tiny", data=str(photos)).data
    assert (data.name, data.path) == ("folder", str(photos))
    assert resolve("vae", "tiny", data="mnist").data.name == "mnist"
    clips = PRESET.replace("[train]", "frames = 4\nstride = 1\nmotion = 1.0\n[train]")
    (preset_folder / "vae" / "clips.toml").write_text(clips)
    assert resolve("vae", "clips", data=str(photos)).data.name == "frames"
    with pytest.raises(DataError, match="no such folder"):
        resolve("vae", "tiny", data=str(tmp_path / "none"))
    sized = ["data.train_images=40", "data.test_images=9"]
    (preset_folder / "vae" / "sized.toml").write_text(dump(resolve("vae", "tiny", overrides=sized)))
    kept, other = (resolve("vae", "sized", data=name).data for name in ("digits", "mnist"))
    assert (kept.train_images, kept.test_images) == (40, 9)
    assert (other.train_images, other.test_images) == (0, 0)  # those numbers were for the preset's own data
    assert resolve("vae", "sized", data="mnist", overrides=sized).data.train_images == 40
    with pytest.raises(DataError, match="it is a file"):
        resolve("vae", "tiny", data=str(tmp_path / "a.png"))
    with pytest.raises(UsageError, match="neither a source nor a folder") as caught:
        resolve("vae", "tiny", data="mnsit", sources=["mnist", "digits"])
    assert caught.value.hint == "did you mean 'mnist'?"
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("vae", "tiny", data="mnist", sources=["mnist"]).data.name == "mnist"
    assert resolve("vae", "tiny", data="./mnist", sources=["mnist"]).data.name == "folder"


def test_negative_seed_is_refused(preset_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"vae/tiny \[run\]: seed = -1 is out of range"):
        resolve("vae", "tiny", seed=-1)
