"""Standard data sets: read in torchvision's layout, fetched from a server, refused when damaged."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from torchvision import datasets

from sslterm.config.schema import DataConfig
from sslterm.data.catalog import SOURCES, data_root
from sslterm.data.download import DownloadError, RemoteFile, fetch
from sslterm.data.progress import silent
from sslterm.data.source import Source, load_source
from sslterm.errors import DataError

SSLTERM_DATA = os.environ.get("SSLTERM_DATA")


def load(name: str, *, size: int = 0, train: int = 0, test: int = 0, progress: Any = silent) -> Source:
    return load_source(
        DataConfig(name=name, path="", size=size, train_images=train, test_images=test, seed=0), progress
    )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("SSLTERM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@dataclass
class Server:
    """Files by path; `cut` ends the first answer after so many bytes."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range) of every request."""
    cut: int = 0
    ranges: bool = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, range_ = self.path.lstrip("/"), self.headers.get("Range", "")
            state.asked.append((name, range_))
            if name not in state.files:
                self.send_error(404)
                return
            body, start = state.files[name], 0
            if range_ and state.ranges:
                start = int(range_.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = start + state.cut if state.cut else len(body)
            state.cut = 0
            self.wfile.write(body[start:end])

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}/"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """The format of the MNIST files."""
    head = b"\0\0\x08" + bytes([array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return head + array.tobytes()


@pytest.fixture
def mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray[Any, np.dtype[np.uint8]]]:
    """A small MNIST on the server, with checksums to match."""
    generator = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": generator.integers(0, 256, (50, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": (np.arange(50) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": generator.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": (np.arange(20) % 10).astype(np.uint8),
    }
    server.files = {f"{name}.gz": gzip.compress(idx(array), mtime=0) for name, array in arrays.items()}
    monkeypatch.setattr(datasets.MNIST, "mirrors", [server.url])
    monkeypatch.setattr(datasets.MNIST, "resources", [(n, md5(c)) for n, c in server.files.items()])
    return arrays


# -- fetching


def test_a_data_set_is_fetched_verified_and_read(
    root: Path, server: Server, mnist: dict[str, np.ndarray[Any, np.dtype[np.uint8]]]
) -> None:
    assert not SOURCES["mnist"].is_ready
    said: list[tuple[str, int, int]] = []
    source = load("mnist", progress=lambda what, done, total: said.append((what, done, total)))
    assert np.array_equal(source.train.images.squeeze(1).numpy(), mnist["train-images-idx3-ubyte"])
    assert np.array_equal(source.test.images.squeeze(1).numpy(), mnist["t10k-images-idx3-ubyte"])
    assert source.train.labels.tolist() == [row % 10 for row in range(50)]
    assert source.class_names == tuple("0123456789")
    size = len(server.files["train-images-idx3-ubyte.gz"])
    assert ("downloading train-images-idx3-ubyte.gz", size, size) in said
    assert SOURCES["mnist"].is_ready
    assert not list(root.rglob("*.part"))
    requests = len(server.asked)
    load("mnist")
    assert len(server.asked) == requests, "fetched again"


def test_files_put_there_by_hand_are_enough(
    root: Path, server: Server, mnist: dict[str, np.ndarray[Any, np.dtype[np.uint8]]]
) -> None:
    (root / "MNIST" / "raw").mkdir(parents=True)
    for name, content in server.files.items():
        (root / "MNIST" / "raw" / name).write_bytes(content)
    assert len(load("mnist").train) == 50
    assert server.asked == []


def test_a_cut_download_goes_on_where_it_stopped(tmp_path: Path, server: Server) -> None:
    body = np.random.default_rng(1).bytes(600_000)
    server.files["big.bin"], server.cut = body, 400_000
    file = RemoteFile("big.bin", (server.url + "big.bin",), md5(body))
    with pytest.raises(DownloadError, match=r"big\.bin"):
        fetch([file], tmp_path, silent)
    assert not (tmp_path / "big.bin").exists()
    fetch([file], tmp_path, silent)
    assert (tmp_path / "big.bin").read_bytes() == body
    assert server.asked == [("big.bin", ""), ("big.bin", "bytes=400000-")]


def test_a_server_without_ranges_is_asked_for_all(tmp_path: Path, server: Server) -> None:
    body = np.random.default_rng(1).bytes(300_000)
    server.files["big.bin"], server.ranges = body, False
    (tmp_path / "big.bin.part").write_bytes(b"x" * 1000)
    fetch([RemoteFile("big.bin", (server.url + "big.bin",), md5(body))], tmp_path, silent)
    assert (tmp_path / "big.bin").read_bytes() == body


def test_a_whole_file_that_was_not_yet_renamed_is_taken(tmp_path: Path, server: Server) -> None:
    body = b"whole" * 100
    server.files["a.bin"] = body
    (tmp_path / "a.bin.part").write_bytes(body)
    fetch([RemoteFile("a.bin", (server.url + "a.bin",), md5(body))], tmp_path, silent)
    assert (tmp_path / "a.bin").read_bytes() == body


def test_another_mirror_is_tried_and_what_is_not_as_published_is_refused(
    tmp_path: Path, server: Server
) -> None:
    server.files |= {"bad/a.bin": b"tampered", "good/a.bin": b"published"}
    bad, good = server.url + "bad/a.bin", server.url + "good/a.bin"
    with pytest.raises(DownloadError, match="not what was published"):
        fetch([RemoteFile("a.bin", (bad,), md5(b"published"))], tmp_path, silent)
    assert list(tmp_path.glob("a.bin*")) == []
    fetch([RemoteFile("a.bin", (server.url + "none", bad, good), md5(b"published"))], tmp_path, silent)
    assert (tmp_path / "a.bin").read_bytes() == b"published"
    # A file that was damaged on disk is fetched again.
    (tmp_path / "a.bin").write_bytes(b"rotten")
    fetch([RemoteFile("a.bin", (good,), md5(b"published"))], tmp_path, silent)
    assert (tmp_path / "a.bin").read_bytes() == b"published"


@pytest.mark.parametrize("name", [name for name, entry in SOURCES.items() if entry.needs_download])
def test_without_a_network_it_says_what_to_do(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.error import URLError

    def no_network(*arguments: object, **options: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(DataError) as caught:
        load(name)
    message, hint = caught.value.message, caught.value.hint
    assert message.startswith(f"cannot download {name}: ")
    assert "Name or service not known" in message
    assert "\n" not in message + hint
    assert str(root) in hint, "where to put it"
    assert any(file in hint for file in ("train-images-idx3-ubyte.gz", ".tar.gz", "train_32x32.mat")), "what"
    assert "SSLTERM_DATA" in hint
    assert "digits, shapes, painted, patterns, scenes, sprites need no download" in hint
    assert caught.value.exit_code == 3


def test_a_data_folder_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SSLTERM_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(DataError, match="cannot write mnist to") as caught:
        load("mnist")
    assert "SSLTERM_DATA" in caught.value.hint


# -- damage


def test_damaged_files_without_their_archive_are_named(
    root: Path, server: Server, mnist: dict[str, np.ndarray[Any, np.dtype[np.uint8]]]
) -> None:
    load("mnist")
    raw = root / "MNIST" / "raw"
    for path in raw.glob("*.gz"):
        path.unlink()
    images = raw / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"mnist in .* is damaged") as caught:
        load("mnist")
    assert f"delete {root / 'MNIST'}" in caught.value.hint
    assert "sslterm data get mnist" in caught.value.hint


def test_unpacking_that_was_cut_short_is_done_again(
    root: Path, server: Server, mnist: dict[str, np.ndarray[Any, np.dtype[np.uint8]]]
) -> None:
    load("mnist")
    requests = len(server.asked)
    images = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:1000])
    assert np.array_equal(load("mnist").train.images.squeeze(1).numpy(), mnist["train-images-idx3-ubyte"])
    assert len(server.asked) == requests


# -- layouts of the others, on a few images


def pictures(count: int, side: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8 [N, 3, side, side]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar(name: str, root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    key = {"cifar10": "labels", "cifar100": "fine_labels"}[name]
    train, test = pictures(12, 32, 0), pictures(5, 32, 1)
    names = [f"class {number}" for number in range(100)]
    batches = {
        "train": pickle.dumps({"data": train.reshape(12, -1), key: [*range(10), 3, 4]}),
        "test": pickle.dumps({"data": test.reshape(5, -1), key: [9, 8, 7, 6, 5]}),
        "meta": pickle.dumps({dataset.meta["key"]: names}),
    }
    archive = tar_of({f"{dataset.base_folder}/{file}": content for file, content in batches.items()})
    server.files[dataset.filename] = archive
    monkeypatch.setattr(dataset, "url", server.url + dataset.filename)
    monkeypatch.setattr(dataset, "tgz_md5", md5(archive))
    monkeypatch.setattr(dataset, "train_list", [["train", md5(batches["train"])]])
    monkeypatch.setattr(dataset, "test_list", [["test", md5(batches["test"])]])
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "filename": "meta", "md5": md5(batches["meta"])})
    source = load(name)
    assert np.array_equal(source.train.images.numpy(), train)
    assert np.array_equal(source.test.images.numpy(), test)
    assert source.test.labels.tolist() == [9, 8, 7, 6, 5]
    assert source.class_names[3] == ("cat" if name == "cifar10" else "class 3")
    # A batch that was replaced by a pickle that would run code is refused, unread; then unpacked again.
    bomb = b"cos\nsystem\n(S'touch " + str(root / "pwned").encode() + b"'\ntR."
    (root / dataset.base_folder / "train").write_bytes(bomb)
    assert np.array_equal(load(name).train.images.numpy(), train)
    assert not (root / "pwned").exists()


def test_svhn(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    splits, images = {}, {}
    for number, split in enumerate(("train", "test")):
        images[split] = pictures(11, 32, number)
        buffer = io.BytesIO()
        # MATLAB's order: height, width, channel, image; the digit 0 is labelled 10.
        labels = np.arange(1, 12).reshape(11, 1) % 11
        scipy.io.savemat(
            buffer, {"X": images[split].transpose(2, 3, 1, 0), "y": np.where(labels == 0, 10, labels)}
        )
        content = buffer.getvalue()
        server.files[f"{split}_32x32.mat"] = content
        splits[split] = [f"{server.url}{split}_32x32.mat", f"{split}_32x32.mat", md5(content)]
    monkeypatch.setattr(datasets.SVHN, "split_list", splits)
    source = load("svhn")
    assert np.array_equal(source.train.images.numpy(), images["train"])
    assert np.array_equal(source.test.images.numpy(), images["test"])
    assert source.train.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0]


def test_stl10(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    train, unlabeled, test = pictures(4, 96, 0), pictures(6, 96, 1), pictures(3, 96, 2)
    files = {
        "train_X.bin": train.transpose(0, 1, 3, 2).tobytes(),  # column by column
        "train_y.bin": bytes([1, 2, 3, 10]),
        "unlabeled_X.bin": unlabeled.transpose(0, 1, 3, 2).tobytes(),
        "test_X.bin": test.transpose(0, 1, 3, 2).tobytes(),
        "test_y.bin": bytes([5, 6, 7]),
    }
    archive = tar_of({f"stl10_binary/{name}": content for name, content in files.items()})
    server.files["stl10_binary.tar.gz"] = archive
    monkeypatch.setattr(datasets.STL10, "url", server.url + "stl10_binary.tar.gz")
    monkeypatch.setattr(datasets.STL10, "tgz_md5", md5(archive))
    sums = [[name, md5(content)] for name, content in files.items()]
    monkeypatch.setattr(datasets.STL10, "train_list", sums[:3])
    monkeypatch.setattr(datasets.STL10, "test_list", sums[3:])
    source = load("stl10")
    assert np.array_equal(source.train.images.numpy(), np.concatenate((train, unlabeled)))
    assert source.train.labels.tolist() == [0, 1, 2, 9, -1, -1, -1, -1, -1, -1]
    assert np.array_equal(source.test.images.numpy(), test)
    assert source.test.labels.tolist() == [4, 5, 6]
    assert load("stl10", size=48).train.images.shape == (10, 3, 48, 48)


# -- the real MNIST


@pytest.mark.skipif(SSLTERM_DATA is None, reason="SSLTERM_DATA is not set")
def test_the_real_mnist() -> None:
    """Counts as published; ink as published: the mean pixel of the training set is 0.1307."""
    assert data_root() == Path(SSLTERM_DATA or "")
    source = load("mnist")
    assert source.train.images.shape == (60_000, 1, 28, 28)
    assert source.test.images.shape == (10_000, 1, 28, 28)
    assert source.test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert abs(source.train.images.float().mean().item() / 255 - 0.1307) < 0.0005
    padded = load("mnist", size=32, train=1000, test=100)
    assert padded.train.images.shape == (1000, 1, 32, 32)
    assert padded.train.images[:, :, :2].max() == 0
    assert (padded.train.labels.bincount() - source.train.labels.bincount() / 60).abs().max() <= 1
    # The rows are real ones: each padded test image occurs in the whole set with its label.
    inner = padded.test.images[:, :, 2:-2, 2:-2]
    for image, label in zip(inner[:10], padded.test.labels[:10].tolist(), strict=True):
        same = (source.test.images == image).flatten(1).all(1)
        assert torch.unique(source.test.labels[same]).tolist() == [label]
