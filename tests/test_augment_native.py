"""The compiled backend: how it is made, and that nothing about it can break a run."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from sslterm.augment import View, backend, backends, native, why_not_native
from sslterm.augment.table import sample
from sslterm.errors import UsageError
from tests import augment_oracle as oracle

CPU = torch.device("cpu")


def forget() -> None:
    native.library.cache_clear()
    backends.why_not_native.cache_clear()


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has not looked for a backend yet."""
    monkeypatch.delenv(backends.SWITCH, raising=False)
    forget()
    yield
    forget()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setattr(native.platformdirs, "user_cache_path", lambda _: tmp_path / "cache")
    return tmp_path / "cache" / "native"


@pytest.fixture
def compiler() -> None:
    try:
        native.compiler()
    except native.Unavailable as reason:
        pytest.skip(str(reason))


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def assert_views_are_made_by_eager(reason: str) -> None:
    assert reason in why_not_native()
    assert "\n" not in why_not_native()
    assert backend() == "eager"
    assert View(oracle.EVERYTHING)(oracle.photographs(8)).shape == (8, 3, 32, 32)


def test_it_is_compiled_once_and_kept(compiler, cache, monkeypatch):
    assert backend() == "native"
    (library,) = cache.iterdir()
    made = library.stat().st_mtime_ns
    forget()
    monkeypatch.setattr(native, "_compile", lambda path: pytest.fail("compiled again"))
    assert backend() == "native"
    assert library.stat().st_mtime_ns == made


def test_choosing_it_leaves_the_random_state_alone(compiler):
    before = torch.get_rng_state()
    assert backend() == "native"
    assert torch.equal(torch.get_rng_state(), before)


def test_another_source_or_processor_is_another_library(compiler, monkeypatch):
    paths = {native._library_path()}
    monkeypatch.setattr(native, "_processor", lambda: "flags : of another machine")
    paths.add(native._library_path())
    monkeypatch.setattr(native, "_source", lambda: "// changed")
    paths.add(native._library_path())
    assert len(paths) == 3


def test_processes_that_compile_at_once_do_not_disturb_each_other(compiler, cache):
    path = native._library_path()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(native._compile, [path, path]))
    assert [entry.name for entry in cache.iterdir()] == [path.name]
    assert backend() == "native"


def test_no_compiler(cache, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    assert_views_are_made_by_eager("no C++ compiler (c++, g++, clang++) on the PATH")
    assert not cache.exists()


def test_a_compiler_that_fails(cache, monkeypatch, tmp_path):
    monkeypatch.setenv(
        "CXX", script(tmp_path / "cxx", "echo 'views.cpp:1: error: no such thing' >&2; exit 1")
    )
    assert_views_are_made_by_eager("failed: views.cpp:1: error: no such thing")
    assert list(cache.iterdir()) == []


def test_a_compiler_that_hangs(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(native, "_COMPILE_SECONDS", 0.2)
    monkeypatch.setenv("CXX", script(tmp_path / "cxx", "exec sleep 20"))
    assert_views_are_made_by_eager("took more than 0.2 seconds")


def test_a_library_that_cannot_be_loaded_is_removed(cache, monkeypatch, tmp_path):
    writes_text = 'while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"'
    monkeypatch.setenv("CXX", script(tmp_path / "cxx", writes_text))
    assert_views_are_made_by_eager("cannot be made or loaded")
    assert list(cache.iterdir()) == []


def test_a_library_that_makes_other_views_is_not_used(compiler, cache, monkeypatch):
    nothing = 'extern "C" int sslterm_views(const float*, float* out, ...) { out[0] = 9; return 0; }'
    monkeypatch.setattr(native, "_source", lambda: nothing)
    assert_views_are_made_by_eager("away from the eager ones")


def test_a_cache_that_cannot_be_written_to(compiler, cache, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert_views_are_made_by_eager("cannot be made or loaded")


def test_the_switch(compiler, monkeypatch):
    for name in ("eager", "native"):
        monkeypatch.setenv(backends.SWITCH, name)
        assert backend() == name
    monkeypatch.setenv(backends.SWITCH, "cuda")
    with pytest.raises(UsageError, match="SSLTERM_AUGMENT is 'cuda'"):
        backend()


def test_the_switch_asks_for_what_cannot_be_had(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv(backends.SWITCH, "native")
    with pytest.raises(UsageError, match="no C\\+\\+ compiler"):
        backend()


def test_bits_do_not_depend_on_threads(compiler):
    images = oracle.photographs(100)
    table = sample(oracle.EVERYTHING, 100, 32, 32, device=CPU)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 7):
            torch.set_num_threads(threads)
            results.append(native.apply(oracle.EVERYTHING, images, table))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_bits_do_not_depend_on_the_processor(compiler, monkeypatch):
    images = oracle.photographs(100)
    table = sample(oracle.EVERYTHING, 100, 32, 32, device=CPU)
    tuned = native.apply(oracle.EVERYTHING, images, table)
    forget()
    monkeypatch.setattr(native, "_processor", lambda: "")
    assert "-march=native" not in native._command("")
    assert torch.equal(native.apply(oracle.EVERYTHING, images, table), tuned)
