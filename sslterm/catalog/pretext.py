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
        name="frame-prediction",
        topic="pretext",
        family="predict and order frames",
        title="Deep Multi-Scale Video Prediction beyond Mean Square Error",
        authors="Mathieu, Couprie & LeCun",
        year=2016,
        paper="arXiv:1511.05440",
        target="sslterm.methods.pretext.frame_prediction:FramePrediction",
        capabilities=("encode", "predict"),
        headline="test/mse",
        unit="per value (held-out)",
        opens_on=("predictions",),
    ),
    Entry(
        name="frame-order",
        topic="pretext",
        family="predict and order frames",
        title="Shuffle and Learn; Unsupervised Representation Learning by Sorting Sequences",
        authors="Misra, Zitnick & Hebert; Lee et al.",
        year=2016,
        paper="arXiv:1603.08561",
        target="sslterm.methods.pretext.frame_order:FrameOrder",
        capabilities=("encode",),
        headline="test/accuracy",
        unit="(held-out)",
        opens_on=("confusion", "orders"),
    ),
    Entry(
        name="video-colorization",
        topic="pretext",
        family="colorize",
        title="Tracking Emerges by Colorizing Videos",
        authors="Vondrick et al.",
        year=2018,
        paper="arXiv:1806.09594",
        target="sslterm.methods.pretext.video_colorization:VideoColorization",
        capabilities=("encode", "track"),
        headline="test/colour",
        unit="(held-out)",
        opens_on=("copied-colours", "pointers"),
    ),
)
