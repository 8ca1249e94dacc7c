"""`export`: what leaves sslterm is what the run is."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sslterm.engine.load import load_method
from sslterm.errors import UsageError
from sslterm.methods.base import Method
from sslterm.nn.touched import touched
from sslterm.run.events import append_event
from sslterm.worker.desk import Desk
from sslterm.worker.encoders import find_encoder
from sslterm.worker.exporting import export
from sslterm.worker.requests import Export
from tests.cli_program import Cli, cli
from tests.test_render_figures import FD, KNN, LIKELIHOOD, MSE, evaluated, probed
from tests.test_worker import make_run

__all__ = ["cli"]

FEW = ("data.train_images=64", "data.test_images=24", "train.batch=32")
NETWORKS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "vae": ("vae", "digits", ("method.widths=[16]", *FEW)),
    "conv": ("simclr", "patterns", FEW),
    "small-stem": ("simclr", "patterns", ('method.backbone="resnet18-small"', "method.widths=[]", *FEW)),
    "resnet": ("byol", "patterns", ('method.backbone="resnet18"', "method.widths=[]", *FEW)),
    "vit": (
        "dino", "patterns",
        ('method.backbone="vit-micro"', "method.widths=[]", "method.patch=8", *FEW),
    ),
    "mae": ("mae", "patterns", FEW),
    "sobel": (
        "deepcluster", "patterns",
        ('method.backbone="resnet18"', "method.widths=[]", "method.sobel=true", "method.clusters=8",
         "method.pca=4", "method.pixel_mean=[0.0]", "method.pixel_std=[1.0]", *FEW),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Desks of runs by the name of their network, made when they are first asked for."""
    made: dict[str, Desk] = {}

    def desk(name: str) -> Desk:
        if name not in made:
            method, preset, overrides = NETWORKS[name]
            run = make_run(tmp_path_factory.mktemp(name), method, preset, *overrides)
            loaded = load_method(run, torch.device("cpu"))
            scramble(loaded.method)
            made[name] = Desk(run, loaded, torch.device("cpu"))
        return made[name]

    return desk


def scramble(method: Method) -> None:
    """Weights and statistics that no two layers share, so that nothing can be mistaken for anything else."""
    generator = torch.Generator().manual_seed(1)
    for tensor in method.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim:
            tensor.mul_(1 + 0.2 * torch.rand(tensor.shape, generator=generator)).add_(0.01)


def write(desk: Desk, to: str, out: Path, **options: Any) -> dict[str, Any]:
    return export(desk, Export(to=to, out=str(out), **options), lambda progress: None)  # type: ignore[arg-type]


def images_of(desk: Desk) -> Tensor:
    return desk.held_out(5, seed=3)


def features_of(desk: Desk) -> Tensor:
    with torch.no_grad():
        return desk.loaded.method.encode(images_of(desk))  # type: ignore[operator, no-any-return]


# -- models of other libraries


@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("small-stem", "torchvision"), ("resnet", "torchvision"), ("vit", "torchvision"),
        ("small-stem", "timm"), ("resnet", "timm"), ("vit", "timm"), ("mae", "timm"),
    ],
)  # fmt: skip
def test_other_libraries_give_the_same_features_without_sslterm(
    desks: Any, tmp_path: Path, name: str, to: str
) -> None:
    if to == "timm":
        pytest.importorskip("timm", reason="the extra `export` is not installed")
    desk = desks(name)
    answer = write(desk, to, tmp_path / "out")
    assert {check["inputs"] for check in answer["checked"]} == {"held-out images", "random images"}
    program = (tmp_path / "out" / "load.py").read_text()
    assert "sslterm" not in program
    card = (tmp_path / "out" / "README.md").read_text()
    assert program.rstrip() in card
    loaded = runpy.run_path(str(tmp_path / "out" / "load.py"))
    torch.testing.assert_close(loaded["encode"](images_of(desk)), features_of(desk), atol=1e-5, rtol=1e-4)
    assert ("3x3 with stride 1" in card) == (name == "small-stem")


def test_a_process_without_sslterm_loads_it(desks: Any, tmp_path: Path) -> None:
    desk = desks("resnet")
    write(desk, "torchvision", tmp_path / "out")
    torch.save(images_of(desk), tmp_path / "images.pt")
    code = (
        "import sys, torch; sys.modules['sslterm'] = None; sys.path.insert(0, sys.argv[1] + '/out');"
        "from load import encode; torch.save(encode(torch.load(sys.argv[1] + '/images.pt')), sys.argv[1] + '/f.pt')"
    )
    subprocess.run([sys.executable, "-I", "-c", code, str(tmp_path)], check=True, timeout=120)
    torch.testing.assert_close(torch.load(tmp_path / "f.pt"), features_of(desk), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["resnet", "vit", "mae"])
def test_timm_loads_the_folder_by_itself(desks: Any, tmp_path: Path, name: str) -> None:
    timm = pytest.importorskip("timm", reason="the extra `export` is not installed")
    desk = desks(name)
    write(desk, "timm", tmp_path / "out")
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    loaded = runpy.run_path(str(tmp_path / "out" / "load.py"))
    with torch.no_grad():
        features = model((images_of(desk) - loaded["MEAN"]) / loaded["STD"])
    torch.testing.assert_close(features, features_of(desk), atol=1e-5, rtol=1e-4)
    assert list(model.pretrained_cfg["mean"]) == pytest.approx(loaded["MEAN"].flatten().tolist())


@pytest.mark.parametrize(
    ("name", "to", "says"),
    [
        ("conv", "torchvision", "has the small net `conv`"),
        ("vae", "timm", "has a network of its own"),
        ("mae", "torchvision", "mean over patches"),
        ("sobel", "torchvision", "more than its network"),
    ],
)
def test_what_a_target_cannot_hold_is_refused_and_nothing_written(
    desks: Any, tmp_path: Path, name: str, to: str, says: str
) -> None:
    if to == "timm":
        pytest.importorskip("timm", reason="the extra `export` is not installed")
    with pytest.raises(UsageError, match=says):
        write(desks(name), to, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# -- our own names, and the card


def test_our_own_format_holds_what_encoding_and_decoding_need_alone(desks: Any, tmp_path: Path) -> None:
    desk = desks("vae")
    answer = write(desk, "safetensors", tmp_path / "out")
    files = {"README.md", "config.toml", "decoder.safetensors", "encoder.safetensors", "load.py"}
    assert set(answer["files"]) == files
    names = [set(load_file(tmp_path / "out" / f"{part}.safetensors")) for part in ("encoder", "decoder")]
    assert not names[0] & names[1]
    assert names[0] | names[1] == set(desk.loaded.method.state_dict())
    program = runpy.run_path(str(tmp_path / "out" / "load.py"))
    torch.testing.assert_close(program["encode"](images_of(desk)), features_of(desk))


def test_the_card_lists_what_was_measured_of_this_checkpoint(desks: Any, tmp_path: Path) -> None:
    desk = desks("vae")
    write(desk, "safetensors", tmp_path / "before")
    assert "Nothing of this checkpoint yet" in (tmp_path / "before" / "README.md").read_text()
    for results in (
        evaluated(LIKELIHOOD, images=256), evaluated(MSE, images=128), probed(KNN, images=256),
        evaluated(FD, images=256, sampling={"steps": 5}),
    ):  # fmt: skip
        append_event(desk.run.results, results.pop("kind"), **results)
    try:
        write(desk, "safetensors", tmp_path / "out")
    finally:
        desk.run.results.unlink()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| nll\\_nats | 37.42 | ± 0.43 | nats | bound | 297 | test | 96.50 | 177.4 |" in card
    assert "| knn | encode | 0.7500 | ± 0.025 | accuracy | estimate |" in card
    assert "drawn with steps 5 and not as the run draws by itself" in card
    assert "| mse |" not in card  # of another checkpoint
    assert "Nothing of this checkpoint yet" not in card


def test_the_moving_average_and_the_trained_network_are_told_apart(desks: Any, tmp_path: Path) -> None:
    resnet, vit = desks("resnet").loaded.method, desks("vit").loaded.method
    others = {("resnet", "ema"), ("vit", "online")}  # than the runs encode with by themselves
    for name, networks in (
        ("resnet", {"ema": resnet.target[0]}), ("vit", {"online": vit.encoder, "ema": vit.teacher[0]})
    ):  # fmt: skip
        desk = desks(name)
        for which, network in networks.items():
            answer = write(desk, "torchvision", tmp_path / f"{name}-{which}", encoder=which)
            assert answer["encoder"] == which
            card = (tmp_path / f"{name}-{which}" / "README.md").read_text()
            assert ("not with the one that is here" in card) == ((name, which) in others)
            program = runpy.run_path(str(tmp_path / f"{name}-{which}" / "load.py"))
            with torch.no_grad():
                expected = network(images_of(desk))
            torch.testing.assert_close(program["encode"](images_of(desk)), expected, atol=1e-5, rtol=1e-4)
    assert find_encoder(resnet, images_of(desks("resnet"))).which == "online"
    assert find_encoder(vit, images_of(desks("vit"))).which == "ema"
    with pytest.raises(UsageError, match="there is no ema"):
        write(desks("small-stem"), "torchvision", tmp_path / "none", encoder="ema")


def test_nothing_is_overwritten_but_an_earlier_export(desks: Any, tmp_path: Path) -> None:
    desk, target = desks("vae"), tmp_path / "out"
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    for force in (False, True):
        with pytest.raises(UsageError, match="exists already"):
            write(desk, "safetensors", target, force=force)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "thesis.tex"]
    write(desk, "safetensors", tmp_path / "again")
    with pytest.raises(UsageError, match="exists already"):
        write(desk, "safetensors", tmp_path / "again")
    write(desk, "safetensors", tmp_path / "again", force=True)


def test_touched_names_what_is_computed_with() -> None:
    network = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.BatchNorm1d(2), "c": nn.Linear(2, 2)}).eval()
    x = torch.zeros(1, 2)
    names = set(touched(network, lambda: network["b"](network["a"](x))))
    assert names == {"a.weight", "a.bias", "b.weight", "b.bias", "b.running_mean", "b.running_var"}


# -- the commands


def test_export_by_the_command(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "runs", "vae", "digits", "method.widths=[16]", *FEW)
    monkeypatch.chdir(tmp_path)
    answer = cli("export", run.path, "--to", "safetensors", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["path"] == str(tmp_path / "vae-digits-1-safetensors")
    assert (tmp_path / "vae-digits-1-safetensors" / "README.md").exists()
    assert cli("export", run.path, "--to", "tensorflow").code == 2
