"""A memory of one embedding for every training image, and the contrast with noise that is drawn from it.

Wu et al. 2018, arXiv:1805.01978, §3.2; Misra & van der Maaten 2020, arXiv:1912.01991, §2.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.precision import in_float32


class Bank(nn.Module):
    """A unit vector for every training image, random before the image has been seen.

    Its state is in buffers, equal on all ranks as long as what is given to `update` is (gather it first).

    Args:
        size: N, the images of the training set.
        dimensions: D.

    Attributes:
        values: [N, D] float32.
        updated_at: [N] int64, training images drawn when each was last updated; -1 for the random ones.
    """

    values: Tensor
    updated_at: Tensor

    def __init__(self, size: int, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("values", F.normalize(torch.randn(size, dimensions), dim=1))
        self.register_buffer("updated_at", torch.full((size,), -1))

    def __len__(self) -> int:
        return len(self.values)

    def draw(self, n: int) -> Tensor:
        """`n` rows, uniform with replacement, the same on all ranks: [n] int64."""
        return torch.randint(len(self), (n,), device=self.values.device)

    @torch.no_grad()
    def update(self, index: Tensor, values: Tensor, *, momentum: float, images: int) -> None:
        """Move the rows `index` towards `values` and back to unit length.

        Args:
            index: [B] int64, the images of all ranks. Where one is there twice, as when a batch spans two
                epochs, its last place counts.
            values: [B, D], unit vectors.
            momentum: share of a row that stays.
            images: training images drawn so far, the clock.
        """
        same = index[:, None] == index  # [B, B]
        last = (same * torch.arange(len(index), device=index.device)).amax(1)
        values = values.float()[last]  # copies are equal, so that the order of writing does not matter
        self.values[index] = F.normalize(torch.lerp(values, self.values[index], momentum), dim=1)
        self.updated_at[index] = images

    def ages(self) -> Tensor:
        """[N] float32: images drawn between the update of each and the newest one; NaN for the random ones."""
        age = (self.updated_at.max() - self.updated_at).float()
        return age.masked_fill(self.updated_at < 0, float("nan"))


@in_float32
def noise_contrast(positive: Tensor, noise: Tensor, offset: Tensor) -> Tensor:
    """Tell the one row that belongs to each image from the rows that were drawn at random.

    With h = sigmoid(logit - offset), the probability that a row is no noise:
    -log h(positive) - sum over the noise of log(1 - h(noise)), mean over the batch.

    Args:
        positive: [B] logits of the images' own rows.
        noise: [B, M] logits of rows drawn at random; -inf leaves one out.
        offset: 0-d or [B]: the logit at which both are as likely.
    """
    own = F.softplus(offset - positive)  # -log h
    others = F.softplus(noise - offset.unsqueeze(-1)).sum(1)  # -log(1 - h)
    return (own + others).mean()
