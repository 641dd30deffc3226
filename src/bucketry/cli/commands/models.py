"""`models`: the models of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import query_command
from bucketry.cli.documents import damaged_document
from bucketry.cli.output import page
from bucketry.cli.parameters import COUNT, MODEL
from bucketry.cli.searching import found_aliases_document, fresh_index
from bucketry.index.search import count_models_found, list_models_found
from bucketry.schema.search.query import parse_query
from bucketry.show.figures import NOTHING
from bucketry.show.lists import model_columns
from bucketry.show.tables import DAMAGED, NARROWEST, Column, listed_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bucketry.cli.call import Call
    from bucketry.index.search import FoundModel
    from bucketry.schema.names import ModelName


@query_command("models", example="bucketry models chat --limit 20\nbucketry models alias:production 'auc>0.9'")
@click.argument("query", nargs=-1)
@click.option("--limit", type=COUNT, metavar="N", help="List at most N models.  [default: all]")
@click.option("--after", type=MODEL, metavar="MODEL", help="Begin after this model.")
def run(call: Call, query: tuple[str, ...], limit: int | None, after: ModelName | None) -> None:
    """List models.

    QUERY is words that the name must contain, and anything that `bucketry search` takes: model: and alias: are asked
    of the model, all else of its versions, one of which must fit.
    """
    asked = parse_query(" ".join(query))
    session = call.open()
    with fresh_index(call, session, details=asked.needs_details, required=True) as index:
        shown = list_models_found(index, asked, after=after, limit=limit)
        more = count_models_found(index, asked, after=shown[-1].model) if limit is not None and shown else 0
    lines = listed_lines(_columns(session.clock.now()), shown, page())
    call.answer([_document(model) for model in shown], lines)
    if more:
        call.messages.note(f"{more:,} more: continue with --after {shown[-1].model}")


def _columns(now: datetime) -> list[Column[FoundModel]]:
    def named_versions(model: FoundModel) -> str:
        named = (f"{alias.alias}={DAMAGED if alias.damaged else alias.version}" for alias in model.aliases)
        return " ".join(named) or NOTHING

    listed: Mapping[str, Column[FoundModel]] = model_columns(now)
    return [
        listed["name"].sized(NARROWEST),
        listed["versions"],
        listed["newest"],
        Column("aliases", "ALIASES", named_versions, NARROWEST),
        listed["updated"],
        listed["description"].sized(NARROWEST),
    ]


def _document(found: FoundModel) -> dict[str, object]:
    if found.damaged:
        unknown = dict.fromkeys(("model", "versions", "newest", "aliases", "updated_at", "description"))
        known = {"model": str(found.model), "aliases": found_aliases_document(found.aliases)}
        return unknown | known | damaged_document(found.damaged)
    return {
        "model": str(found.model),
        "versions": found.versions,
        "newest": found.newest,
        "aliases": found_aliases_document(found.aliases),
        "updated_at": found.updated_at,
        "description": found.description,
    }
