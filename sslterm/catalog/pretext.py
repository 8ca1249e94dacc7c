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
)
