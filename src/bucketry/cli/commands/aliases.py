"""`aliases`: what do a model's movable names name, and what did one name before?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import aliases_document, damaged_alias_document, event_document
from bucketry.cli.figures import human_age
from bucketry.cli.output import width_columns
from bucketry.cli.parameters import ALIAS, COUNT, MODEL
from bucketry.cli.searching import note_damage
from bucketry.cli.tables import DAMAGED, Column, table
from bucketry.errors import UsageError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.serving.alias_history import load_alias_history
from bucketry.registry.serving.aliases import look_at_aliases

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import AliasName, ModelName

COLUMNS = (
    Column("ALIAS"),
    Column("VERSION", number=True),
    Column("STATE"),
    Column("GENERATION", number=True),
    Column("SINCE", number=True),
    Column("BY", flexible=True),
)
HISTORY_COLUMNS = (
    Column("GENERATION", number=True),
    Column("AGE", number=True),
    Column("ACTION"),
    Column("FROM", number=True),
    Column("TO", number=True),
    Column("BY", flexible=True),
    Column("REASON", flexible=True),
)


@command("aliases", example="bucketry aliases acme/chat --history production")
@click.argument("model", type=MODEL)
@click.option("--history", "alias", type=ALIAS, metavar="ALIAS", help="Show every move of this alias, newest first.")
@click.option("--limit", type=COUNT, metavar="N", help="Show at most N moves.  [default: all]")
@click.option("--after", type=COUNT, metavar="GENERATION", help="Begin with the move before this generation.")
def run(call: Call, model: ModelName, alias: AliasName | None, limit: int | None, after: int | None) -> None:
    """List a model's aliases, or every move of one."""
    if alias is not None:
        _show_history(call, model, alias, limit, after)
        return
    if limit is not None or after is not None:
        raise UsageError("--limit and --after are for the moves of an alias", advice="add --history ALIAS")

    session = call.open()
    head = load_existing_head(session, model)
    known = look_at_aliases(session, model, head.aliases)
    registers = known.registers
    note_damage(call, known.damaged.values())
    now = session.clock.now()
    rows = []
    for register in registers:
        moved = register.last_move
        if register.target is not None:
            rows.append(
                (
                    register.alias,
                    str(register.target.version),
                    register.target.state.value,
                    str(register.generation),
                    human_age(moved.at, now) if moved else "-",
                    moved.by if moved else "-",
                )
            )
    rows += [(alias, "-", DAMAGED, "-", "-", "-") for alias in known.damaged]
    damaged = [damaged_alias_document(alias, why) for alias, why in known.damaged.items()]
    call.answer([*aliases_document(registers), *damaged], table(COLUMNS, rows, width=width_columns()))


def _show_history(call: Call, model: ModelName, alias: AliasName, limit: int | None, after: int | None) -> None:
    session = call.open()
    events = [event for event in load_alias_history(session, model, alias) if after is None or event.generation < after]
    shown = events[:limit]
    note_damage(call, (event.damaged for event in shown))
    now = session.clock.now()
    rows = [
        (
            str(event.generation),
            human_age(event.at, now) if event.at else "-",
            event.action or DAMAGED,
            str(event.previous or "-"),
            str(event.target or "-"),
            event.actor,
            event.reason,
        )
        for event in shown
    ]
    call.answer([event_document(event) for event in shown], table(HISTORY_COLUMNS, rows, width=width_columns()))
    if len(shown) < len(events):
        call.messages.note(f"{len(events) - len(shown):,} more: continue with --after {shown[-1].generation}")
