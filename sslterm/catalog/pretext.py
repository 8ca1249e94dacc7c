"""Pretext tasks: what an image (or a clip) can be asked about itself."""

from __future__ import annotations

from sslterm.catalog.entry import Entry

ENTRIES = (
    Entry(
        name="autoencoder",
        topic="pretext",
        family="compress and reconstruct",
        title="Reducing the Dimensionality of Data with Neural Networks",
        authors="Hinton & Salakhutdinov",
        year=2006,
        paper="doi:10.1126/science.1127647",
        target="sslterm.methods.pretext.autoencoder:Autoencoder",
        capabilities=("encode", "reconstruct", "decode"),
        headline="test/mse",
        unit="per value (held-out)",
        opens_on=("reconstructions", "code-map"),
    ),
    Entry(
        name="denoising",
        topic="pretext",
        family="restore",
        title="Extracting and Composing Robust Features with Denoising Autoencoders",
        authors="Vincent et al.",
        year=2008,
        paper="doi:10.1145/1390156.1390294",
        target="sslterm.methods.pretext.denoising:Denoising",
        capabilities=("encode", "reconstruct", "decode"),
        headline="test/mse_restored",
        unit="per value (held-out)",
        opens_on=("restored",),
    ),
    Entry(
        name="mae",
        topic="pretext",
        family="restore",
        title="Masked Autoencoders Are Scalable Vision Learners",
        authors="He et al.",
        year=2022,
        paper="arXiv:2111.06377",
        target="sslterm.methods.pretext.mae:MAE",
        capabilities=("encode", "complete"),
        headline="test/mse_masked",
        unit="per value of masked patches (held-out)",
        opens_on=("predictions",),
    ),
)
