"""Checkpoints: whole or absent, verified, and unable to run code."""

from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from sslterm.engine import checkpoint as module
from sslterm.engine.checkpoint import (
    DamagedError,
    list_checkpoints,
    newest_checkpoint,
    open_checkpoint,
    save_checkpoint,
)
from sslterm.errors import DataError
from sslterm.run.files import draft_of
from sslterm.run.layout import RunDirectory
from sslterm.run.lock import hold


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "vae-digits-1")


def save(run: RunDirectory, images: int, *, keep: int = 9) -> Path:
    model = {"weight": torch.full((3, 2), float(images)), "count": torch.tensor(images)}
    return save_checkpoint(
        run, step=images // 10, images=images, model=model, trainer={"images": images}, keep=keep
    )


def test_what_is_saved_is_read_back(run: RunDirectory) -> None:
    save(run, 100)
    found = open_checkpoint(run, 100)
    assert (found.step, found.images) == (10, 100)
    assert torch.equal(found.model_state()["weight"], torch.full((3, 2), 100.0))
    assert found.trainer_state() == {"images": 100}


def test_the_newest_few_are_kept(run: RunDirectory) -> None:
    for images in (100, 200, 1000, 300):
        save(run, images, keep=3)
    assert list_checkpoints(run) == [200, 300, 1000]
    assert not list(run.checkpoints.glob(".tmp-*"))


def test_saving_again_at_the_same_point_replaces(run: RunDirectory) -> None:
    (save(run, 100) / "trainer.pt").write_bytes(b"broken")
    save(run, 100)
    assert open_checkpoint(run, 100).trainer_state() == {"images": 100}


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.pt", "manifest.json"])
@pytest.mark.parametrize("harm", ["truncate", "flip", "remove"])
def test_a_damaged_newest_one_gives_way_to_the_one_before(run: RunDirectory, name: str, harm: str) -> None:
    save(run, 100)
    victim = save(run, 200) / name
    content = bytearray(victim.read_bytes())
    if harm == "remove":
        victim.unlink()
    else:
        content[len(content) // 2] ^= 255
        victim.write_bytes(bytes(content[:-7] if harm == "truncate" else content))
    found, complaints = newest_checkpoint(run)
    assert found is not None
    assert found.images == 100
    assert len(complaints) == 1
    assert "damaged" in complaints[0]
    assert "200" in complaints[0]


def test_nothing_whole_is_an_error_and_nothing_at_all_is_not(run: RunDirectory) -> None:
    assert newest_checkpoint(run) == (None, [])
    (save(run, 100) / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"no checkpoint .* is whole"):
        newest_checkpoint(run)


def test_one_from_a_newer_version_is_named_as_such(run: RunDirectory) -> None:
    path = save(run, 100) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(DataError, match="newer version") as caught:
        newest_checkpoint(run)
    assert not isinstance(caught.value, DamagedError)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def test_a_pickle_bomb_runs_no_code(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for bomb in ("pickle", "torch"):
        target = save(run, 100) / "trainer.pt"
        if bomb == "pickle":
            target.write_bytes(pickle.dumps(_Bomb(), protocol=2))
        else:
            torch.save({"images": _Bomb()}, target)
        manifest = target.with_name("manifest.json")
        about = json.loads(manifest.read_text())
        about["sha256"]["trainer.pt"] = module._digest(target)  # an attacker can do that too
        manifest.write_text(json.dumps(about))
        with pytest.raises(DamagedError):
            open_checkpoint(run, 100).trainer_state()
    assert not (tmp_path / "exploded").exists()


def test_what_a_killed_trainer_left_is_cleared_and_a_whole_newest_one_is_put_back(run: RunDirectory) -> None:
    for images in (100, 200, 300):
        save(run, images)
    run.checkpoint(300).rename(draft_of(run.checkpoint(300)))  # killed while it was replaced
    run.checkpoint(100).rename(draft_of(run.checkpoint(100)))  # killed while it was dropped
    unfinished = draft_of(run.checkpoint(400))
    unfinished.mkdir()
    (unfinished / "model.safetensors").write_bytes(b"half")
    with hold(run):
        assert list_checkpoints(run) == [200, 300]
        assert open_checkpoint(run, 300).trainer_state() == {"images": 300}
        assert sorted(path.name for path in run.checkpoints.iterdir()) == ["200", "300"]


def test_others_may_read_checkpoints_as_the_umask_says(run: RunDirectory) -> None:
    old = os.umask(0o022)
    try:
        assert save(run, 100).stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(old)


@pytest.mark.parametrize(("free", "code"), [(10, errno.ENOSPC), (1 << 40, errno.EIO)])
@pytest.mark.parametrize("error", [SafetensorError, RuntimeError])
def test_a_full_disk_is_known_by_what_is_free(
    run: RunDirectory, free: int, code: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """safetensors and torch say that writing failed, and not why."""

    def fails(*args: object) -> None:
        raise error("unexpected pos 704 vs 598")

    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    monkeypatch.setattr(module, "save_file" if error is SafetensorError else "_digest", fails)
    with pytest.raises(OSError, match="could not write the checkpoint") as caught:
        save(run, 100)
    assert caught.value.errno == code
    assert list(run.checkpoints.iterdir()) == []


@pytest.mark.parametrize("stage", ["save_file", "_flush"])
def test_a_full_disk_leaves_earlier_checkpoints_alone(
    run: RunDirectory, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run, 100)

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, stage, full)
    with pytest.raises(OSError, match="No space left"):
        save(run, 200, keep=1)
    monkeypatch.undo()
    assert list_checkpoints(run) == [100]
    assert open_checkpoint(run, 100).trainer_state() == {"images": 100}
    assert not list(run.checkpoints.glob(".tmp-*"))
