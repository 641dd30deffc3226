"""Brings what a bundle holds into a place: a replica where nothing is, new versions where there is another registry.

A replica has the registry's id, so that whatever was signed stays signed; a later bundle of the same registry brings
it up to date. Into another registry the versions are published again, with their manifests' digests; what was decided
about them was decided elsewhere, so they begin without reviews.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, BucketryError, ContendedError, NotFoundError, RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.maintenance.bundle.versions import list_bundled, session_of
from bucketry.maintenance.mirror.marker import find_marker, load_source
from bucketry.maintenance.mirror.mirror import MirrorOptions, mirror
from bucketry.registry.core.artifacts import file_digest
from bucketry.registry.core.registers import load_head
from bucketry.registry.core.rows import find_row_by_manifest
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.evidence import headline_values
from bucketry.schema.documents.manifest import encode_manifest
from bucketry.schema.documents.states import SERVABLE
from bucketry.transfer.plan import TransferOptions
from bucketry.transfer.up.stored import StoredFile
from bucketry.transfer.up.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.maintenance.bundle.reading import Bundle
    from bucketry.maintenance.bundle.versions import BundledVersion
    from bucketry.maintenance.mirror.mirror import MirrorReport
    from bucketry.registry.core.session import Session
    from bucketry.registry.publishing.registration import UploadBlobs
    from bucketry.schema.documents.manifest import Artifact


@frozen
class ForkedVersion:
    """A version of a bundle in another registry: the number that it has there, or why it has none."""

    bundled: BundledVersion
    version: int | None
    created: bool = False
    uploaded_bytes: int = 0
    left_out: str = ""


@frozen
class Fork:
    """The versions of a bundle that another registry now has, or would have, and why it has not the others."""

    registry: str
    versions: tuple[ForkedVersion, ...]
    failure: BucketryError | None = None


def find_way(bundle: Bundle, target: Session) -> bool:
    """Return whether a place becomes, or is, a replica of the bundle's registry; else it is another registry.

    Raises `RejectedError` for the registry that the bundle is of: what it lost is brought back from a replica.
    """
    theirs = find_marker(target.store)
    ours = load_source(session_of(bundle)).state
    if theirs is None:
        return True
    if theirs.state.registry == ours.registry and theirs.state.replica is None:
        raise RejectedError(
            f"{target.store.name} is the registry itself that the bundle is of",
            advice="import the bundle into an empty place, which is then a replica",
        )
    return bool(theirs.state.registry == ours.registry)


def import_replica(bundle: Bundle, target: Session, options: MirrorOptions) -> MirrorReport:
    """Make an empty place a replica, or bring one up to date, from a bundle; raises as a mirror does."""
    return mirror(session_of(bundle), target, options)


def import_fork(
    bundle: Bundle,
    target: Session,
    options: TransferOptions | None = None,
    *,
    dry_run: bool = False,
    on_version: Callable[[int, int], None] | None = None,
) -> Fork:
    """Publish the versions of a bundle in another registry, bases before what is made from them; once each.

    One that cannot be published is reported, and the others go on.
    """
    if not dry_run:
        target.check_writable()
    waiting = list(list_bundled(bundle))
    done: list[ForkedVersion] = []
    total = len(waiting)
    failure: BucketryError | None = None
    while waiting:  # bounded: each round settles one at least, or is the last
        left: list[BundledVersion] = []
        for one in waiting:
            try:
                done.append(_fork_one(bundle, target, one, options or TransferOptions(), dry_run=dry_run))
            except NotFoundError as error:  # its base may come yet
                left.append(one)
                missing = error
            except (*UNREADABLE, RejectedError, UsageError, ContendedError) as error:
                failure = failure or error
                done.append(ForkedVersion(one, None, left_out=error.message))
            if on_version is not None:
                on_version(len(done), total)
        if len(left) == len(waiting):
            failure = failure or missing
            done += [ForkedVersion(one, None, left_out=missing.message) for one in left]
            break
        waiting = left
    return Fork(target.registry.registry, tuple(done), failure)


def _fork_one(
    bundle: Bundle, target: Session, one: BundledVersion, options: TransferOptions, *, dry_run: bool
) -> ForkedVersion:
    head = load_head(target, one.model).state
    row = find_row_by_manifest(target, head, one.row.manifest) if head is not None else None
    if row is not None:
        return ForkedVersion(one, row.version)
    if one.row.state not in SERVABLE:  # what was refused or retired stays where that is on record
        return ForkedVersion(one, None, left_out=f"it is {one.row.state}")
    if not one.is_here:
        return ForkedVersion(one, None, left_out="its files are not in the bundle")
    if digest_of(encode_manifest(one.manifest)) != one.row.manifest:
        return ForkedVersion(one, None, left_out="its manifest was written by a newer program")
    if dry_run:
        return ForkedVersion(one, None, created=True, uploaded_bytes=one.manifest.size_bytes)
    prepared = PreparedVersion(
        one.manifest,
        headline=headline_values(one.manifest.evidence_at_publish),
        row_labels=one.manifest.labels,
        idempotency_key=f"bundle {one.row.manifest}",
    )
    registered = register_version(target, prepared, _sending(bundle, target, one, options))
    return ForkedVersion(one, registered.version, registered.created, registered.uploaded_bytes)


def _sending(bundle: Bundle, target: Session, one: BundledVersion, options: TransferOptions) -> UploadBlobs:
    def send(epoch: int, artifacts: Sequence[Artifact]) -> int:
        files = [
            StoredFile(
                bundle,
                one.blobs[artifact.sha256],
                keys.blob(one.model, epoch, artifact.sha256),
                file_digest(artifact),
                artifact.path,
                by_store=False,
            )
            for artifact in artifacts
        ]
        return sum(outcome.uploaded_bytes for outcome in upload(target.store, files, options)) if files else 0

    return send
