"""`aliases`: a model's movable names, what each names, and every move of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import aliases_document, damaged_alias_document, event_document
from bucketry.cli.output import page
from bucketry.cli.parameters import ALIAS, COUNT, MODEL
from bucketry.errors import UsageError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.serving.alias_history import load_alias_history
from bucketry.registry.serving.known_aliases import look_at_aliases
from bucketry.show.figures import age_text
from bucketry.show.tables import DAMAGED, NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import AliasName, ModelName

COLUMNS = (
    TextColumn("ALIAS"),
    TextColumn("VERSION", right=True),
    TextColumn("STATE"),
    TextColumn("GENERATION", right=True),
    TextColumn("SINCE", right=True),
    TextColumn("BY", NARROWEST),
)
HISTORY_COLUMNS = (
    TextColumn("GENERATION", right=True),
    TextColumn("AGE", right=True),
    TextColumn("ACTION"),
    TextColumn("FROM", right=True),
    TextColumn("TO", right=True),
    TextColumn("BY", NARROWEST),
    TextColumn("REASON", NARROWEST),
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
    call.messages.damage(known.damaged.values())
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
                    age_text(moved.at, now) if moved else "-",
                    moved.by if moved else "-",
                )
            )
    rows += [(alias, "-", DAMAGED, "-", "-", "-") for alias in known.damaged]
    damaged = [damaged_alias_document(alias, why) for alias, why in known.damaged.items()]
    call.answer([*aliases_document(registers), *damaged], text_table(COLUMNS, rows, page()))


def _show_history(call: Call, model: ModelName, alias: AliasName, limit: int | None, after: int | None) -> None:
    session = call.open()
    events = [event for event in load_alias_history(session, model, alias) if after is None or event.generation < after]
    shown = events[:limit]
    call.messages.damage(event.damaged for event in shown)
    now = session.clock.now()
    rows = [
        (
            str(event.generation),
            age_text(event.at, now) if event.at else "-",
            event.action or DAMAGED,
            str(event.previous or "-"),
            str(event.target or "-"),
            event.actor,
            event.reason,
        )
        for event in shown
    ]
    call.answer([event_document(event) for event in shown], text_table(HISTORY_COLUMNS, rows, page()))
    if len(shown) < len(events):
        call.messages.note(f"{len(events) - len(shown):,} more: continue with --after {shown[-1].generation}")
