"""`usage`: says how many bytes each model and version takes, shares, and could give back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import damaged_document
from bucketry.cli.output import page
from bucketry.cli.parameters import MODEL
from bucketry.maintenance.usage import measure_model, measure_usage
from bucketry.show.figures import NOTHING, count_of, size_text
from bucketry.show.tables import DAMAGED, NARROWEST, TextColumn, text_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.maintenance.usage import ModelUsage
    from bucketry.schema.names import ModelName

COLUMNS = (
    TextColumn("MODEL", NARROWEST),
    TextColumn("VERSIONS", right=True),
    TextColumn("LIVE", right=True),
    TextColumn("SHARED", right=True),
    TextColumn("RECLAIMABLE", right=True),
    TextColumn("DUPLICATE", right=True),
)
VERSION_COLUMNS = (
    TextColumn("VERSION", right=True),
    TextColumn("STATE"),
    TextColumn("SIZE", right=True),
    TextColumn("OWN", right=True),
    TextColumn("SHARED", right=True),
    TextColumn("DUPLICATE", right=True),
)


@command("usage", example="bucketry usage\nbucketry usage acme/chat")
@click.argument("model", type=MODEL, required=False)
def run(call: Call, model: ModelName | None) -> None:
    """Say how many bytes each model takes, shares between its versions, and could give back.

    With MODEL also each version: what is its OWN is what deleting it would free. LIVE bytes are needed, SHARED ones by
    more than one version, RECLAIMABLE ones by none (`bucketry gc` frees them); DUPLICATE ones lie somewhere else too.
    """
    session = call.open()
    with call.messages.progress() as line:
        if model is not None:
            found = [measure_model(session, model)]
        else:
            found = measure_usage(session, progress=line.count_listener("measuring"))
    total_bytes = sum(usage.size_bytes for usage in found)
    document = {"models": [_document(usage) for usage in found], "total_bytes": total_bytes}
    if model is not None:
        document["versions"] = [
            {
                "version": each.version,
                "state": each.state.value,
                "bytes": each.size_bytes,
                "own_bytes": each.own_bytes,
                "shared_bytes": each.size_bytes - each.own_bytes,
                "duplicate_bytes": each.duplicate_bytes,
            }
            for each in found[0].by_version
        ]
    call.answer(document, _lines(found, total_bytes))


def _document(usage: ModelUsage) -> dict[str, object]:
    known: dict[str, object] = {
        "live_bytes": usage.live_bytes,
        "shared_bytes": usage.shared_bytes,
        "reclaimable_bytes": usage.reclaimable_bytes,
        "duplicate_bytes": usage.duplicate_bytes,
        "versions": usage.versions,
    }
    named: dict[str, object] = {"model": str(usage.model)}
    return named | (dict.fromkeys(known) if usage.damaged else known) | damaged_document(usage.damaged)


def _lines(found: Sequence[ModelUsage], total_bytes: int) -> Iterator[Text]:
    rows = [
        (str(usage.model), f"{DAMAGED}: {usage.damaged}", *([NOTHING] * 4))
        if usage.damaged
        else (
            str(usage.model),
            f"{usage.versions:,}",
            *(
                size_text(size_bytes)
                for size_bytes in (
                    usage.live_bytes,
                    usage.shared_bytes,
                    usage.reclaimable_bytes,
                    usage.duplicate_bytes,
                )
            ),
        )
        for usage in sorted(found, key=lambda usage: (-usage.size_bytes, str(usage.model)))
    ]
    if rows:
        yield from text_table(COLUMNS, rows, page())
    for usage in found:
        if usage.by_version:
            yield ""
            cells = [
                (
                    str(each.version),
                    each.state.value,
                    size_text(each.size_bytes),
                    size_text(each.own_bytes),
                    size_text(each.size_bytes - each.own_bytes),
                    size_text(each.duplicate_bytes),
                )
                for each in usage.by_version
            ]
            yield from text_table(VERSION_COLUMNS, cells, page())
    yield f"{count_of(len(found), 'model')} with files, {size_text(total_bytes)}"
