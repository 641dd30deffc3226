"""`resolve`: which version a reference names, now or at a moment in the past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import resolved_document
from bucketry.cli.parameters import REFERENCE, TIME, TRUST
from bucketry.errors import UsageError
from bucketry.registry.core.resolve import resolve, resolve_at
from bucketry.schema.names import ByAlias

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.cli.call import Call
    from bucketry.schema.names import Reference


@command("resolve", example="bucketry resolve acme/chat@production --at 2026-03-03T12:00:00Z")
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.option("--at", type=TIME, metavar="TIME", help="What an alias named then (UTC, if no zone is given).")
@TRUST
def run(call: Call, reference: Reference, at: str | None, trust: Path | None) -> None:
    """Say which version a reference names, now or at a moment in the past.

    REF is model, model:7, model@alias, model@latest or model@sha256:<manifest>.
    """
    if at is not None and not isinstance(reference.selector, ByAlias):
        raise UsageError(f"only what an alias names changes with time, not {reference}", advice="write MODEL@ALIAS")
    session = call.open(serves=True, trust=trust)
    resolved = resolve(session, reference) if at is None else resolve_at(session, reference, at)
    call.answer(
        resolved_document(resolved),
        [f"{resolved.model}:{resolved.version}  sha256:{resolved.digest}  {resolved.state}"],
    )
