"""How is the move of an alias told in one line? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bucketry.registry.serving.aliases import AliasMove


def move_line(move: AliasMove) -> str:
    """Return what an alias named and names now."""
    name = f"{move.model}@{move.alias}"
    if move.previous == move.target:
        named = "nothing" if move.target is None else f"version {move.target}"
        return f"{name} names {named} already (generation {move.generation})"
    if move.target is None:
        return f"{name} names nothing now; it named version {move.previous} (generation {move.generation})"
    before = "nothing" if move.previous is None else f"version {move.previous}"
    return f"{name} names version {move.target} now; it named {before} (generation {move.generation})"
