"""The table of contents: every method, without importing any of them.

A method is listed here only when it passes the conformance suite (`tests/test_conformance.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sslterm.errors import UsageError, did_you_mean

Capability = Literal["encode", "sample", "reconstruct", "decode", "log_prob", "complete", "colorize", "track"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method of the catalog."""

    name: str
    """Catalog key = file name (with `-` for `_`) = preset folder = test id."""
    topic: Literal["pretext", "representation", "generative"]
    family: str
    """Where the method stands in its topic, e.g. "explicit, approximate"."""
    title: str
    authors: str
    year: int
    paper: str
    """arXiv identifier, DOI or address of the paper."""
    target: str
    """"module:Class", imported only when the method is built."""
    capabilities: tuple[Capability, ...]
    headline: str
    """The metric to watch, as it is named in metrics.jsonl."""
    unit: str
    """Its unit, and what kind of number it is."""
    opens_on: tuple[str, ...]
    """Panels worth seeing first."""
    uses_labels: bool = False
    """Whether the method may look at labels (evaluations always may)."""


_ENTRIES = (
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
        name="npid",
        topic="representation",
        family="contrastive",
        title="Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
        authors="Wu et al.",
        year=2018,
        paper="arXiv:1805.01978",
        target="sslterm.methods.joint_embedding.npid:NPID",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("similarity", "bank-age"),
    ),
    Entry(
        name="pirl",
        topic="representation",
        family="contrastive",
        title="Self-Supervised Learning of Pretext-Invariant Representations",
        authors="Misra & van der Maaten",
        year=2020,
        paper="arXiv:1912.01991",
        target="sslterm.methods.joint_embedding.pirl:PIRL",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("similarity", "transformed"),
    ),
    Entry(
        name="deepcluster",
        topic="representation",
        family="clustering",
        title="Deep Clustering for Unsupervised Learning of Visual Features",
        authors="Caron et al.",
        year=2018,
        paper="arXiv:1807.05520",
        target="sslterm.methods.joint_embedding.deepcluster:DeepCluster",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("clusters", "cluster-sizes"),
    ),
    Entry(
        name="simclr",
        topic="representation",
        family="contrastive",
        title="A Simple Framework for Contrastive Learning of Visual Representations",
        authors="Chen et al.",
        year=2020,
        paper="arXiv:2002.05709",
        target="sslterm.methods.joint_embedding.simclr:SimCLR",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("similarity", "views"),
    ),
    Entry(
        name="moco",
        topic="representation",
        family="contrastive",
        title="Momentum Contrast for Unsupervised Visual Representation Learning",
        authors="He et al.",
        year=2020,
        paper="arXiv:1911.05722",
        target="sslterm.methods.joint_embedding.moco:MoCo",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("logits", "queue-age"),
    ),
    Entry(
        name="sela",
        topic="representation",
        family="clustering",
        title="Self-labelling via Simultaneous Clustering and Representation Learning",
        authors="Asano, Rupprecht & Vedaldi",
        year=2020,
        paper="arXiv:1911.05371",
        target="sslterm.methods.joint_embedding.sela:SeLa",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("clusters", "heads"),
    ),
    Entry(
        name="swav",
        topic="representation",
        family="clustering",
        title="Unsupervised Learning of Visual Features by Contrasting Cluster Assignments",
        authors="Caron et al.",
        year=2020,
        paper="arXiv:2006.09882",
        target="sslterm.methods.joint_embedding.swav:SwAV",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("prototype-usage", "codes"),
    ),
    Entry(
        name="byol",
        topic="representation",
        family="distillation",
        title="Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning",
        authors="Grill et al.",
        year=2020,
        paper="arXiv:2006.07733",
        target="sslterm.methods.joint_embedding.byol:BYOL",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("similarity", "views"),
    ),
    Entry(
        name="simsiam",
        topic="representation",
        family="distillation",
        title="Exploring Simple Siamese Representation Learning",
        authors="Chen & He",
        year=2021,
        paper="arXiv:2011.10566",
        target="sslterm.methods.joint_embedding.simsiam:SimSiam",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("similarity", "views"),
    ),
    Entry(
        name="moco-v3",
        topic="representation",
        family="contrastive",
        title="An Empirical Study of Training Self-Supervised Vision Transformers",
        authors="Chen, Xie & He",
        year=2021,
        paper="arXiv:2104.02057",
        target="sslterm.methods.joint_embedding.moco_v3:MoCoV3",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("logits", "similarity"),
    ),
    Entry(
        name="nnclr",
        topic="representation",
        family="contrastive",
        title="With a Little Help from My Friends: Nearest-Neighbor Contrastive Learning of Visual Representations",
        authors="Dwibedi et al.",
        year=2021,
        paper="arXiv:2104.14548",
        target="sslterm.methods.joint_embedding.nnclr:NNCLR",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("chosen-neighbours", "similarity"),
    ),
    Entry(
        name="barlow-twins",
        topic="representation",
        family="redundancy reduction",
        title="Barlow Twins: Self-Supervised Learning via Redundancy Reduction",
        authors="Zbontar et al.",
        year=2021,
        paper="arXiv:2103.03230",
        target="sslterm.methods.joint_embedding.barlow_twins:BarlowTwins",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("cross-correlation", "views"),
    ),
    Entry(
        name="dino",
        topic="representation",
        family="distillation",
        title="Emerging Properties in Self-Supervised Vision Transformers",
        authors="Caron et al.",
        year=2021,
        paper="arXiv:2104.14294",
        target="sslterm.methods.joint_embedding.dino:DINO",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("teacher-outputs", "similarity"),
    ),
    Entry(
        name="vicreg",
        topic="representation",
        family="redundancy reduction",
        title="VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
        authors="Bardes, Ponce & LeCun",
        year=2022,
        paper="arXiv:2105.04906",
        target="sslterm.methods.joint_embedding.vicreg:VICReg",
        capabilities=("encode",),
        headline="test/knn",
        unit="accuracy (held-out, uses labels)",
        opens_on=("covariance", "standard-deviations"),
    ),
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

CATALOG: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def find_method(name: str) -> Entry:
    """The catalog's entry for `name`.

    Raises:
        UsageError: no such method.
    """
    if name not in CATALOG:
        raise UsageError(f"there is no method {name!r}", did_you_mean(name, CATALOG))
    return CATALOG[name]
