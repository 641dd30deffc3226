"""How large and how often?"""

from __future__ import annotations

from dataclasses import dataclass

GIBIBYTE = 1024**3


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about all rows."""

    rounds: int
    size_bytes: int
    huge_bytes: int
    shaped_bytes: int
    memory_bytes: int
    screens_versions: int
    screens_models: int
