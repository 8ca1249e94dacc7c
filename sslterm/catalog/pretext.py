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
        name="context-prediction",
        topic="pretext",
        family="puzzle",
        title="Unsupervised Visual Representation Learning by Context Prediction",
        authors="Doersch, Gupta & Efros",
        year=2015,
        paper="arXiv:1505.05192",
        target="sslterm.methods.pretext.context_prediction:ContextPrediction",
        capabilities=("encode",),
        headline="test/accuracy",
        unit="pairs placed (held-out, chance 0.125)",
        opens_on=("pairs", "confusion"),
    ),
    Entry(
        name="jigsaw",
        topic="pretext",
        family="puzzle",
        title="Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles",
        authors="Noroozi & Favaro",
        year=2016,
        paper="arXiv:1603.09246",
        target="sslterm.methods.pretext.jigsaw:Jigsaw",
        capabilities=("encode",),
        headline="test/accuracy",
        unit="puzzles solved (held-out)",
        opens_on=("puzzles", "places"),
    ),
    Entry(
        name="rotation",
        topic="pretext",
        family="puzzle",
        title="Unsupervised Representation Learning by Predicting Image Rotations",
        authors="Gidaris, Singh & Komodakis",
        year=2018,
        paper="arXiv:1803.07728",
        target="sslterm.methods.pretext.rotation:Rotation",
        capabilities=("encode",),
        headline="test/accuracy",
        unit="turns named (held-out, chance 0.25)",
        opens_on=("rotations", "confusion"),
    ),
)
