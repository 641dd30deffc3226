"""`undo`: takes back the last move of an alias."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.moves import answer_move
from bucketry.cli.parameters import ALIAS, COUNT, MODEL, REASON
from bucketry.registry.serving.aliases import undo_move

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import AliasName, ModelName


@command("undo", example='bucketry undo acme/chat production --reason "the wrong alias"')
@click.argument("model", type=MODEL)
@click.argument("alias", type=ALIAS)
@click.option(
    "--generation",
    type=COUNT,
    metavar="N",
    help="Only if the last move is the one of this generation, as that move printed it.  [default: any]",
)
@REASON
def run(call: Call, model: ModelName, alias: AliasName, generation: int | None, reason: str) -> None:
    """Take back the last promotion, rollback or unset of an alias.

    The alias is then as it was before that move, and so is what a rollback goes back to. Undoing again takes back the
    move before. A version that was rejected, retired or deleted meanwhile is refused.
    """
    move = undo_move(call.open(), model, alias, generation=generation, reason=reason)
    answer_move(call, move)
