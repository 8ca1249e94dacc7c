"""Generative learning: explicit densities, tractable and approximate, and implicit ones."""

from __future__ import annotations

from sslterm.catalog.entry import Entry

ENTRIES = (
    Entry(
        name="vae",
        topic="generative",
        family="explicit, approximate",
        title="Auto-Encoding Variational Bayes",
        authors="Kingma & Welling",
        year=2014,
        paper="arXiv:1312.6114",
        target="sslterm.methods.latent.vae:VAE",
        capabilities=("encode", "sample", "reconstruct", "decode", "log_prob"),
        headline="test/neg_elbo_nats",
        unit="nats (bound, held-out)",
        opens_on=("latent-plane", "reconstructions"),
    ),
    Entry(
        name="dcgan",
        topic="generative",
        family="implicit",
        title="Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
        authors="Radford, Metz & Chintala",
        year=2016,
        paper="arXiv:1511.06434",
        target="sslterm.methods.adversarial.dcgan:DCGAN",
        capabilities=("encode", "sample", "decode"),
        headline="discriminator/loss",
        unit="nats",
        opens_on=("samples",),
    ),
)
