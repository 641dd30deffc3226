"""`versions`: which versions does a model have?"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import version_document
from bucketry.cli.figures import human_age, human_number, human_size
from bucketry.cli.output import width_columns
from bucketry.cli.parameters import COUNT, MODEL, VERSION
from bucketry.cli.tables import Column, table
from bucketry.registry.listing import iter_versions
from bucketry.registry.registers import load_existing_head

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bucketry.cli.call import Call
    from bucketry.cli.output import Line
    from bucketry.registry.listing import VersionSummary
    from bucketry.schema.names import ModelName

COLUMNS = (
    Column("VERSION", number=True),
    Column("STATE"),
    Column("ALIASES", flexible=True),
    Column("SIZE", number=True),
    Column("AGE", number=True),
    Column("BY", flexible=True),
)
MOST_METRIC_COLUMNS = 3
"""So many fit beside the rest in 80 columns; `--json` has all."""


@command("versions", example="bucketry versions acme/chat state:registered --limit 10")
@click.argument("model", type=MODEL)
@click.argument("query", nargs=-1)
@click.option("--limit", type=COUNT, metavar="N", help="List at most N versions.  [default: all]")
@click.option("--after", type=VERSION, metavar="VERSION", help="Begin with the version before this one.")
def run(call: Call, model: ModelName, query: tuple[str, ...], limit: int | None, after: int | None) -> None:
    """List the versions of a model, newest first.

    QUERY is words, each of which must be in the author, the state, an alias or a label's value; `state:retired` and
    `label:name=value` ask for exactly that.
    """
    session = call.open()
    head = load_existing_head(session, model)
    wanted = (
        summary
        for summary in iter_versions(session, head, query=" ".join(query))
        if after is None or summary.row.version < after
    )
    found = list(wanted) if limit is None else list(islice(wanted, limit + 1))
    shown = found[:limit]
    call.answer([version_document(summary) for summary in shown], _lines(shown, session.ports.now()))
    if len(shown) < len(found):
        call.messages.note(f"there are more: continue with --after {shown[-1].row.version}")


def _lines(summaries: Sequence[VersionSummary], now: datetime) -> list[Line]:
    names = list(dict.fromkeys(name for summary in summaries for name in summary.row.metrics))
    columns = [*COLUMNS, *(Column(name, number=True) for name in names[:MOST_METRIC_COLUMNS])]
    rows = [
        [
            str(summary.row.version),
            summary.row.state.value,
            " ".join(register.alias for register in summary.aliases),
            human_size(summary.row.size_bytes),
            human_age(summary.row.created_at, now),
            summary.row.created_by,
            *(
                human_number(summary.row.metrics[name]) if name in summary.row.metrics else "-"
                for name in names[:MOST_METRIC_COLUMNS]
            ),
        ]
        for summary in summaries
    ]
    return table(columns, rows, width=width_columns())
