"""`models`: which models are there?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import model_document
from bucketry.cli.figures import human_age
from bucketry.cli.output import width_columns
from bucketry.cli.parameters import COUNT, MODEL
from bucketry.cli.tables import Column, table
from bucketry.registry.listing import list_models

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.schema.names import ModelName

COLUMNS = (
    Column("MODEL", flexible=True),
    Column("VERSIONS", number=True),
    Column("NEWEST", number=True),
    Column("ALIASES", flexible=True),
    Column("UPDATED", number=True),
    Column("DESCRIPTION", flexible=True),
)


@command("models", example="bucketry models chat --limit 20")
@click.argument("query", nargs=-1)
@click.option("--limit", type=COUNT, metavar="N", help="List at most N models.  [default: all]")
@click.option("--after", type=MODEL, metavar="MODEL", help="Begin after this model.")
def run(call: Call, query: tuple[str, ...], limit: int | None, after: ModelName | None) -> None:
    """List models.

    QUERY is words that the name must contain.
    """
    session = call.open()
    found = list_models(session, query=" ".join(query))
    left = [summary for summary in found if after is None or str(summary.model) > str(after)]
    left.sort(key=lambda summary: str(summary.model))
    shown = left[:limit]
    now = session.ports.now()
    rows = [
        (
            str(summary.model),
            str(summary.versions),
            str(summary.newest or "-"),
            " ".join(f"{r.alias}={r.target.version}" for r in summary.aliases if r.target),
            human_age(summary.updated_at, now),
            summary.description,
        )
        for summary in shown
    ]
    call.answer([model_document(summary) for summary in shown], table(COLUMNS, rows, width=width_columns()))
    if len(shown) < len(left):
        call.messages.note(f"{len(left) - len(shown):,} more: continue with --after {shown[-1].model}")
