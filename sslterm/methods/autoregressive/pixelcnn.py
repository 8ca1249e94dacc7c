"""Pixel Recurrent Neural Networks (PixelCNN), and Conditional Image Generation with PixelCNN Decoders (gated).
Aäron van den Oord, Nal Kalchbrenner & Koray Kavukcuoglu, ICML 2016, arXiv:1601.06759; with Oriol Vinyals, Lasse
Espeholt & Alex Graves, NeurIPS 2016, arXiv:1606.05328.

Idea:
    Image by image a density of pixels in raster order, each given all before it. Convolutions whose windows are cut
    off at the pixel they are for give all conditionals in one pass, and share their weights over the image. A
    sample has to be painted pixel by pixel.

Objective:
    -log p(x) = - sum_i log p(x_i | x_<i); of a colour pixel p(R | x_<i) p(G | R, x_<i) p(B | R, G, x_<i)  (Eq. 1-2)
    x_i is a bit, one of 256 levels under a softmax (§2.2), or one of 256 under a mixture of logistics (PixelCNN++,
    Salimans et al. 2017, arXiv:1701.05517).
    network = original: square windows, residual blocks; gated: two stacks without a blind spot, tanh-sigmoid gates
    conditional: V^T h of the class is added before every gate, h one-hot                      (1606.05328, Eq. 4)

Departures:
    Adam in place of RMSProp. The weights that masks would hide below the pixel do not exist. The last layer of the
    original and the gated network starts at 0 for bits and levels, so that training starts at uniform pixels. The
    vertical stack looks strictly above from its first layer on, which is the paper's shift of its output, done
    once. The logistic mixture stands on these networks and not on PixelCNN++'s U-net, with no dropout; its masses are
    exact in the tails, and a green value drawn leans on the red level, not on what was rounded to it. The likelihood
    of a conditional model is that of its mixture over classes, each as likely.

Watch for:
    pixel-nats: what is known of a pixel from those before it; the first pixel of a stroke is dear, its inside
    free. receptive-field: what a pixel listens to; it grows as the network learns, and the original network has a
    blind spot above and to the right.
    Samples that wander off after the first rows: more blocks, larger windows, longer training.

Shapes:
    B batch; images [B, C, H, W] in [0, 1]; output of the network [B, numbers, H, W].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sslterm.config.schema import Count
from sslterm.errors import UsageError
from sslterm.methods.autoregressive.pixel_model import PixelConfig, PixelModel, check_window
from sslterm.methods.base import Inputs
from sslterm.nn.pixel_networks import GatedPixelNetwork, OriginalPixelNetwork


class PixelCNN(PixelModel):
    @dataclass(frozen=True, kw_only=True)
    class Config(PixelConfig):
        network: Literal["original", "gated"]
        kernel: Count
        """Side of the windows in blocks; 3 in the first paper."""
        conditional: bool
        """Whether the classes of images are given to it; gated networks only."""

        def __post_init__(self) -> None:
            super().__post_init__()
            check_window("kernel", self.kernel, least=1, usual=3)
            if self.conditional and self.network == "original":
                raise UsageError(
                    "method.conditional = true: the original network takes no classes",
                    'set method.network="gated"',
                )

    def __init__(self, config: Config, inputs: Inputs) -> None:
        if config.conditional and not inputs.classes:
            raise UsageError(
                "method.conditional = true, and these images have no classes",
                "take a labelled data set, or set method.conditional=false",
            )
        super().__init__(config, inputs, classes=inputs.classes if config.conditional else 0)
        size = self.size(config.kernel)
        self.network = (
            OriginalPixelNetwork(inputs.channels, size)
            if config.network == "original"
            else GatedPixelNetwork(inputs.channels, size, classes=self.classes)
        )
