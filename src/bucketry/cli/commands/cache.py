"""`cache`: what this node keeps of what was pulled, and how it is made smaller."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import CommandGroup, command
from bucketry.cli.output import page
from bucketry.cli.parameters import SIZE
from bucketry.clock import format_time
from bucketry.registry.reading.local_cache import cache_root, list_cached, prune_cached, verify_cached
from bucketry.show.figures import age_text, count_of, size_text
from bucketry.show.tables import TextColumn, text_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.registry.reading.local_cache import CachedItem
    from bucketry.show.spans import Line

COLUMNS = (TextColumn("KIND"), TextColumn("SIZE", right=True), TextColumn("USED", right=True), TextColumn("PATH"))


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
    lines: list[Text] = [
        *(_lines(removed) if removed else []),
        f"{count_of(kept, 'entry')} right, {len(removed):,} removed",
    ]
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
        f"removed {count_of(len(pruned.removed), 'entry')}, freed {size_text(pruned.freed_bytes)}, "
        f"kept {size_text(pruned.kept_bytes)}"
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
    rows = [(item.kind, size_text(item.size_bytes), age_text(_used_at(item), now), str(item.path)) for item in items]
    return text_table(COLUMNS, rows, page())


def _used_at(item: CachedItem) -> str:
    return format_time(datetime.fromtimestamp(item.used_at, UTC))


run = CommandGroup(
    "cache",
    example="bucketry cache prune --max-size 50GB",
    commands=[list_entries, verify, prune],
    help="List, verify or empty the local cache of pulled versions.",
)
