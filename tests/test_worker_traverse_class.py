"""`sslterm traverse --class`: the latent space of a generator that is told what to draw, as one class has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sslterm.engine.load import load_method
from sslterm.errors import UsageError
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import load_panel
from tests.in_process import WorkerHere
from tests.test_worker import make_run


@pytest.fixture(scope="module")
def biggan(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return make_run(
        tmp_path_factory.mktemp("runs"), "biggan", "digits",
        "method.generator_widths=[8,8]", "method.discriminator_widths=[8,8,8]", "data.train_images=64",
    )  # fmt: skip


def test_a_path_is_drawn_as_the_class_that_is_named(biggan: RunDirectory) -> None:
    answer = WorkerHere(biggan).ask("traverse", between=[1, 2], steps=4, label="3", path="spherical")
    assert answer["caption"].endswith("· class 3")
    assert answer["path"].endswith("-class3.png")
    with np.load(Path(answer["path"]).with_suffix(".npz")) as numbers:
        z = torch.from_numpy(numbers["z"])
    assert z.shape == (4, answer["latent_dim"])
    method = load_method(biggan, torch.device("cpu")).method.eval()
    with torch.no_grad():
        expected = method.decode_class(z, torch.full((4,), 3))  # type: ignore[operator]
        other = method.decode_class(z, torch.full((4,), 4))  # type: ignore[operator]
    shown = torch.from_numpy(load_panel(Path(answer["path"]).with_suffix(".npz")).array)
    torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5)
    assert (expected - other).abs().max() > 1e-3


def test_without_a_class_it_is_the_first(biggan: RunDirectory) -> None:
    worker = WorkerHere(biggan)
    answers = [worker.ask("traverse", dims=2, steps=3, label=label) for label in (None, "0", "1")]
    assert [answer["caption"].rpartition(" · ")[2] for answer in answers] == ["class 0", "class 0", "class 1"]
    assert [(answer["rows"], answer["columns"]) for answer in answers] == [(2, 3)] * 3
    unsaid, first, second = (load_panel(Path(answer["path"]).with_suffix(".npz")).array for answer in answers)
    assert np.array_equal(unsaid, first)
    assert not np.allclose(first, second, atol=1e-3)


def test_what_has_no_classes_takes_none(biggan: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no class 'ten' in digits"):
        WorkerHere(biggan).ask("traverse", label="ten")
    with pytest.raises(UsageError, match="biggan draws a code as the class that it is told"):
        WorkerHere(biggan).ask("traverse", arithmetic="1 - 2")
    vae = make_run(tmp_path, "vae", "digits", "method.widths=[8]", "data.train_images=64")
    with pytest.raises(UsageError, match="vae is not told which class to draw"):
        WorkerHere(vae).ask("traverse", label="3")
