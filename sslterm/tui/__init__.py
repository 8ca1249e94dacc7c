"""The live view: `watch` one run, or `monitor` all. It reads run directories and acts by control requests."""

from sslterm.tui.app import monitor, watch

__all__ = ["monitor", "watch"]
