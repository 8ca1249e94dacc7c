"""Which code makes the views of images on the CPU: "native" (compiled C++) or "eager" (plain PyTorch).

Both make the same views to 1e-5, but not to the bit; so a run that has to be repeated exactly has to stay
with one. The environment variable SSLTERM_AUGMENT asks for one; without it, native is taken where it can be
had.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Literal

from torch import Tensor

from sslterm.augment import eager, native
from sslterm.augment.table import Table
from sslterm.config.schema import ViewConfig
from sslterm.errors import UsageError

Backend = Literal["native", "eager"]

SWITCH = "SSLTERM_AUGMENT"


def backend() -> Backend:
    """The backend for images on the CPU; compiles the native one if need be (once, a few seconds).

    Raises:
        UsageError: SSLTERM_AUGMENT names no backend, or asks for the native one and it cannot be had.
    """
    wanted = os.environ.get(SWITCH, "")
    if wanted not in ("", "native", "eager"):
        raise UsageError(f"{SWITCH} is {wanted!r}", 'set it to "native" or "eager", or unset it')
    if wanted == "eager":
        return "eager"
    reason = why_not_native()
    if reason and wanted == "native":
        raise UsageError(f"{SWITCH} asks for native views: {reason}", "install a C++ compiler, or unset it")
    return "eager" if reason else "native"


@lru_cache(maxsize=1)
def why_not_native() -> str:
    """Why the native backend cannot be had, in one line; "" where it can."""
    try:
        native.library()
    except native.Unavailable as reason:
        return str(reason)
    return ""


def apply(config: ViewConfig, images: Tensor, table: Table) -> Tensor:
    """The views of `images` [B, C, H, W] float32 that `table` describes, by the backend for their device."""
    if images.device.type == "cpu" and backend() == "native":
        return native.apply(config, images, table)
    return eager.apply(config, images, table)
