"""`cache`: what does this node keep of what was pulled?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import CommandGroup, command
from bucketry.cli.figures import count_of, human_age, human_size
from bucketry.cli.output import width_columns
from bucketry.cli.parameters import SIZE
from bucketry.cli.tables import Column, table
from bucketry.clock import format_time
from bucketry.registry.reading.local_cache import cache_root, list_cached, prune_cached, verify_cached

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.cli.call import Call
    from bucketry.cli.output import Line
    from bucketry.registry.reading.local_cache import CachedItem

COLUMNS = (Column("KIND"), Column("SIZE", number=True), Column("USED", number=True), Column("PATH"))


@command("list", example="bucketry cache list")
def list_entries(call: Call) -> None:
    """List what the cache holds; files and versions share their bytes."""
    items = list_cached()
    call.answer({"path": str(cache_root()), "entries": [_document(item) for item in items]}, _lines(items))


@command("verify", example="bucketry cache verify")
def verify(call: Call) -> None:
    """Hash everything in the cache again and remove what is wrong."""
    removed = verify_cached()
    kept = len(list_cached())
    lines = [*(_lines(removed) if removed else []), f"{count_of(kept, 'entry')} right, {len(removed):,} removed"]
    call.answer({"removed": [_document(item) for item in removed], "kept": kept}, lines)


@command("prune", example="bucketry cache prune --max-size 50GB")
@click.option("--max-size", type=SIZE, default="0", metavar="SIZE", help="How much may stay, as 50GB or 512MiB.")
def prune(call: Call, max_size: int) -> None:
    """Remove what was not used for longest, until what is left fits."""
    pruned = prune_cached(max_size)
    document = {
        "removed": [_document(item) for item in pruned.removed],
        "freed_bytes": pruned.freed_bytes,
        "kept_bytes": pruned.kept_bytes,
    }
    told = (
        f"removed {count_of(len(pruned.removed), 'entry')}, freed {human_size(pruned.freed_bytes)}, "
        f"kept {human_size(pruned.kept_bytes)}"
    )
    call.answer(document, [told])


def _document(item: CachedItem) -> dict[str, object]:
    return {
        "kind": item.kind,
        "path": str(item.path),
        "size_bytes": item.size_bytes,
        "used_at": _used_at(item),
    }


def _lines(items: Sequence[CachedItem]) -> list[Line]:
    now = datetime.now(UTC)
    rows = [(item.kind, human_size(item.size_bytes), human_age(_used_at(item), now), str(item.path)) for item in items]
    return table(COLUMNS, rows, width=width_columns())


def _used_at(item: CachedItem) -> str:
    return format_time(datetime.fromtimestamp(item.used_at, UTC))


run = CommandGroup(
    "cache",
    example="bucketry cache prune --max-size 50GB",
    commands=[list_entries, verify, prune],
    help="List, verify or empty the local cache of pulled versions.",
)
