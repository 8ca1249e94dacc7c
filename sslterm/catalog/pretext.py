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
        name="context-encoder",
        topic="pretext",
        family="restore",
        title="Context Encoders: Feature Learning by Inpainting",
        authors="Pathak et al.",
        year=2016,
        paper="arXiv:1604.07379",
        target="sslterm.methods.pretext.context_encoder:ContextEncoder",
        capabilities=("encode", "complete"),
        headline="test/masked_mse",
        unit="per hidden value (held-out)",
        opens_on=("filled-center",),
    ),
    Entry(
        name="colorization",
        topic="pretext",
        family="restore",
        title="Colorful Image Colorization",
        authors="Zhang, Isola & Efros",
        year=2016,
        paper="arXiv:1603.08511",
        target="sslterm.methods.pretext.colorization:Colorization",
        capabilities=("encode", "colorize"),
        headline="test/accuracy",
        unit="share of pixels in the right colour cell (held-out)",
        opens_on=("coloured", "ab-histogram"),
    ),
)
