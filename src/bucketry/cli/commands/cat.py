"""`cat`: the bytes of one file of a version, or a range of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.parameters import ALLOW_REJECTED, RANGE, REFERENCE, TRUST
from bucketry.cli.refusals import note_refusals
from bucketry.errors import UsageError
from bucketry.registry.core.artifacts import open_artifact
from bucketry.registry.core.resolve import resolve

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference


@command("cat", example="bucketry cat acme/chat@production config.json\nbucketry cat acme/chat:3 model.bin --range 0-7")
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.argument("path")
@click.option(
    "--range",
    "byte_range",
    type=RANGE,
    metavar="A-B",
    help="Only these bytes, counted from 0 and both included; A- to the end, -N the last N.",
)
@TRUST
@ALLOW_REJECTED
def run(
    call: Call,
    *,
    reference: Reference,
    path: str,
    byte_range: tuple[int | None, int | None] | None,
    trust: Path | None,
    allow_rejected: bool,
) -> None:
    """Write one file of a version, or a range of its bytes, to stdout.

    A pipe or a file gets the exact bytes; a terminal gets them in a visible form. --json concerns errors only.
    Digests are of whole chunks: a range that covers some only in part is not verified, which is said afterwards.
    What an alias names although it was rejected or revoked is refused, unless --allow-rejected.
    """
    session = call.open(serves=True, trust=trust)
    resolved = resolve(session, reference)
    with open_artifact(session, resolved, path, allow_rejected=allow_rejected) as file:
        start, stop = _bounds(byte_range, file.size_bytes)
        call.output.write_bytes(file.iter_bytes(start, stop))
        if start < stop and not file.covers_whole_chunks(start, stop):
            call.messages.note(
                f"not all of these bytes were verified: the file is verified in chunks of "
                f"{file.artifact.chunks.size_bytes:,} bytes, and the range has only parts of some"
            )
    note_refusals(call, session, resolved)


def _bounds(byte_range: tuple[int | None, int | None] | None, size_bytes: int) -> tuple[int, int]:
    """Return start and stop of a range as HTTP means it: an end beyond the file is the file's end."""
    first, last = byte_range or (0, None)
    if first is None:
        return max(0, size_bytes - (last or 0)), size_bytes
    if first > size_bytes or (first == size_bytes and size_bytes > 0):
        raise UsageError(
            f"the range begins at byte {first}, and the file has {size_bytes} bytes", advice="begin earlier"
        )
    return first, size_bytes if last is None else min(last + 1, size_bytes)
