"""`export` and `train --init`: what leaves sslterm is what the run is, and comes back as it was."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sslterm.engine.initial import begin_with, read_weights
from sslterm.engine.load import load_method
from sslterm.errors import DataError, UsageError
from sslterm.methods.base import Method
from sslterm.nn.backbone import Backbone
from sslterm.nn.foreign import adopt, names_in
from sslterm.nn.touched import touched
from sslterm.run.events import append_event
from sslterm.run.layout import RunDirectory
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


# -- ONNX, and our own names


@pytest.mark.parametrize("name", ["vae", "vit"])
def test_onnx_gives_the_same_for_any_number_of_images(desks: Any, tmp_path: Path, name: str) -> None:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library, reason="the extra `export` is not installed")
    desk = desks(name)
    answer = write(desk, "onnx", tmp_path / "out")
    assert {check["part"] for check in answer["checked"]} == {
        "encoder",
        *(["decoder"] if name == "vae" else []),
    }
    assert all(
        check["largest_difference"] <= 1e-4 * max(1, check["largest_value"]) for check in answer["checked"]
    )
    program = runpy.run_path(str(tmp_path / "out" / "load.py"))
    torch.testing.assert_close(
        torch.from_numpy(program["encode"](images_of(desk).numpy())), features_of(desk), atol=1e-4, rtol=1e-4
    )


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


# -- weights to begin with


def fresh(desk: Desk) -> Method:
    """The run's method with weights drawn anew."""
    from sslterm.engine.build import build_method

    return build_method(desk.loaded.experiment, desk.loaded.inputs)


@pytest.mark.parametrize(
    ("name", "to"), [("resnet", "torchvision"), ("vit", "torchvision"), ("resnet", "safetensors")]
)
def test_an_export_is_taken_in_again(desks: Any, tmp_path: Path, name: str, to: str) -> None:
    desk = desks(name)
    write(desk, to, tmp_path / "out")
    file = tmp_path / "out" / ("encoder.safetensors" if to == "safetensors" else "model.safetensors")
    method = fresh(desk)
    taken = begin_with(method, read_weights(file), images_of(desk))
    assert taken.what == "the encoder"
    method.eval()
    with torch.no_grad():
        torch.testing.assert_close(method.encode(images_of(desk)), features_of(desk))  # type: ignore[operator]
    average = method.target if name == "resnet" else method.teacher
    for ours, theirs in zip(average[0].parameters(), method.encoder.parameters(), strict=True):  # type: ignore[index, union-attr, operator]
        assert torch.equal(ours, theirs)


def test_torchvision_s_own_weights_are_taken_from_a_pickle_that_runs_nothing(
    desks: Any, tmp_path: Path
) -> None:
    from torchvision.models import resnet18

    theirs = resnet18().eval()
    state = {f"module.encoder_q.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "moco.pth")
    desk = desks("resnet")
    method = fresh(desk)
    assert begin_with(method, read_weights(tmp_path / "moco.pth"), images_of(desk)).what == "the encoder"
    theirs.fc = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        expected = theirs(method.encoder.standardised(images_of(desk)))  # type: ignore[union-attr, operator]
        torch.testing.assert_close(method.eval().encode(images_of(desk)), expected)  # type: ignore[operator]


def test_weights_that_do_not_fit_are_refused(desks: Any, tmp_path: Path) -> None:
    from torchvision.models import resnet18

    state = resnet18().state_dict()
    with pytest.raises(UsageError, match=r"conv1.weight is \[64, 3, 7, 7\] there, and \[64, 3, 3, 3\] here"):
        begin_with(fresh(desks("small-stem")), state, images_of(desks("small-stem")))
    with pytest.raises(UsageError, match="there is no "):
        begin_with(fresh(desks("vae")), state, images_of(desks("vae")))
    for content in (b"", b"not weights", b"\x80\x04\x95"):
        for name in ("w.pth", "w.safetensors"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DataError, match="cannot read the weights"):
                read_weights(tmp_path / name)
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")  # a pickled object, whose code would run
    with pytest.raises(DataError, match="holds more than tensors"):
        read_weights(tmp_path / "module.pth")
    torch.save({"epoch": 1}, tmp_path / "none.pth")
    with pytest.raises(DataError, match="holds no weights"):
        read_weights(tmp_path / "none.pth")


def test_learned_positions_are_refused_and_ours_taken() -> None:
    options: dict[str, Any] = {
        "widths": (), "patch": 8, "channels": 3, "pixel_mean": (0.5,), "pixel_std": (0.5,)
    }  # fmt: skip
    network = Backbone("vit-micro", **options)
    for library in ("torchvision", "timm"):
        from sslterm.nn.foreign import to_library

        state = to_library(network, library, height=16, width=24)  # type: ignore[arg-type]
        taken = adopt(network, state, height=16, width=24)
        assert taken.keys() == network.state_dict().keys() == names_in(network, library).keys()  # type: ignore[arg-type]
        learned = {key: value + (0.1 if "pos_emb" in key else 0) for key, value in state.items()}
        with pytest.raises(ValueError, match="positions are its own"):
            adopt(network, learned, height=16, width=24)


# -- the commands


def test_train_begins_with_a_run_or_a_file(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path))
    first = make_run(tmp_path, "vae", "digits", "method.widths=[16]", *FEW)
    weights = first.checkpoint(256) / "model.safetensors"
    (weights.parent / "trainer.pt").touch()
    changed = {name: tensor + 0.01 for name, tensor in load_file(weights).items()}
    save_file(changed, tmp_path / "mine.safetensors")
    brief = [
        "train", "vae", "--preset", "digits", "--foreground", "--device", "cpu", "--set", "method.widths=[16]",
        "--set", "train.images=128", *[part for change in FEW for part in ("--set", change)],
    ]  # fmt: skip
    for name, origin in (("a", first.name), ("b", str(tmp_path / "mine.safetensors"))):
        answer = cli(*brief, "--init", origin, "--name", name)
        assert answer.code == 0, answer.err
        run = RunDirectory(tmp_path / name)
        assert run.initial() == run.path / "initial.safetensors"
        beginning = load_file(run.checkpoint(0) / "model.safetensors")
        expected = load_file(weights) if name == "a" else changed
        assert all(torch.equal(beginning[key], expected[key]) for key in expected)
        assert '"kind":"initialised","what":"all weights"' in run.events.read_text()
    again = cli("reproduce", "b", "--name", "c", "--device", "cpu", "--json")
    assert (again.code, again.err.splitlines()[-1:]) == (0, again.err.splitlines()[-1:])
    assert '"verdict": "equal"' in again.out
    wrong = cli(*brief, "--init", tmp_path / "none.pth", "--name", "d")
    assert (wrong.code, wrong.out) == (3, "")
    misfit = cli(*brief, "--set", "method.widths=[8]", "--init", "a", "--name", "e")
    assert misfit.code == 2
    assert "do not fit the encoder" in misfit.err
    assert not (tmp_path / "d").exists()
    assert not (tmp_path / "e").exists()


def test_export_by_the_command(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "runs", "vae", "digits", "method.widths=[16]", *FEW)
    monkeypatch.chdir(tmp_path)
    answer = cli("export", run.path, "--to", "safetensors", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["path"] == str(tmp_path / "vae-digits-1-safetensors")
    assert (tmp_path / "vae-digits-1-safetensors" / "README.md").exists()
    assert cli("export", run.path, "--to", "tensorflow").code == 2
