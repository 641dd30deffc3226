"""`rollback`: makes an alias name again what it named before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.moves import answer_move
from bucketry.cli.parameters import ALIAS, MODEL, REASON, VERSION
from bucketry.registry.serving.aliases import roll_back

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import AliasName, ModelName


@command("rollback", example='bucketry rollback acme/chat production --reason "p95 doubled"')
@click.argument("model", type=MODEL)
@click.argument("alias", type=ALIAS)
@click.option("--to", type=VERSION, metavar="VERSION", help="Go to this version.  [default: the one before]")
@REASON
def run(call: Call, model: ModelName, alias: AliasName, to: int | None, reason: str) -> None:
    """Make an alias name its previous version again.

    Versions that were rejected, retired or deleted meanwhile are passed over. Rolling back twice goes back two steps.
    """
    move = roll_back(call.open(), model, alias, to=to, reason=reason)
    answer_move(call, move)
