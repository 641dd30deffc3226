"""Gives a prepared version its number, with its bytes placed where no collection can take them.

A row may place a blob only under the epoch of the head that is being replaced, or under a key that a live row of
that head names; anything else is uploaded again under that head's epoch. This is decided on every attempt, so a
publisher that stalled across a garbage collection loses its compare-and-swap instead of naming bytes that are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import islice
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, ContendedError, CorruptError, NotFoundError, RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.commit import COMMIT_DEADLINE_SECONDS, Change, FirstAttempt
from bucketry.registry.core.immutable import Immutable, put_immutable
from bucketry.registry.core.registers import (
    AlreadyDoneError,
    commit_head,
    ensure_head,
    existing_head,
    load_head,
    load_or_begin_head,
)
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import find_row, find_row_by_key, iter_known_rows, load_dossier, replace_dossier
from bucketry.registry.review.policies import load_policy
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.dossier import Citation, Dossier, encode_dossier
from bucketry.schema.documents.head import Head, Row, fit_metrics, has_room
from bucketry.schema.documents.manifest import Artifact, Manifest, Parent, encode_manifest
from bucketry.schema.documents.placement import MOST_RUNS, decode_placement, encode_placement
from bucketry.schema.documents.reviews import encode_review
from bucketry.schema.documents.states import BLOBS_KEPT, State
from bucketry.schema.names import Digest
from bucketry.store.contract import ObjectNotFoundError

if TYPE_CHECKING:
    from bucketry.registry.core.commit import Current
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.reviews import Review
    from bucketry.schema.names import ModelName

MOST_PLACEMENTS = 16
MOST_STUB_VERSIONS = 999_999
"""Stands for a version's number and for an epoch in a row that is checked before they are known."""
MOST_VERSIONS_REUSED = 4
"""How many of the newest live versions are searched for bytes that need not be uploaded again."""

UploadBlobs = Callable[[int, Sequence[Artifact]], int]
"""Stores the artifacts' bytes under an epoch, if they are not there, and returns how many bytes were sent."""


@frozen
class PreparedVersion:
    """Everything about a version but its number and where its bytes lie.

    `headline` has the metrics over whole data in the order of display; the policy may choose among them.
    """

    manifest: Manifest
    headline: Mapping[str, float] = field(default_factory=dict)
    row_labels: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    signature: Review | None = None

    @property
    def idempotency(self) -> str | None:
        """The key as rows spell it: 128 bits of its SHA-256."""
        return digest_of(self.idempotency_key.encode())[:32] if self.idempotency_key else None

    @property
    def draft_row(self) -> Row:
        """The row, with stubs for its number, its digest and where its bytes lie."""
        return draft_row(self.manifest, labels=self.row_labels, idempotency=self.idempotency)


@frozen
class RegisteredVersion:
    """What a publish did. `created` is False where the idempotency key named a version that was there already.

    `left_out` says what of the metrics could not be compared and is not recorded. `same_files_as` is an older version
    with the very same files, the newest of them. `files_left_out` and `not_known` are as in `PreparedPublish`.
    `lacks_signature`: under its policy nobody can approve it, since the publish was not signed.
    """

    model: ModelName
    version: int
    manifest: Digest
    size_bytes: int
    uploaded_bytes: int
    reused_bytes: int
    created: bool
    left_out: tuple[str, ...] = ()
    same_files_as: int | None = None
    files_left_out: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()
    lacks_signature: bool = False


@frozen
class _Place:
    """Where an artifact's bytes lie: the epoch, and the live version whose row names them (None: we stored them)."""

    epoch: int
    named_by: int | None


class _StalePlacementError(Exception):
    """The head that is being replaced does not allow a place that an older head allowed."""


class _AlreadyPublishedError(Exception):
    """The idempotency key names a version."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row


def find_published(session: Session, model: ModelName, prepared_key: str | None) -> RegisteredVersion | None:
    """Return the version that was published with an idempotency key, if there is one."""
    head = load_head(session, model).state if prepared_key else None
    if head is None or prepared_key is None:
        return None
    row = find_row_by_key(session, head, digest_of(prepared_key.encode())[:32])
    return _already_published(model, row) if row else None


def draft_row(manifest: Manifest, *, labels: Mapping[str, str], idempotency: str | None) -> Row:
    """Return the row that a manifest will have, with stubs for its number, its digest and where its bytes lie."""
    parent = manifest.lineage.parents[0] if manifest.lineage.parents else None
    return Row(
        version=MOST_STUB_VERSIONS,
        manifest=Digest("0" * 64),
        placement=((MOST_STUB_VERSIONS, len(manifest.artifacts)),),
        size_bytes=manifest.size_bytes,
        created_at=manifest.created_at,
        created_by=manifest.created_by,
        base=f"{parent.model}:{parent.version}" if parent else None,
        labels=labels,
        idempotency=idempotency,
    )


def register_version(
    session: Session, prepared: PreparedVersion, upload: UploadBlobs, *, base: Current[Head] | None = None
) -> RegisteredVersion:
    """Store what is missing, then commit the version: an empty head before all else, blobs, manifest, pages, head.

    `base` is the head if it was just read: the first attempt replaces that.
    """
    session.check_writable()
    manifest = prepared.manifest
    body = encode_manifest(manifest)
    digest = digest_of(body)
    item = Immutable(keys.manifest(manifest.model, digest), body)
    deadline_seconds = session.clock.monotonic_seconds() + COMMIT_DEADLINE_SECONDS
    uploaded_bytes = 0
    for attempt in range(MOST_PLACEMENTS):
        base = base or load_or_begin_head(session, manifest.model)
        head = base.state or Head(session.registry.registry, manifest.model)
        places = _plan_places(session, head, prepared)
        missing = {a.sha256: a for a in manifest.artifacts if places[a.sha256].named_by is None}
        uploaded_bytes += upload(head.epoch, list(missing.values()))
        if attempt == 0:
            put_immutable(session.store, item, clock=session.clock, deadline_seconds=deadline_seconds)
            session.documents.remember(digest, body)
        edit = _RegistrationEdit(session, prepared, digest, places)
        try:
            committed = commit_head(session, manifest.model, edit, first=FirstAttempt(base, edit(base.state)))
        except _StalePlacementError:
            base = None
            continue
        except _AlreadyPublishedError as already:
            return _already_published(manifest.model, already.row)
        size_bytes = manifest.size_bytes
        reused_bytes = max(0, size_bytes - uploaded_bytes)
        version = int(committed.record.target)
        return RegisteredVersion(
            manifest.model,
            version,
            digest,
            size_bytes,
            uploaded_bytes,
            reused_bytes,
            created=True,
            same_files_as=_find_same_files(session, committed.state, manifest, version),
            lacks_signature=prepared.signature is None and load_policy(session, committed.state).needs_signed_publish,
        )
    raise ContendedError(f"garbage collection of {manifest.model} kept outrunning this publish", advice="try again")


def iter_reusable(session: Session, head: Head) -> Iterator[tuple[Row, Mapping[Digest, int]]]:
    """Yield the newest live versions, and under which epoch each of their artifacts lies.

    One that is damaged is left out: what it could have given is uploaded anew.
    """
    known = (row for row in iter_known_rows(session, head) if isinstance(row, Row) and row.state in BLOBS_KEPT)
    for row in islice(known, MOST_VERSIONS_REUSED):
        if row.state is State.DELETING:
            continue
        try:
            epochs = _epochs_of(session, head, row)
        except UNREADABLE:
            continue
        yield row, epochs


@frozen
class _RegistrationEdit:
    """The edit of the head: every precondition is decided on the head that is replaced."""

    session: Session
    prepared: PreparedVersion
    digest: Digest
    places: Mapping[Digest, _Place]

    def __call__(self, old: Head | None) -> Change[Head]:
        manifest = self.prepared.manifest
        head = old or Head(self.session.registry.registry, manifest.model)
        if self.prepared.idempotency:
            row = find_row_by_key(self.session, head, self.prepared.idempotency)
            if row is not None:
                raise _AlreadyPublishedError(row)
        _check_places(self.session, head, self.places)
        head, objects = self._pin_parents(head)
        row = replace(
            self.prepared.draft_row,
            version=head.next_version,
            manifest=self.digest,
            placement=encode_placement(self.places[a.sha256].epoch for a in manifest.artifacts),
        )
        measured, named = self.prepared.headline, load_policy(self.session, head).headline_metrics
        shown = {name: measured[name] for name in named if name in measured} if named else measured
        row = replace(row, metrics=fit_metrics(row, shown))
        if self.prepared.signature is not None:  # a dossier cites it
            body = encode_review(self.prepared.signature)
            item = Immutable(keys.review(manifest.model, self.digest, digest_of(body)), body)
            dossier = Dossier(self.digest, reviews=(Citation(item.key, digest_of(body)),))
            document = self.session.new_document(manifest.model, encode_dossier(dossier))
            row = replace(row, dossier=digest_of(document.body))
            objects = (*objects, item, document)
        changed = replace(head, rows=(*head.rows, row), next_version=head.next_version + 1, deleted=False)
        return Change(changed, AuditAction.PUBLISH, target=str(row.version), objects=objects)

    def _pin_parents(self, head: Head) -> tuple[Head, tuple[Immutable, ...]]:
        """Pin each parent: one of this model in this very commit, one of another model by a commit before it."""
        objects: tuple[Immutable, ...] = ()
        for parent in self.prepared.manifest.lineage.parents:
            if parent.model == head.model:
                row = _pinnable_row(self.session, head, parent)
                dossier = load_dossier(self.session, head, row)
                pinned = dossier.pinned_by(head.model, head.epoch)
                if pinned is not dossier:
                    head, more = replace_dossier(self.session, head, row, pinned)
                    objects = (*objects, *more)
            else:
                _pin_in_other_model(self.session, parent, head.model, head.epoch)
        return head, objects


def _find_same_files(session: Session, head: Head, manifest: Manifest, version: int) -> int | None:
    """Return the newest older version with the same files, among those in the head whose size is the same.

    Only what was read already is looked at: the placing of bytes reads the manifests of the newest versions.
    """
    files = {(artifact.path, artifact.sha256) for artifact in manifest.artifacts}
    for row in reversed(head.rows):
        if row.version >= version or row.size_bytes != manifest.size_bytes or row.state is State.DELETED:
            continue
        if session.documents.find(row.manifest) is None:
            continue
        older = load_manifest(session, head.model, row.manifest)
        if {(artifact.path, artifact.sha256) for artifact in older.artifacts} == files:
            return row.version
    return None


def _plan_places(session: Session, head: Head, prepared: PreparedVersion) -> dict[Digest, _Place]:
    """Return where each artifact lies: where one of the newest live versions has its bytes, or under the head's epoch.

    Those bytes are looked at: what somebody has deleted behind the registry's back is uploaded again, which heals the
    older version too. Raises `CorruptError` for a blob of another size.
    """
    wanted = {artifact.sha256: artifact.size_bytes for artifact in prepared.manifest.artifacts}
    found: dict[Digest, _Place] = {}
    for row, epochs in iter_reusable(session, head):
        for sha256, epoch in epochs.items():
            if sha256 in wanted:
                found.setdefault(sha256, _Place(epoch, row.version))
        if len(found) == len(wanted):
            break

    def is_there(sha256: Digest) -> bool:
        key = keys.blob(head.model, found[sha256].epoch, sha256)
        try:
            size_bytes = session.store.stat(key).size_bytes
        except ObjectNotFoundError:
            return False
        if size_bytes != wanted[sha256]:
            raise CorruptError(
                f"{key} has {size_bytes:,} bytes, not {wanted[sha256]:,}",
                advice="run `bucketry fsck`; delete the damaged object, then publish again",
            )
        return True

    there = session.map_in_parallel(is_there, found)
    known = {sha256: place for (sha256, place), kept in zip(found.items(), there, strict=True) if kept}
    here = _Place(head.epoch, None)
    places = {sha256: known.get(sha256, here) for sha256 in wanted}
    placement = encode_placement(places[artifact.sha256].epoch for artifact in prepared.manifest.artifacts)
    if len(placement) > MOST_RUNS or not has_room(replace(prepared.draft_row, placement=placement)):
        return dict.fromkeys(wanted, here)  # to say it has no room in the row
    return places


def _check_places(session: Session, head: Head, places: Mapping[Digest, _Place]) -> None:
    sources: dict[int, Mapping[Digest, int]] = {}
    for sha256, place in places.items():
        if place.named_by is None:
            if place.epoch != head.epoch:
                raise _StalePlacementError
            continue
        if place.named_by not in sources:
            row = find_row(session, head, place.named_by)
            live = row is not None and row.state in BLOBS_KEPT
            sources[place.named_by] = _epochs_of(session, head, row) if row is not None and live else {}
        if sources[place.named_by].get(sha256) != place.epoch:
            raise _StalePlacementError


def _epochs_of(session: Session, head: Head, row: Row) -> dict[Digest, int]:
    artifacts = load_manifest(session, head.model, row.manifest).artifacts
    epochs = decode_placement(row.placement, artifacts=len(artifacts), what=f"{head.model}:{row.version}")
    return {artifact.sha256: epoch for artifact, epoch in zip(artifacts, epochs, strict=True)}


def _pin_in_other_model(session: Session, parent: Parent, child: ModelName, epoch: int) -> None:
    def edit(old: Head | None) -> Change[Head]:
        head = existing_head(session, parent.model, old)
        row = _pinnable_row(session, head, parent)
        dossier = load_dossier(session, head, row)
        if dossier.is_pinned_by(child, epoch):
            raise AlreadyDoneError(head)
        changed, objects = replace_dossier(session, head, row, dossier.pinned_by(child, epoch))
        return Change(
            changed, AuditAction.ADD_DEPENDENT, target=str(row.version), detail={"epoch": epoch}, objects=objects
        )

    ensure_head(session, parent.model, edit)


def _pinnable_row(session: Session, base: Head, parent: Parent) -> Row:
    row = find_row(session, base, parent.version)
    if row is None or row.manifest != parent.manifest:
        raise NotFoundError(f"the base {parent.model}:{parent.version} is not in the registry")
    if row.state in {State.DELETING, State.DELETED}:
        raise RejectedError(f"the base {parent.model}:{parent.version} is {row.state}", advice="choose another base")
    return row


def _already_published(model: ModelName, row: Row) -> RegisteredVersion:
    return RegisteredVersion(model, row.version, row.manifest, row.size_bytes, 0, row.size_bytes, created=False)
