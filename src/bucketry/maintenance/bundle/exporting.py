"""Writes a registry, or a part of it, into one file: a mirror whose target is a bundle.

So a bundle is a replica, and all that holds of one holds of it: registers in the source's own bytes, whole history and
decisions, files compared with the digests of their manifests on the way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.maintenance.bundle.reading import open_bundle
from bucketry.maintenance.bundle.versions import list_bundled
from bucketry.maintenance.bundle.writing import BundleWriter
from bucketry.maintenance.mirror.marker import choose_selection, load_source
from bucketry.maintenance.mirror.mirror import MirrorOptions, mirror
from bucketry.registry.core.registers import load_existing_alias, load_existing_head
from bucketry.registry.core.session import Session
from bucketry.registry.core.writing import Readable, put_document
from bucketry.schema import keys
from bucketry.schema.documents.replica import Replica, Selection
from bucketry.schema.documents.settings import encode_registry
from bucketry.schema.names import ByAlias, Newest
from bucketry.store.contract import IfAbsent
from bucketry.store.memory import MemoryStore
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bucketry.maintenance.bundle.versions import BundledVersion
    from bucketry.maintenance.mirror.mirror import MirrorReport
    from bucketry.schema.names import Reference
    from bucketry.trust.signing import Signer


@frozen
class ExportedBundle:
    """What a bundle holds, or would; `digest` is empty where none was written, and so is `versions`."""

    registry: str
    selection: Selection
    models: int
    objects: int
    size_bytes: int
    digest: str = ""
    signed_by: str = ""
    versions: tuple[BundledVersion, ...] = ()


def plan_export(session: Session, references: Sequence[Reference]) -> ExportedBundle:
    """Return what `export_bundle` would write; raises as it does."""
    selection = find_selection(session, references)
    place = Session(MemoryStore(name="bundle:"), session.actor, session.clock)
    return _exported(_checked(mirror(session, place, MirrorOptions(selection, dry_run=True))))


def export_bundle(
    session: Session,
    path: Path,
    references: Sequence[Reference] = (),
    *,
    signer: Signer | None = None,
    options: TransferOptions | None = None,
) -> ExportedBundle:
    """Write a bundle of everything, of some models, or of what aliases name; it appears whole or not at all.

    Raises `RejectedError` where something is at the path, or a model cannot be brought, `NotFoundError` for what is not
    there, `UsageError` for references that no bundle can be of.
    """
    selection = find_selection(session, references)
    writer = BundleWriter(path)
    try:
        place = Session(writer, session.actor, session.clock)
        source = load_source(session).state
        marker = Replica(session.store.name, choose_selection(source, selection), endpoints=(writer.endpoint,))
        put_document(writer, Readable(keys.REGISTRY, encode_registry(replace(source, replica=marker))), IfAbsent())
        how = MirrorOptions(selection, full=True, transfer=options or TransferOptions())
        report = _checked(mirror(session, place, how))
        writer.drop_notes()
        writer.seal(signer)
    finally:
        writer.abandon()
    with open_bundle(path) as bundle:
        return replace(
            _exported(report),
            objects=len(bundle.keys),
            size_bytes=bundle.size_bytes,
            digest=bundle.digest,
            signed_by=bundle.signed_by,
            versions=tuple(list_bundled(bundle)),
        )


def find_bundle_signer(key: str, *, ask_passphrase: Callable[[str], str] | None = None) -> Signer:
    """Return who signs a bundle: with a key's file, or one of the agent's by name; "" is the usual one."""
    from bucketry.trust.signing import find_signer  # noqa: PLC0415 - loads cryptography

    return find_signer(key or None, ask_passphrase=ask_passphrase)


def find_selection(session: Session, references: Sequence[Reference]) -> Selection:
    """Return the part of a registry that holds what is asked for: of some models everything, or what aliases name.

    A model's registers are always whole, and say which of the files belong to the selection. So there is no bundle of
    a single version that no alias names, and of several aliases each counts for all the models.
    """
    wholes = [reference for reference in references if isinstance(reference.selector, Newest)]
    aliased = [(one.model, one.selector.alias) for one in references if isinstance(one.selector, ByAlias)]
    if len(wholes) + len(aliased) < len(references):
        raise UsageError(
            "a bundle is of whole models, or of what aliases name",
            advice="write MODEL or MODEL@ALIAS; give a version an alias first (`bucketry promote MODEL:N ALIAS`)",
        )
    if wholes and aliased:
        raise UsageError(
            "a bundle is either of whole models or of what aliases name", advice="export two bundles, one of each"
        )
    for reference in wholes:
        load_existing_head(session, reference.model)
    for model, alias in aliased:
        load_existing_alias(session, model, alias)
    models = dict.fromkeys(str(reference.model) for reference in references)
    return Selection(tuple(models), tuple(dict.fromkeys(alias for _, alias in aliased)))


def _checked(report: MirrorReport) -> MirrorReport:
    if report.failures:
        worst = max(report.failures, key=lambda failure: failure.error.exit_code)
        raise type(worst.error)(f"{worst.what} cannot be exported: {worst.error.message}", advice=worst.error.remedy)
    return report


def _exported(report: MirrorReport) -> ExportedBundle:
    return ExportedBundle(report.registry, report.selection, report.models, report.copied_objects, report.copied_bytes)
