"""What the live view remembers: its theme, and how tiles were arranged. One small JSON file of the user."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from platformdirs import user_config_path

from sslterm.run.files import read_file, replace_file
from sslterm.run.json_values import parse_object
from sslterm.tui.arrangement import Arrangement, read_arrangement
from sslterm.tui.graphics import Wanted

ENVIRONMENT = "SSLTERM_SETTINGS"


@dataclass(frozen=True)
class Settings:
    """Choices that outlive a session."""

    theme: str = ""
    """A name of `render.theme`; "" leaves it to the terminal's ground."""
    images: str = "half"
    """How pictures are shown: "half" (half-blocks), "kitty", "sixel" or "auto"."""
    arrangements: Mapping[str, Arrangement] = field(default_factory=lambda: MappingProxyType({}))
    """By method."""

    def arranged(self, method: str, arrangement: Arrangement) -> Settings:
        kept = {**self.arrangements, method: arrangement}
        if arrangement == Arrangement():
            del kept[method]
        return replace(self, arrangements=MappingProxyType(kept))


def settings_path() -> Path:
    """SSLTERM_SETTINGS, or view.json where this system keeps the settings of a user."""
    given = os.environ.get(ENVIRONMENT)
    return Path(given).expanduser() if given else user_config_path("sslterm") / "view.json"


def load_settings(path: Path) -> Settings:
    """The settings at `path`; what is missing, damaged or of a later version is left at its default."""
    table = parse_object(read_file(path)) or {}
    theme, images, arrangements = (table.get(name) for name in ("theme", "images", "arrangements"))
    return Settings(
        theme=theme if isinstance(theme, str) else "",
        images=images if isinstance(images, str) and images in get_args(Wanted) else "half",
        arrangements=MappingProxyType(
            {str(method): read_arrangement(found) for method, found in arrangements.items()}
            if isinstance(arrangements, Mapping)
            else {}
        ),
    )


def save_settings(settings: Settings, path: Path) -> None:
    """Write the settings, whole or not at all; a place that cannot be written to is no reason to complain."""
    arrangements = {method: one.table() for method, one in settings.arrangements.items()}
    table = {"theme": settings.theme, "images": settings.images, "arrangements": arrangements}
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(table, indent=1).encode())
