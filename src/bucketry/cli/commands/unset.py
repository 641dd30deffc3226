"""`unset`: makes an alias name nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.moves import answer_move
from bucketry.cli.parameters import ALIAS, MODEL, REASON
from bucketry.registry.serving.aliases import unset

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import AliasName, ModelName


@command("unset", example="bucketry unset acme/chat canary")
@click.argument("model", type=MODEL)
@click.argument("alias", type=ALIAS)
@REASON
def run(call: Call, model: ModelName, alias: AliasName, reason: str) -> None:
    """Make an alias name nothing.

    Its history stays, and it can be promoted again.
    """
    move = unset(call.open(), model, alias, reason=reason)
    answer_move(call, move)
