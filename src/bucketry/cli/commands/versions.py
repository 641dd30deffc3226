"""`versions`: the versions of a model, newest first."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import query_command
from bucketry.cli.documents import version_document
from bucketry.cli.output import WIDTH_WITHOUT_TERMINAL, is_unicode, page, width_columns
from bucketry.cli.parameters import COUNT, MODEL, VERSION
from bucketry.errors import UsageError
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.serving.known_aliases import look_at_aliases
from bucketry.registry.versions.listing import iter_versions, load_trend
from bucketry.show.lists import ListedVersion, headline_columns, version_columns
from bucketry.show.tables import NARROWEST, Column, listed_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from bucketry.cli.call import Call
    from bucketry.registry.core.session import Session
    from bucketry.registry.versions.listing import VersionSummary
    from bucketry.schema.documents.head import Head
    from bucketry.schema.names import ModelName
    from bucketry.show.spans import Line

MOST_METRIC_COLUMNS = 3
"""So many fit beside the rest in 80 columns; `--json` has all."""


@query_command(
    "versions",
    example="bucketry versions acme/chat state:registered --limit 10\nbucketry versions acme/chat --metric auc --plot",
)
@click.argument("model", type=MODEL)
@click.argument("query", nargs=-1)
@click.option("--limit", type=COUNT, metavar="N", help="List at most N versions.  [default: all]")
@click.option("--after", type=VERSION, metavar="VERSION", help="Begin with the version before this one.")
@click.option("--metric", metavar="NAME", help="Show this metric, also where it is not among the headline metrics.")
@click.option("--plot", is_flag=True, help="Plot the metric over the versions.")
def run(
    call: Call,
    model: ModelName,
    query: tuple[str, ...],
    limit: int | None,
    after: int | None,
    metric: str | None,
    *,
    plot: bool,
) -> None:
    """List the versions of a model, newest first.

    QUERY is words, each of which must be in the author, the state, an alias or a label's value, and anything else that
    `bucketry search` takes: `state:retired`, `label:name=value`, `auc>0.9`, `-alias:production`.

    With --metric, --json has its `value` for each version: what --plot draws.
    """
    if plot and not metric:
        raise UsageError("--plot draws one metric", advice="name it: --metric auc")
    session = call.open()
    head = load_existing_head(session, model)
    aliases = look_at_aliases(session, model, head.aliases)
    wanted = (
        summary
        for summary in iter_versions(session, head, query=" ".join(query), aliases=aliases)
        if after is None or summary.version < after
    )
    found = list(wanted) if limit is None else list(islice(wanted, limit + 1))
    shown = found[:limit]
    call.messages.damage([*aliases.damaged.values(), *(summary.damaged for summary in shown)])
    if metric:
        _answer_metric(call, session, head, shown, metric, plot=plot)
    else:
        names = dict.fromkeys(name for summary in shown if summary.row is not None for name in summary.row.metrics)
        lines = _lines(list(map(_listed, shown)), list(names)[:MOST_METRIC_COLUMNS], session.clock.now())
        call.answer([version_document(summary) for summary in shown], lines)
    if len(shown) < len(found):
        call.messages.note(f"there are more: continue with --after {shown[-1].version}")


def _answer_metric(
    call: Call, session: Session, head: Head, shown: Sequence[VersionSummary], metric: str, *, plot: bool
) -> None:
    trend = load_trend(session, head, [summary.row for summary in shown if summary.row is not None], metric)
    values = {point.version: point.value for point in trend.points}
    why = {point.version: point.damaged for point in trend.points if point.damaged}
    call.messages.damage(why.values())
    shown = [replace(summary, damaged=summary.damaged or why.get(summary.version, "")) for summary in shown]
    documents = [
        version_document(summary) | {"metric": metric, "value": values.get(summary.version)} for summary in shown
    ]
    if plot:
        from bucketry.show.trend import plot_lines  # noqa: PLC0415 - no list needs it

        aliases = {str(register.alias): summary.version for summary in shown for register in summary.aliases}
        plain = call.no_color or bool(os.environ.get("NO_COLOR")) or not is_unicode()
        width = width_columns() or WIDTH_WITHOUT_TERMINAL
        call.answer(documents, plot_lines(trend, aliases, width=width, ascii_only=plain))
    else:
        measured = {version: {metric: value} for version, value in values.items() if value is not None}
        rows = [replace(_listed(summary), metrics=measured.get(summary.version, {})) for summary in shown]
        call.answer(documents, _lines(rows, [metric], session.clock.now()))
    if trend.unread:
        call.messages.note(f"the evidence of {trend.unread:,} older versions was not read: narrow it with --limit")


def _listed(summary: VersionSummary) -> ListedVersion:
    row = summary.row
    if row is None:
        return ListedVersion(summary.version, summary.aliases, summary.damaged)
    return ListedVersion(
        summary.version,
        summary.aliases,
        summary.damaged,
        manifest=row.manifest,
        state=row.state,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        created_by=row.created_by,
        metrics=row.metrics,
    )


def _lines(rows: Sequence[ListedVersion], metrics: Sequence[str], now: datetime) -> list[Line]:
    listed: Mapping[str, Column[ListedVersion]] = version_columns(now)
    columns = [
        listed["version"],
        listed["state"],
        listed["aliases"].sized(NARROWEST),
        listed["size"],
        listed["created"],
        listed["author"].sized(NARROWEST),
        *headline_columns(rows, metrics),
    ]
    return listed_lines(columns, rows, page())
