"""`init`: makes a bucket or a folder a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import conformance_document
from bucketry.registry.core.opening import create_registry

if TYPE_CHECKING:
    from bucketry.cli.call import Call


@command("init", example="bucketry init s3://models/prod")
@click.argument("url", required=False)
def run(call: Call, url: str | None) -> None:
    """Create a registry and probe whether its store keeps the promises that writing needs.

    URL is s3://bucket/prefix, file:///folder, a path with a slash in it (./registry) or a configured name; without it,
    --registry counts.
    A registry that exists is probed again and otherwise left as it is.
    """
    with call.messages.progress() as line, line.steps("probing the store") as on_check:
        created = create_registry(url or call.registry, on_check=on_check)
    probed = created.conformance
    document = {
        "registry": created.registry,
        "url": created.url,
        "created": created.created,
        "conformance": conformance_document(probed),
    }
    verb = "created" if created.created else "found"
    kept = f"the store keeps all {len(probed.checks)} promises that were probed"
    call.answer(document, [f"{verb} registry {created.registry} at {created.url}; {kept}"])
