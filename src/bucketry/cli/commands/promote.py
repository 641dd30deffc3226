"""`promote`: makes an alias name a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.moves import answer_move
from bucketry.cli.parameters import ALIAS, REASON, REFERENCE
from bucketry.registry.core.resolve import load_version_number
from bucketry.registry.serving.aliases import promote

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import AliasName, Reference


@command("promote", example='bucketry promote acme/chat:3 production --reason "passed the canary"')
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.argument("alias", type=ALIAS)
@REASON
def run(call: Call, reference: Reference, alias: AliasName, reason: str) -> None:
    """Make an alias name a version.

    The alias is made if it is new. Naming the version that it names already changes nothing.
    """
    session = call.open()
    version = load_version_number(session, reference)
    move = promote(session, reference.model, version, alias, reason=reason)
    answer_move(call, move)
