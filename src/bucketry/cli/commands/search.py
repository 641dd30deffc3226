"""`search`: the versions of all models that fit a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import query_command
from bucketry.cli.documents import VERSION_KEYS, damaged_document
from bucketry.cli.output import page
from bucketry.cli.parameters import COUNT, REFERENCE
from bucketry.cli.searching import found_aliases_document, fresh_index
from bucketry.index.search import iter_versions_found, list_damaged_models, order_needs_details, parse_order
from bucketry.schema.search.query import parse_query
from bucketry.show.lists import headline_columns, version_columns
from bucketry.show.spans import Span
from bucketry.show.tables import NARROWEST, Column, listed_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from bucketry.cli.call import Call
    from bucketry.index.search import FoundVersion
    from bucketry.schema.names import Reference
    from bucketry.show.spans import Line

MOST_METRIC_COLUMNS = 2
"""So many fit beside the rest in 80 columns; `--json` has all."""


@query_command(
    "search",
    example="bucketry search 'auc>0.9' state:approved label:team=risk -alias:production\n"
    "bucketry search model:acme/* 'param.lr<=1e-3' 'created>2026-10-01' --sort -auc --limit 10",
)
@click.argument("query", nargs=-1)
@click.option("--limit", type=COUNT, metavar="N", help="List at most N versions.  [default: all]")
@click.option("--after", type=REFERENCE, metavar="MODEL:VERSION", help="Begin after this version.")
@click.option(
    "--sort",
    default="-created",
    metavar="[-]KEY",
    help="Sort by created, size, version, model, author, state or a metric; with '-' the largest first.",
)
@click.option("--offline", is_flag=True, show_default=False, help="Answer from the local index alone.")
def run(
    call: Call, query: tuple[str, ...], limit: int | None, after: Reference | None, sort: str, *, offline: bool
) -> None:
    """Find versions of all models: by metric, parameter, label, state, author, time or origin.

    QUERY is parts that must all hold: words; state: author: alias: model: label: base: data: notes:; auc>0.9,
    auc[age=18-25]>0.8, param.lr<=1e-3, created>2026-10-01, size>10GB, version<=7. One with a '-' before it must not
    hold. Quote < and > for the shell.

    It answers from an index on this machine, after a look at what changed. The index lies in the cache's folder. Where
    the bucket cannot be reached, it answers as it is, and says so.
    """
    asked, order = parse_query(" ".join(query)), parse_order(sort)
    session = call.open()
    details = asked.needs_details or order_needs_details(order)
    metrics = list(dict.fromkeys([*([order.by] if order_needs_details(order) else []), *asked.metric_names]))
    with fresh_index(call, session, details=details, offline=offline) as index:
        wanted = None if limit is None else limit + 1
        found = list(iter_versions_found(index, asked, order=order, limit=wanted, after=after, shown_metrics=metrics))
        shown = found[:limit]
        if len(shown) == len(found):  # what has no place in any order comes at the end
            shown = found = [*found, *list_damaged_models(index, asked)]
    call.messages.damage(version.damaged for version in shown)
    call.answer([_document(version) for version in shown], _lines(shown, metrics, session.clock.now()))
    if len(shown) < len(found):
        call.messages.note(f"there are more: continue with --after {shown[-1].model}:{shown[-1].version}")


def _document(found: FoundVersion) -> dict[str, object]:
    if found.state is None:
        unknown = dict.fromkeys(("model", *VERSION_KEYS))
        known = {"model": str(found.model), "version": found.version}
        return unknown | known | {"aliases": found_aliases_document(found.aliases)} | damaged_document(found.damaged)
    return {
        "model": str(found.model),
        "version": found.version,
        "manifest": found.manifest,
        "state": found.state.value,
        "aliases": found_aliases_document(found.aliases),
        "created_at": found.created_at,
        "created_by": found.created_by,
        "size_bytes": found.size_bytes,
        "metrics": dict(found.metrics),
        "labels": dict(found.labels),
        "base": found.base,
    } | damaged_document(found.damaged)


def _lines(versions: Sequence[FoundVersion], asked: Sequence[str], now: datetime) -> list[Line]:
    names = dict.fromkeys([*asked, *(name for version in versions for name in version.metrics)])

    def name(found: FoundVersion) -> Span:
        return Span(f"{found.model}:{found.version}" if found.version else str(found.model), "strong")

    listed: Mapping[str, Column[FoundVersion]] = version_columns(now)
    columns = [
        Column("version", "VERSION", name, NARROWEST),
        listed["state"],
        listed["aliases"].sized(NARROWEST),
        listed["size"],
        listed["created"],
        listed["author"].sized(NARROWEST),
        *headline_columns(versions, list(names)[:MOST_METRIC_COLUMNS]),
    ]
    return listed_lines(columns, versions, page())
