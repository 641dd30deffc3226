"""How the move of an alias is answered, whichever command moved it; the JSON keys are a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.registry.serving.aliases import AliasMove


def answer_move(call: Call, move: AliasMove) -> None:
    """Say what an alias named and names now."""
    name = f"{move.model}@{move.alias}"
    now, before = ("nothing" if version is None else f"version {version}" for version in (move.target, move.previous))
    said = f"{name} names {now} now; it named {before}"
    if move.previous == move.target:
        said = f"{name} names {now} already"
    document = {
        "model": str(move.model),
        "alias": move.alias,
        "from": move.previous,
        "to": move.target,
        "generation": move.generation,
    }
    call.answer(document, [f"{said} (generation {move.generation})"])
