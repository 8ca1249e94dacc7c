"""Pixel Recurrent Neural Networks.
Aäron van den Oord, Nal Kalchbrenner & Koray Kavukcuoglu, ICML 2016, arXiv:1601.06759.

Idea:
    Image by image a density of pixels in raster order, each given all before it. What was before is remembered by
    LSTMs that are convolutional along lines: one that goes down row by row, or two that go along the diagonals from
    both upper corners. One layer of the latter already sees the whole image above, for which PixelCNN (`pixelcnn`)
    needs many.

Objective:
    -log p(x) = - sum_i log p(x_i | x_<i); of a colour pixel p(R | x_<i) p(G | R, x_<i) p(B | R, G, x_<i)  (Eq. 1-2)
    [o, f, i, g] = K_ss * h_before + K_is * x;  c = s(f) c_before + s(i) tanh(g);  h = s(o) tanh(c)          (Eq. 3)
    recurrence = row: before are three pixels of the row above, c that of the middle one                     (§3.1)
    recurrence = diagonal: before are the pixel beside, whose c it is, and the pixel above                   (§3.2)
    x_i is a bit, or one of 256 levels under a softmax                                                       (§2.2)

    All rows, or the columns of an image that is skewed so that the pixels beside and above are both in the column
    before, go through a layer one after another. Blocks are residual, 2h - h - 2h (§3.3).

Departures:
    Adam in place of RMSProp. Forget gates start open, at a bias of 1. The last layer starts at 0 for bits and levels,
    so that training starts at uniform pixels. No skip connections from every layer to the output, no multi-scale
    version. A mixture of logistics (PixelCNN++, arXiv:1701.05517) is a third kind of output. In painting, a layer
    keeps its state: all pixels together cost what one pass over the image does, not one pass each.

Watch for:
    pixel-nats: what is known of a pixel from those before it; the first pixel of a stroke is dear, its inside
    free. receptive-field: what a pixel listens to; of one Row LSTM a triangle above, of the diagonal one all before
    but the end of the row above. Samples whose lower half forgets the upper one: more features, more layers,
    longer training.

Shapes:
    B batch; images [B, C, H, W] in [0, 1]; output of the network [B, numbers, H, W]; h features of an LSTM.
"""

from __future__ import annotations

from dataclasses import dataclass

from sslterm.config.schema import Natural
from sslterm.errors import UsageError
from sslterm.methods.autoregressive.pixel_model import PixelConfig, PixelModel, check_window
from sslterm.methods.base import Inputs
from sslterm.nn.recurrent_pixels import Recurrence, RecurrentPixelNetwork


class PixelRNN(PixelModel):
    @dataclass(frozen=True, kw_only=True)
    class Config(PixelConfig):
        recurrence: Recurrence
        kernel: Natural
        """Window of the Row LSTM's convolutions, 3 in the paper; 0 for the diagonal one, whose windows are fixed."""

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.recurrence == "row":
                check_window("kernel", self.kernel, least=1, usual=3)
            elif self.kernel:
                raise UsageError(
                    f"method.kernel = {self.kernel}: the windows of a diagonal LSTM are one pixel, and two",
                    'set method.kernel=0, or method.recurrence="row"',
                )

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.network = RecurrentPixelNetwork(inputs.channels, self.size(config.kernel), config.recurrence)
