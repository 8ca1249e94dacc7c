"""torchvision's ResNets as encoders, with statistics over all ranks.

He et al. 2016, arXiv:1512.03385; the last BatchNorm of every block starts at zero (Goyal et al. 2017,
arXiv:1706.02677, §5.1), as in the authors' code of most joint-embedding methods.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from sslterm.nn.norm import convert_batch_norms

Depth = Literal["resnet18", "resnet50"]


class ResNet(nn.Module):
    """A ResNet without its classifier.

    Args:
        depth: which of torchvision's.
        channels: of the images.
        small_images: the stem for images of 32 pixels (He et al. 2016, §4.2): a 3x3 convolution of stride 1
        and no
            pooling, in place of 7x7 with stride 2 and max pooling.
    """

    def __init__(self, depth: Depth, *, channels: int, small_images: bool) -> None:
        super().__init__()
        from torchvision.models import resnet18, resnet50  # takes seconds to import, so only where it is used

        build = {"resnet18": resnet18, "resnet50": resnet50}[depth]
        net = build(weights=None, zero_init_residual=True)
        if small_images:
            net.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
            net.maxpool = nn.Identity()
        elif channels != 3:
            net.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.features: int = net.fc.in_features
        """Width of what `forward` gives."""
        net.fc = nn.Identity()
        self.net = convert_batch_norms(net)

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """[B, C, H, W] -> the output of every stage [B, c, h, w], and their pooled end [B, features]."""
        net = self.net
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))  # type: ignore[operator]
        outputs = {}
        for number in range(1, 5):
            x = getattr(net, f"layer{number}")(x)
            outputs[f"stage{number}"] = x.float()
        outputs["pooled"] = x.float().mean((2, 3))
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, features], float32."""
        output: Tensor = self.net(images)
        return output.float()
