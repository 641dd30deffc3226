"""`materialize`: puts a version's files under their own names, for engines that load a bucket by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import materialized_document
from bucketry.cli.parameters import REFERENCE, TRUST
from bucketry.errors import UsageError
from bucketry.registry.serving.materialize import materialize, plan_materialize, remove_copies
from bucketry.schema.documents.ready import ServingSelection
from bucketry.show.figures import count_of, size_text
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.cli.call import Call
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import Reference


@command("materialize", example="bucketry materialize acme/chat@production")
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.option("--include", multiple=True, metavar="GLOB", help="Only files that match; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No files that match; may be repeated.")
@click.option("--dry-run", is_flag=True, show_default=False, help="Say what would be copied, and copy nothing.")
@click.option(
    "--remove",
    is_flag=True,
    show_default=False,
    help="Remove the version's files below serve/ instead, in every selection.",
)
@TRUST
def run(
    call: Call,
    *,
    reference: Reference,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
    remove: bool,
    trust: Path | None,
) -> None:
    """Put a version's files under their own names in the bucket, below serve/.

    vLLM, SGLang, Triton and KServe load them from there with no client of ours. They are not fenced: an engine that has
    the URI does not ask whether the version was rejected since. The store makes the copies; nothing passes through here
    where it can.

    Without --include only what serving needs is copied: no states of optimizers, and one set of weights, safetensors
    before other formats. Each selection has a folder of its own. The document .bucketry/ready.json in it lists files
    and digests, and is written last. A version that somebody rejected or revoked is refused (exit 4), and whoever
    revokes one takes that document away.
    """
    session = call.open(serves=True, trust=trust)
    if remove:
        if include or exclude or dry_run:
            raise UsageError("--remove takes no other option", advice="leave --include, --exclude and --dry-run out")
        _remove(call, session, reference)
        return
    selection = ServingSelection(include, exclude)
    if dry_run:
        done = plan_materialize(session, reference, selection)
    else:
        with call.messages.progress() as line:
            options = replace(TransferOptions(), on_transfer=line.listener("copying"))
            done = materialize(session, reference, selection, options)
    document = materialized_document(done) | {"dry_run": dry_run}
    verb = "would copy" if dry_run else "copied"
    amounts = (
        f"{count_of(len(done.files), 'file')}, {size_text(done.size_bytes)}; {verb} {size_text(done.copied_bytes)}"
    )
    call.answer(document, [done.uri, f"{done.resolved.model}:{done.resolved.version} ({amounts})"])


def _remove(call: Call, session: Session, reference: Reference) -> None:
    removed = remove_copies(session, reference)
    model, version = removed.resolved.model, removed.resolved.version
    document = {
        "model": str(model),
        "version": version,
        "removed": list(removed.folders),
        "objects": removed.objects,
        "freed_bytes": removed.freed_bytes,
    }
    told = f"removed {count_of(removed.objects, 'file')}, {size_text(removed.freed_bytes)}, of {model}:{version}"
    call.answer(document, [told])
