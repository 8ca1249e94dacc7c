"""VQ-VAE: nearest codes by brute force, gradients by hand, averages in closed form, and the bound by enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, LossFn
from sslterm.methods.latent.vq_vae import VQVAE
from sslterm.nn.codebook import Codebook, nearest_codes, perplexity, pull, straight_through
from sslterm.nn.observation import Observation
from sslterm.nn.painting import paint
from sslterm.nn.pixel_values import Codes


def make(*, height: int = 8, width: int = 8, channels: int = 1, **changes: Any) -> VQVAE:
    fields: dict[str, Any] = {
        "width": 8, "residual_width": 4, "residual_blocks": 1, "halvings": 2, "codes": 5, "code_dim": 3,
        "commitment": 0.25, "codebook": "ema", "decay": 0.9, "revive_below": 0.0, "decoder": "bernoulli",
        "binarization": "threshold", "prior_share": 0.5, "prior_width": 8, "prior_blocks": 1, "prior_first_kernel": 3,
        "prior_kernel": 3, "prior_head": 8,
    }  # fmt: skip
    torch.manual_seed(0)
    inputs = Inputs(channels=channels, height=height, width=width, train_images=10)
    return VQVAE(VQVAE.Config(**(fields | changes)), inputs)


def shake(method: VQVAE) -> VQVAE:
    """Weights of the prior far from 0, where it is uniform."""
    with torch.no_grad():
        for parameter in method.prior.parameters():
            parameter.normal_(0.0, 0.7)
    return method.eval()


def batch_of(n: int, *, side: int = 8) -> Batch:
    torch.manual_seed(1)
    return Batch(torch.rand(n, 1, side, side), torch.arange(n), torch.full((n,), -1))


def last(partials: Iterator[Tensor]) -> Tensor:
    *_, final = partials
    return final


class Recorder:
    """An `Update` that evaluates losses and moves nothing."""

    step, images = 0, 0

    def __init__(self, progress: float) -> None:
        self.progress = progress
        self.names: list[str] = []

    def __call__(self, name: Any, loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        self.names.append(name)
        _, aux = loss_fn(batch)
        return {key: value.detach() for key, value in aux.items() if value.ndim}


# -- quantization


def test_the_nearest_code_is_that_of_brute_force() -> None:
    torch.manual_seed(0)
    z, vectors = torch.randn(4, 3, 2, 5), torch.randn(7, 3)
    found = nearest_codes(z, vectors)
    distances = (
        (z.double()[:, None] - vectors.double()[None, :, :, None, None]).square().sum(2)
    )  # [B, K, H, W]
    assert torch.equal(found, distances.argmin(1))
    assert len(found.unique()) > 3


def test_looking_up_puts_each_code_in_its_place() -> None:
    codebook = Codebook(5, 3, learned=True)
    codes = torch.randint(5, (2, 4, 6))
    for b, row, column in itertools.product(range(2), range(4), range(6)):
        assert torch.equal(codebook(codes)[b, :, row, column], codebook.vectors[codes[b, row, column]])


def test_the_gradient_goes_straight_through() -> None:
    z, e = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4, requires_grad=True)
    through = straight_through(z, e)
    torch.testing.assert_close(through, e)
    above = torch.randn_like(z)
    (through * above).sum().backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    torch.testing.assert_close(z.grad, above)
    assert e.grad is None


def test_commitment_pulls_vectors_to_codes_and_not_codes_to_vectors() -> None:
    z, e = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4, requires_grad=True)
    value = pull(z, e)
    assert value.item() == pytest.approx(((z - e) ** 2).sum().item() / 2, rel=1e-6)
    value.backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    torch.testing.assert_close(z.grad, 2 * (z - e).detach() / 2)
    assert e.grad is None


# -- the codebook


def test_averages_are_those_of_the_closed_form() -> None:
    """After T batches N = gamma^T + (1 - gamma) sum_t gamma^(T - t) n_t, and so on, in float64."""
    torch.manual_seed(0)
    codebook, gamma = Codebook(4, 3, learned=False), 0.8
    start = codebook.vectors.double().clone()
    counts, sums = torch.ones(4, dtype=torch.float64), start.clone()
    history = []
    for _ in range(6):
        z = torch.randn(5, 3, 2, 2)
        codes = torch.randint(3, (5, 2, 2))  # code 3 is never used
        codebook.follow(z, codes, gamma)
        history.append((z.double(), codes))
    counts, sums = counts * gamma**6, sums * gamma**6
    for t, (z, codes) in enumerate(history):
        for code in range(4):
            mine = codes == code
            weight = (1 - gamma) * gamma ** (5 - t)
            counts[code] += weight * mine.sum()
            sums[code] += weight * z.movedim(1, -1)[mine].sum(0)
    torch.testing.assert_close(codebook.counts.double(), counts, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(codebook.sums.double(), sums, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(codebook.vectors.double(), sums / counts[:, None], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(codebook.vectors[3].double(), start[3])


def test_a_code_without_use_stays_where_it_is_when_its_average_has_vanished() -> None:
    torch.manual_seed(0)
    codebook = Codebook(2, 3, learned=False)
    before = codebook.vectors[1].clone()
    z, codes = torch.randn(4, 3, 2, 2), torch.zeros(4, 2, 2, dtype=torch.long)
    for _ in range(400):
        codebook.follow(z, codes, 0.5)
    assert codebook.counts[1] == 0
    torch.testing.assert_close(codebook.vectors[1], before)
    torch.testing.assert_close(codebook.vectors[0], z.movedim(1, -1).flatten(0, 2).mean(0))


def test_dead_codes_move_onto_vectors_of_the_batch_and_others_stay() -> None:
    torch.manual_seed(0)
    codebook = Codebook(6, 3, learned=False)
    codebook.counts.copy_(torch.tensor([10.0, 20.0, 0.1, 15.0, 0.0, 14.9]))  # 10 is an even use
    before, z = codebook.vectors.clone(), torch.randn(5, 3, 2, 2)
    codebook.revive(z, 0.1)
    dead = torch.tensor([False, False, True, False, True, False])
    assert torch.equal(codebook.vectors[~dead], before[~dead])
    points = z.movedim(1, -1).flatten(0, 2)
    for vector in codebook.vectors[dead]:
        assert (points == vector).all(1).any()
    torch.testing.assert_close(codebook.counts[dead], torch.full((2,), 10.0))
    torch.testing.assert_close(codebook.sums[dead], 10 * codebook.vectors[dead])
    moved = codebook.vectors.clone()
    state = torch.get_rng_state()
    codebook.revive(z, 0.1)  # nothing is dead now, and as much is drawn
    assert torch.equal(codebook.vectors, moved)
    assert not torch.equal(torch.get_rng_state(), state)


def test_perplexity_counts_codes_that_are_evenly_used() -> None:
    assert perplexity(torch.tensor([3.0, 3.0, 0.0, 3.0])).item() == pytest.approx(3.0)
    assert perplexity(torch.tensor([0.0, 7.0])).item() == pytest.approx(1.0)
    p = torch.tensor([0.7, 0.2, 0.1])
    assert perplexity(50 * p).item() == pytest.approx(math.exp(-(p * p.log()).sum()), rel=1e-6)


# -- the method


@pytest.mark.parametrize("codebook", ["ema", "loss"])
def test_the_loss_is_equation_3(codebook: str) -> None:
    method, batch = make(codebook=codebook), batch_of(4)
    loss, aux = method.loss(batch)
    x = (batch.images > 0.5).float()
    z_e = method.encoder(x)
    e = method.codebook.vectors[aux["codes"]].movedim(-1, 1)
    distance = (z_e - e).square().sum((1, 2, 3)).mean()
    logits = method.decoder(e)
    nats = -torch.distributions.Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3)).mean()
    factor = 0.25 if codebook == "ema" else 1.25
    assert loss.item() == pytest.approx((nats + factor * distance).item(), rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    moved = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    assert any(name.startswith("encoder") for name in moved)
    assert ("codebook.vectors" in moved) == (codebook == "loss")
    assert not any(name.startswith("prior") for name in moved)


def test_a_learned_codebook_feels_its_own_term_alone() -> None:
    method, batch = make(codebook="loss"), batch_of(4)
    loss, aux = method.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        z_e = aux["z_e"].movedim(1, -1)
        expected = torch.zeros(5, 3)
        for code in range(5):
            mine = z_e[aux["codes"] == code]
            expected[code] = 2 * (method.codebook.vectors[code] - mine).sum(0) / 4
    assert method.codebook.vectors.grad is not None
    torch.testing.assert_close(method.codebook.vectors.grad, expected, rtol=1e-4, atol=1e-5)


def test_the_second_stage_trains_the_prior_alone_and_moves_no_code() -> None:
    method = make(revive_below=0.1)
    stream = itertools.repeat(batch_of(4))
    before = method.codebook.vectors.clone()
    first, second = Recorder(0.49), Recorder(0.5)
    method.step(stream, first)  # type: ignore[arg-type]
    assert first.names == ["main"]
    moved = method.codebook.vectors.clone()
    assert not torch.equal(moved, before)
    method.step(stream, second)  # type: ignore[arg-type]
    assert second.names == ["prior"]
    assert torch.equal(method.codebook.vectors, moved)
    loss, _ = method.prior_loss(batch_of(4))
    loss.backward()  # type: ignore[no-untyped-call]
    trained = {name.split(".")[0] for name, value in method.named_parameters() if value.grad is not None}
    assert trained == {"prior"}


def test_the_prior_starts_uniform() -> None:
    method = make()
    _, aux = method.prior_loss(batch_of(4))
    assert aux["bits_per_code"].item() == pytest.approx(math.log2(5), rel=1e-5)


# -- likelihood


def every_map(codes: int, places: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(codes), repeat=places)))


@torch.no_grad()
def test_probabilities_of_all_maps_of_codes_sum_to_one() -> None:
    method = shake(make())
    maps = every_map(5, 4).view(-1, 2, 2)
    p = method.log_prior(maps).double().exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert p.max() > 4 / len(p)


@torch.no_grad()
def test_the_bound_is_one_term_of_the_sum_over_all_codes() -> None:
    """log p(x) = log sum over z of p(z) p(x|z); over all x of two pixels it sums to one."""
    method = shake(make(height=2, width=6, halvings=1, codes=4))  # 3 codes: 64 maps
    maps = every_map(4, 3).view(-1, 1, 3)
    x = (torch.rand(10, 1, 2, 6) > 0.5).float()
    decoded, log_prior = method.decoder(method.codebook(maps)), method.log_prior(maps)

    def exact(images: Tensor) -> Tensor:
        each = [
            method.observation.log_prob(image.expand(64, -1, -1, -1), decoded) + log_prior for image in images
        ]
        return torch.stack(each).logsumexp(1)

    bound = method.log_prob(x, torch.Generator())
    assert (bound < exact(x)).all()
    codes = method.codebook.nearest(method.encoder(x))
    number = (codes.flatten(1) * torch.tensor([16, 4, 1])).sum(1)
    for image, value, z in zip(x, bound, number, strict=True):
        term = method.observation.log_prob(image[None], decoded[z, None]) + log_prior[z]
        assert value.item() == pytest.approx(term.item(), rel=1e-5)
    states = torch.tensor(list(itertools.product([0.0, 1.0], repeat=12))).view(-1, 1, 2, 6)
    assert exact(states).double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    assert method.log_prob(states, torch.Generator()).double().exp().sum() < 1


# -- sampling


@torch.no_grad()
def test_codes_are_painted_as_by_whole_passes() -> None:
    method, generator = shake(make(height=12, width=16)), torch.Generator().manual_seed(3)
    values, blank = Codes(5), torch.zeros(6, 1, 3, 4)
    *_, (fast, _) = paint(method.prior, values, blank, torch.ones_like(blank), generator)
    generator.manual_seed(3)
    x = blank.clone()
    for row, column in itertools.product(range(3), range(4)):
        uniform = torch.rand(6, 2, generator=generator)
        seen = torch.nn.functional.one_hot(x[:, 0].long(), 5).permute(0, 3, 1, 2).float()
        chances = method.prior(seen, method.prior.context(seen))[:, :, row, column].softmax(1)
        x[:, 0, row, column] = (chances.cumsum(1) < uniform[:, :1]).sum(1).float()
    assert torch.equal(fast, x)
    assert len(x.unique()) > 3


@torch.no_grad()
def test_samples_are_decoded_codes_and_what_is_not_painted_is_nothing() -> None:
    method = shake(make(height=12, width=16))
    partials = list(method.sample(4, torch.Generator().manual_seed(3)))
    blank = torch.zeros(4, 1, 3, 4)
    painting = paint(
        method.prior, method.values, blank, torch.ones_like(blank), torch.Generator().manual_seed(3)
    )
    codes = [painted[:, 0].long() for painted, _ in painting]
    assert len(partials) == 3
    torch.testing.assert_close(partials[-1], method.decoder(method.codebook(codes[-1])).sigmoid())
    z = method.codebook(codes[0])
    z[:, :, 1:] = 0
    torch.testing.assert_close(partials[0], method.decoder(z).sigmoid())


@torch.no_grad()
def test_reconstruction_and_features_are_those_of_the_codes() -> None:
    method, images = make().eval(), batch_of(3).images
    codes = method.codebook.nearest(method.encoder((images > 0.5).float()))
    quantized = method.codebook.vectors[codes].movedim(-1, 1)
    assert torch.equal(method.encode(images), quantized.flatten(1))
    torch.testing.assert_close(method.reconstruct(images), method.decoder(quantized).sigmoid())


# -- panels


@torch.no_grad()
def test_panels_say_how_codes_are_used_and_what_they_stand_for() -> None:
    method, batch = make().eval(), batch_of(6)
    usage, meaning = method.panels(batch)
    codes = method.codebook.nearest(method.encoder((batch.images > 0.5).float()))
    counts = torch.bincount(codes.flatten(), minlength=5)
    shares = torch.from_numpy(usage.array[0]) / 100
    torch.testing.assert_close(shares, (counts / counts.sum()).sort(descending=True).values)
    assert f"{int((counts == 0).sum())} not used" in usage.caption
    most = int(counts.argmax())
    padded = torch.nn.functional.pad((batch.images > 0.5).float(), (4, 4, 4, 4))
    around = [
        padded[b, 0, 4 * row : 4 * row + 12, 4 * column : 4 * column + 12]
        for b, row, column in (codes == most).nonzero().tolist()
    ]
    torch.testing.assert_close(torch.from_numpy(meaning.array[0, 0]), torch.stack(around).mean(0))


def test_a_still_observation_is_the_middle_of_what_is_drawn() -> None:
    greys = torch.tensor([0.0, 0.2, 0.6, 1.0]).view(1, 1, 2, 2)
    for binarization in ("dynamic", "threshold"):
        bits = Observation("bernoulli", binarization, 1).still(greys)  # type: ignore[arg-type]
        assert bits.flatten().tolist() == [0.0, 0.0, 1.0, 1.0]
    pixels = Observation("gaussian", "none", 1).still(greys)
    torch.testing.assert_close(pixels, (greys * 255 + 0.5) / 256)


# -- what cannot work


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: make(channels=3), "3 channels"),
        (lambda: make(height=10), "10x8"),
        (lambda: make(binarization="none"), "binarization"),
        (lambda: make(prior_share=1.0), "prior_share"),
        (lambda: make(codebook="loss", revive_below=0.1), "revive_below"),
        (lambda: make(prior_first_kernel=1), "prior_first_kernel = 1"),
        (lambda: make(prior_kernel=4), "prior_kernel = 4"),
    ],
)
def test_what_cannot_work_is_refused(build: Callable[[], VQVAE], word: str) -> None:
    with pytest.raises(UsageError, match=word) as error:
        build()
    assert error.value.hint
