"""`bundle`: carries a registry, or a part of it, in one file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bucketry.cli.call import AnsweredError
from bucketry.cli.command import CommandGroup, command
from bucketry.cli.documents import bundled_document, mirror_document
from bucketry.cli.output import page
from bucketry.cli.parameters import REFERENCE, sign_option
from bucketry.errors import CorruptError
from bucketry.maintenance.bundle.exporting import export_bundle, find_bundle_signer, plan_export
from bucketry.maintenance.bundle.importing import find_way, import_fork, import_replica
from bucketry.maintenance.bundle.reading import open_bundle
from bucketry.maintenance.bundle.verifying import verify_bundle
from bucketry.maintenance.bundle.versions import list_bundled
from bucketry.maintenance.mirror.mirror import MirrorOptions
from bucketry.registry.core.opening import open_new_place
from bucketry.show.figures import count_of, size_text
from bucketry.show.tables import TextColumn, text_table
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.cli.call import Call
    from bucketry.cli.output import Text
    from bucketry.maintenance.bundle.importing import ForkedVersion
    from bucketry.maintenance.bundle.reading import Bundle
    from bucketry.maintenance.bundle.versions import BundledVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import Reference

PATH = click.Path(path_type=Path, readable=False)
COLUMNS = (TextColumn("MODEL"), TextColumn("VERSION", right=True), TextColumn("STATE"), TextColumn("SIZE", right=True))
LEFT_OUT = (TextColumn("NOT IMPORTED"), TextColumn("WHY"))
SIGNER = click.option(
    "--signer",
    metavar="FINGERPRINT",
    help="Refuse a bundle that the key with this fingerprint (SHA256:...) did not sign.",
)
DRY_RUN = click.option("--dry-run", is_flag=True, show_default=False, help="Say what would be done, and write nothing.")


@command("export", example="bucketry bundle export chat.bundle acme/chat@production --sign")
@click.argument("file", type=PATH)
@click.argument("references", metavar="[REF]...", nargs=-1, type=REFERENCE)
@sign_option("Write it after the arguments.")
@DRY_RUN
def export(call: Call, *, file: Path, references: tuple[Reference, ...], key: str | None, dry_run: bool) -> None:
    """Write a registry, or a part of it, into one file.

    Without REF everything. MODEL is all of a model; MODEL@ALIAS brings the files of what the alias names, and the
    model's history, reviews and evidence as a whole; of several aliases each counts for all the models named. FILE must
    not exist: it is there complete, or not at all.
    """
    session = call.open()
    if dry_run:
        done = plan_export(session, references)
    else:
        signer = None
        if key is not None:
            signer = find_bundle_signer(key, ask_passphrase=call.messages.ask_passphrase)
        with call.messages.progress() as line:
            options = replace(TransferOptions(), on_transfer=line.listener("exporting"))
            done = export_bundle(session, file, references, signer=signer, options=options)
    document: dict[str, object] = {
        "file": str(file.absolute()),
        "registry": done.registry,
        "selection": done.selection.to_document(),
        "models": done.models,
        "objects": done.objects,
        "size_bytes": done.size_bytes,
        "versions": [bundled_document(one) for one in done.versions],
        "digest": done.digest or None,
        "signed_by": done.signed_by or None,
        "dry_run": dry_run,
    }
    verb = "would write" if dry_run else "wrote"
    lines = [
        f"{verb} {count_of(done.models, 'model')}, {count_of(done.objects, 'object')}, {size_text(done.size_bytes)}"
    ]
    if done.digest:
        lines[0] += f" to {file}"
        lines.append(f"digest {done.digest}")
    call.answer(document, lines)


@command("import", example="bucketry -r ./registry bundle import chat.bundle")
@click.argument("file", type=PATH)
@SIGNER
@DRY_RUN
def import_file(call: Call, *, file: Path, signer: str | None, dry_run: bool) -> None:
    """Bring what a bundle holds into the registry that --registry names.

    Where nothing is yet, or a replica of the bundle's registry, that place is a replica afterwards: same id, history
    and reviews, so that signatures hold; `mirror PLACE PLACE --restore` makes it a registry that people write to. Into
    another registry the versions are published again, with the same digests and without reviews.
    """
    with open_bundle(file, signer=signer) as bundle:
        place = open_new_place(call.registry, create=not dry_run)
        with closing(place.store):
            if find_way(bundle, place):
                _import_replica(call, bundle, place, dry_run=dry_run)
            else:
                _import_fork(call, bundle, place, dry_run=dry_run)


@command("list", example="bucketry bundle list chat.bundle")
@click.argument("file", type=PATH)
def list_versions(call: Call, file: Path) -> None:
    """List the versions in a bundle, and say which have their files in it."""
    with open_bundle(file) as bundle:
        versions = list(list_bundled(bundle))
        rows = [
            (
                str(one.model),
                f"{one.row.version}",
                str(one.row.state),
                size_text(one.row.size_bytes) if one.is_here else "not here",
            )
            for one in versions
        ]
        call.answer(_document(bundle, versions), [*text_table(COLUMNS, rows, page()), *_summary(bundle)])


@command("verify", example="bucketry bundle verify chat.bundle --signer SHA256:...")
@click.argument("file", type=PATH)
@SIGNER
def verify(call: Call, *, file: Path, signer: str | None) -> None:
    """Read a bundle to its end: every object against the index, every file against its manifest, every signature."""
    with open_bundle(file, signer=signer) as bundle:
        with call.messages.progress() as line:
            found = verify_bundle(bundle, line.count_listener("verifying"))
        versions = list(list_bundled(bundle)) if not found.wrong else []
        document = _document(bundle, versions) | {"objects": found.objects, "wrong": list(found.wrong)}
        if found.wrong:
            told = f"{count_of(len(found.wrong), 'object')} of {file} is not what it must be, first {found.wrong[0]}"
            raise AnsweredError(CorruptError(told, advice="copy it again from where it was exported"), document)
        call.answer(document, [f"all {count_of(found.objects, 'object')} are right", *_summary(bundle)])


def _import_replica(call: Call, bundle: Bundle, place: Session, *, dry_run: bool) -> None:
    with call.messages.progress() as line:
        transfer = replace(TransferOptions(), on_transfer=line.listener("importing"))
        report = import_replica(bundle, place, MirrorOptions(dry_run=dry_run, transfer=transfer))
    document = _document(bundle, list(list_bundled(bundle))) | {
        "way": "replica",
        "url": place.store.name,
        "dry_run": dry_run,
        "mirror": mirror_document(report),
    }
    verb = "would bring" if dry_run else "brought"
    told = (
        f"{verb} {count_of(report.copied_objects, 'object')}, {size_text(report.copied_bytes)}, to {place.store.name}"
    )
    lines: list[Text] = [f"{told}, a replica of {report.registry}"]
    if report.failures:
        worst = max(report.failures, key=lambda failure: failure.error.exit_code)
        raise AnsweredError(worst.error, document, lines)
    call.answer(document, lines)


def _import_fork(call: Call, bundle: Bundle, place: Session, *, dry_run: bool) -> None:
    with call.messages.progress() as line:
        options = TransferOptions()
        listener = line.count_listener("importing versions")
        fork = import_fork(bundle, place, options, dry_run=dry_run, on_version=listener)
    document = _document(bundle, []) | {
        "way": "fork",
        "url": place.store.name,
        "dry_run": dry_run,
        "versions": [_forked_document(one) for one in fork.versions],
    }
    new = [one for one in fork.versions if one.created]
    verb = "would publish" if dry_run else "published"
    lines: list[Text] = [f"{verb} {count_of(len(new), 'version')} in {place.store.name}, without reviews"]
    left = [one for one in fork.versions if one.left_out]
    if left:
        rows = [(f"{one.bundled.model}:{one.bundled.row.version}", one.left_out) for one in left]
        lines += ["", *text_table(LEFT_OUT, rows, page())]
    if fork.failure is not None:
        raise AnsweredError(fork.failure, document, lines)
    call.answer(document, lines)


def _forked_document(one: ForkedVersion) -> dict[str, object]:
    return bundled_document(one.bundled) | {
        "version": one.version,
        "from_version": one.bundled.row.version,
        "created": one.created,
        "uploaded_bytes": one.uploaded_bytes,
        "left_out": one.left_out or None,
    }


def _document(bundle: Bundle, versions: Sequence[BundledVersion]) -> dict[str, object]:
    return {
        "versions": [bundled_document(one) for one in versions],
        "size_bytes": bundle.size_bytes,
        "digest": bundle.digest,
        "signed_by": bundle.signed_by or None,
    }


def _summary(bundle: Bundle) -> list[Text]:
    signed = f"signed by {bundle.signed_by}" if bundle.signed_by else "not signed"
    return [f"{size_text(bundle.size_bytes)}, digest {bundle.digest}, {signed}"]


run = CommandGroup(
    "bundle",
    example="bucketry bundle export chat.bundle acme/chat@production --sign",
    commands=[export, import_file, list_versions, verify],
    help="Carry a registry, or a part of it, in one file: export, import, list, verify.",
)
