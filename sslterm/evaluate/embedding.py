"""Label-free numbers of the space in which views are compared, and what collapse looks like there.

Wang & Isola 2020, arXiv:2005.10242 (alignment, uniformity); Chen & He 2021, arXiv:2011.10566, §4.1 (standard
deviation); Garrido et al. 2023, arXiv:2210.02885 (effective rank); Jing et al. 2022, arXiv:2110.09348 (dimensional
collapse).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.evaluate.features import rankme, relative_std
from sslterm.nn.precision import double


def alignment(z_a: Tensor, z_b: Tensor) -> float:
    """Mean squared distance of the unit vectors of a pair, [B, D] each: 0 where views agree, 2 where unrelated."""
    a, b = (F.normalize(double(z), dim=1) for z in (z_a, z_b))
    return float((a - b).square().sum(1).mean())


def uniformity(z: Tensor) -> float:
    """log of the mean of exp(-2 |u - v|^2) over different unit vectors of [B, D].

    0 where all coincide; -4 is the least there can be, far from it for few points or dimensions.
    """
    unit = F.normalize(double(z), dim=1)
    n = len(unit)
    distances = (2 - 2 * unit @ unit.T).clamp_min(0)
    kernel = (-2 * distances).exp()
    return float(((kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))).log())


def effective_rank(z: Tensor) -> float:
    """RankMe of the centred [B, D]: in how many dimensions embeddings differ. 1 at least, min(B, D) at most."""
    return rankme(double(z) - double(z).mean(0))


def used_clusters(assigned: Tensor, clusters: int) -> float:
    """exp of the entropy of how often each cluster is taken, over the most that [B] images can show."""
    share = torch.bincount(assigned.flatten().cpu(), minlength=clusters).double() / assigned.numel()
    perplexity = torch.special.entr(share).sum().exp()
    return float(perplexity) / min(clusters, assigned.numel())


def embedding_numbers(z_a: Tensor, z_b: Tensor) -> dict[str, float]:
    """The diagnostics of two views' embeddings, [B, D] each, by name."""
    return {
        "test/alignment": alignment(z_a, z_b),
        "test/uniformity": uniformity(torch.cat((z_a, z_b))),
        "test/embedding_std": relative_std(z_a),
        "test/embedding_scale": float(z_a.std(0, correction=0).mean()),
        "test/embedding_rank_share": effective_rank(z_a) / min(z_a.shape),
    }


LEAST_STD = 0.1
"""Below this share of 1/sqrt(D) all embeddings are nearly one: healthy ones have 0.4 and more."""
LEAST_SCALE = 0.01
"""Below it embeddings have shrunk to a point; projectors begin at about 0.5, and losses of cosines leave it there."""
LEAST_RANK_SHARE = 0.02
"""Below this share of the dimensions they could fill, embeddings lie in a few: collapsed trainings stayed at or below
0.017, and healthy ones, Barlow Twins early on among them, were above 0.023 at one of two evaluations in a row."""
LEAST_CLUSTERS = 0.05
"""Below this share of the clusters (as a perplexity) nearly all images are in a few."""
LEAST_SPREAD = 0.1
"""Below this share of the distance between images samples repeat each other; a dense GAN has begun with 0.13."""


@dataclass(frozen=True)
class Collapse:
    """A kind of collapse, and what to do about it."""

    kind: str
    text: str


def find_collapse(numbers: Mapping[str, float]) -> Collapse | None:
    """Which collapse the numbers of an evaluation show, the most particular first; None where they show none.

    Args:
        numbers: of `embedding_numbers`, `test/used_clusters` where there are clusters, and `test/sample_spread`
            of generators.
    """
    used = numbers.get("test/used_clusters", 1.0)
    if used < LEAST_CLUSTERS:
        return Collapse(
            "clusters",
            f"collapse of the clusters: images spread over {100 * used:.1f} % of those they could use; lower the "
            "rate, balance assignments harder (epsilon, iterations, centring), or ask for fewer clusters",
        )
    spread = numbers.get("test/sample_spread", 1.0)
    if spread < LEAST_SPREAD:
        return Collapse(
            "modes",
            f"mode collapse: samples are {100 * spread:.0f} % as far from each other as images are, and so repeat "
            "each other; lower optim.generator.lr, let the opponent learn more often or faster, or take wgan-gp",
        )
    std = numbers.get("test/embedding_std", 1.0)
    if std < LEAST_STD:
        return Collapse(
            "constant",
            f"collapse to a constant: the embeddings' standard deviation is {std:.3f} of 1/sqrt(D) (healthy: near 1), "
            "so that all images look alike; lower the rate, lengthen the warm-up, or strengthen what prevents it "
            "(predictor, stop-gradient, negatives, variance term)",
        )
    scale = numbers.get("test/embedding_scale", 1.0)
    if scale < LEAST_SCALE:
        return Collapse(
            "constant",
            f"collapse to a constant: the embeddings have shrunk to a standard deviation of {scale:.1g}, so that "
            "all images look alike; strengthen what keeps them apart (variance term, negatives), or lower the "
            "weight decay",
        )
    rank = numbers.get("test/embedding_rank_share", 1.0)
    if rank < LEAST_RANK_SHARE:
        return Collapse(
            "dimensions",
            f"collapse of dimensions: embeddings differ in about {100 * rank:.1f} % of the dimensions they could; "
            "strengthen what decorrelates them, vary the views more, or lower the rate",
        )
    return None


class Watchdog:
    """Warns of a collapse that two evaluations in a row show, once, until an evaluation shows none."""

    def __init__(self) -> None:
        self._seen = ""
        self._told = ""

    def look(self, numbers: Mapping[str, float]) -> str:
        """The warning that is due after an evaluation with these numbers; "" for none."""
        found = find_collapse(numbers)
        kind = found.kind if found else ""
        lasting, self._seen = kind == self._seen, kind
        if not found:
            self._told = ""
            return ""
        if not lasting or self._told == kind:
            return ""
        self._told = kind
        return found.text
