"""What the user configured of the screens: the `[tui]` table of the configuration file.

[tui]
theme = "light"            # dark, light or terminal
time = "utc"               # or local
mouse = true
refresh_seconds = 30
cell_diff = true           # send only the cells that differ
cursor = true              # the terminal's cursor on the selected row, for a screen reader

[tui.keys]
open = ["enter", "l"]
"""

from __future__ import annotations

import tomllib
from dataclasses import field
from typing import get_args

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.config import config_path, read_config_file
from bucketry.show.figures import Zone
from bucketry.tui.drawing.paint import ThemeName
from bucketry.tui.shell.commands import Keymap, parse_keymap

DEFAULT_REFRESH_SECONDS = 30.0
LEAST_REFRESH_SECONDS, MOST_REFRESH_SECONDS = 5.0, 86_400.0


@frozen
class Settings:
    """The user's wishes; None where the terminal decides."""

    theme: ThemeName | None = None
    time: Zone = "local"
    mouse: bool | None = None
    refresh_seconds: float = DEFAULT_REFRESH_SECONDS
    keymap: Keymap = field(default_factory=Keymap)
    cell_diff: bool = True
    cursor: bool = False


def load_settings() -> Settings:
    """Return the settings; raise `UsageError` naming what is not understood."""
    path = config_path()
    if path is None:
        return Settings()
    try:
        document = tomllib.loads(read_config_file(path))
    except (FileNotFoundError, NotADirectoryError):
        return Settings()
    except (OSError, ValueError, RecursionError) as error:  # a number of 5,000 digits is a plain ValueError
        raise UsageError(f"{path} cannot be read: {error}", advice="mend the file or move it away") from error
    return parse_settings(document.get("tui", {}), where=f"{path}: tui")


def parse_settings(table: object, *, where: str) -> Settings:
    """Return the settings in a table; raise `UsageError`."""
    if not isinstance(table, dict):
        raise UsageError(f"{where} is not a table", advice="write [tui]")
    unknown = sorted(set(table) - {"theme", "time", "mouse", "refresh_seconds", "cell_diff", "cursor", "keys"})
    if unknown:
        raise UsageError(f"{where}: {', '.join(unknown)} is not understood")
    theme, zone, mouse = table.get("theme"), table.get("time", "local"), table.get("mouse")
    if theme is not None and theme not in get_args(ThemeName):
        raise UsageError(f"{where}: theme is not one of {', '.join(get_args(ThemeName))}")
    if zone not in get_args(Zone):
        raise UsageError(f"{where}: time is not one of {', '.join(get_args(Zone))}")
    for name in ("mouse", "cell_diff", "cursor"):
        if not isinstance(table.get(name, False), bool):
            raise UsageError(f"{where}: {name} is neither true nor false")
    seconds = table.get("refresh_seconds", DEFAULT_REFRESH_SECONDS)
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not LEAST_REFRESH_SECONDS <= seconds <= MOST_REFRESH_SECONDS:  # which "nan" is not either
        raise UsageError(
            f"{where}: refresh_seconds is not a number from {LEAST_REFRESH_SECONDS:.0f} to {MOST_REFRESH_SECONDS:.0f}"
        )
    keymap = parse_keymap(table.get("keys", {}), where=f"{where}.keys")
    cell_diff, cursor = table.get("cell_diff", True), table.get("cursor", False)
    return Settings(theme, zone, mouse, float(seconds), keymap, cell_diff, cursor)
