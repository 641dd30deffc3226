"""Makes a version of local files."""

from __future__ import annotations

from dataclasses import field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_head
from bucketry.registry.core.resolve import resolve
from bucketry.registry.publishing.blobs import BlobUpload, end_abandoned_uploads
from bucketry.registry.publishing.capture import (
    capture_code,
    capture_command,
    capture_environment,
    without_credentials,
    without_credentials_inside,
)
from bucketry.registry.publishing.capture_runs import capture_run
from bucketry.registry.publishing.collect import Collection, collect_files, media_type
from bucketry.registry.publishing.inner_links import check_inner_links
from bucketry.registry.publishing.registration import (
    PreparedVersion,
    RegisteredVersion,
    draft_row,
    find_published,
    register_version,
)
from bucketry.registry.publishing.secret_files import refuse_secrets
from bucketry.registry.publishing.selection import FileSelection
from bucketry.registry.review.policies import load_policy
from bucketry.registry.review.signing import checked
from bucketry.schema.arguments import (
    check_labels_size,
    plain_evidence,
    plain_labels,
    plain_lineage,
    plain_text,
    plain_training,
)
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.cards import LARGEST_PUBLISHED_CARD_BYTES
from bucketry.schema.documents.evidence import Evidence, headline_values
from bucketry.schema.documents.head import LARGEST_ROW_LABELS_BYTES, Head, check_row
from bucketry.schema.documents.manifest import (
    RELATIONS,
    Artifact,
    Chunks,
    Lineage,
    Manifest,
    Parent,
    Training,
    check_limits,
    decode_manifest,
    encode_manifest,
)
from bucketry.schema.documents.reviews import Action, Statement
from bucketry.schema.documents.states import State
from bucketry.schema.names import Digest
from bucketry.schema.text import displayable
from bucketry.transfer.disk.hashing import choose_chunk_size
from bucketry.transfer.plan import TransferOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.registry.review.signing import Sign
    from bucketry.schema.documents.reviews import Review
    from bucketry.schema.names import ModelName, Reference
    from bucketry.transfer.up.outgoing import SourceFile

LONGEST_IDEMPOTENCY_KEY = 1_024
UNFIT_AS_BASE = frozenset({State.RETIRED, State.REJECTED, State.DELETING})
"""No new use of these, and a version made from one is a use."""


@frozen
class PublishRequest:
    """What shall be published. `training` and `lineage` are completed with what can be captured, unless they say it.

    `selection` chooses among the files of folders. `trained_here`: the process that publishes is the one that trained,
    so that its command is the training's. `on_prepared` is told what will be published, before anything is uploaded.
    `sign` signs that this manifest was published by the session's actor. With `request_review` the reviewers are asked,
    unless they were before.
    """

    model: ModelName
    sources: Sequence[Path]
    evidence: Sequence[Evidence] = ()
    training: Training = field(default_factory=Training)
    lineage: Lineage = field(default_factory=Lineage)
    base: Reference | None = None
    relation: str | None = None
    card: Path | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""
    idempotency_key: str | None = None
    sign: Sign | None = None
    selection: FileSelection = field(default_factory=FileSelection)
    trained_here: bool = True
    request_review: bool = False
    on_prepared: Callable[[PreparedPublish], None] = lambda _: None


@frozen
class PreparedPublish:
    """All that a publish reads, but for the bytes of its files: `draft` is the manifest without its artifacts.

    `files_left_out` are the files and folders that are not published though they were in a folder that was named;
    `not_known` says what could not be found out about how the version was made.
    """

    draft: Manifest
    files: tuple[SourceFile, ...]
    idempotency_key: str | None
    files_left_out: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()

    @property
    def chunk_bytes(self) -> int:
        """How long each chunk of its files is but the last."""
        return choose_chunk_size([file.size_bytes for file in self.files])

    @property
    def chunks(self) -> int:
        """How many chunks its files have."""
        chunk_bytes = self.chunk_bytes
        return sum(-(-file.size_bytes // chunk_bytes) for file in self.files)


def publish(session: Session, request: PublishRequest, options: TransferOptions | None = None) -> RegisteredVersion:
    """Upload what the registry does not have, and register a version.

    Running it again with the same idempotency key returns the version that is there. Limits and rules that can be
    known are checked before anything is uploaded.
    """
    options = options or TransferOptions()
    request = _plain_request(request)
    session.check_writable()
    published = find_published(session, request.model, request.idempotency_key)
    if published is None:
        published = publish_prepared(session, _prepare(session, request), options, sign=request.sign)
    if request.request_review:
        from bucketry.registry.review.reviewing import ask_for_review  # noqa: PLC0415 - few publishes ask

        ask_for_review(session, published.model, published.version)
    return published


def prepare_publish(session: Session, request: PublishRequest) -> PreparedPublish:
    """Read and check all that a publish reads but the bytes of its files, for `publish_prepared`."""
    request = _plain_request(request)
    session.check_writable()
    return _prepare(session, request)


def needs_signature(session: Session, model: ModelName) -> bool:
    """Tell whether nobody can approve a version of a model whose publish was not signed."""
    head = load_head(session, model).state or Head(session.registry.registry, model)
    return load_policy(session, head).needs_signed_publish


def publish_prepared(
    session: Session,
    prepared: PreparedPublish,
    options: TransferOptions,
    *,
    sign: Sign | None = None,
    created_at: str | None = None,
    check_files: Callable[[], None] = lambda: None,
) -> RegisteredVersion:
    """Upload what the registry does not have, and register the version; `created_at` is now, unless it is given.

    `check_files` raises where they are not those that were meant; it is asked once they have been read.
    """
    draft, model = prepared.draft, prepared.draft.model
    blobs = BlobUpload(session, model, options)
    digests = blobs.hash_and_send(prepared.files, prepared.chunk_bytes)
    check_files()
    artifacts = tuple(
        Artifact(
            path=file.label,
            size_bytes=digest.size_bytes,
            sha256=Digest(digest.sha256),
            media_type=media_type(file.label),
            chunks=Chunks(digest.chunks.size_bytes, digest.chunks.sha256, digest.chunks.xxh3_128),
        )
        for file, digest in zip(prepared.files, digests, strict=True)
    )
    manifest = replace(draft, created_at=created_at or session.clock.timestamp(), artifacts=artifacts)
    version = PreparedVersion(
        manifest=manifest,
        headline=headline_values(draft.evidence_at_publish),
        row_labels=draft.labels,
        idempotency_key=prepared.idempotency_key,
        signature=_signature(session, sign, manifest),
    )
    registered = register_version(session, version, blobs, base=blobs.fresh_head())
    if any(len(digest.chunks.sha256) > 1 for digest in digests):  # a model of small files has no uploads in parts
        end_abandoned_uploads(session, model)
    return replace(registered, files_left_out=prepared.files_left_out, not_known=prepared.not_known)


def _prepare(session: Session, request: PublishRequest) -> PreparedPublish:
    parents = request.lineage.parents
    if request.base is not None and request.relation is not None:
        base = resolve(session, request.base)
        if base.state in UNFIT_AS_BASE:
            raise RejectedError(f"the base {base.model}:{base.version} is {base.state}", advice="choose another base")
        parents = (Parent(base.model, base.version, base.digest, request.relation), *parents)
    collection = collect_files(request.sources, card=request.card, selection=request.selection)
    card = next((file for file in collection.files if file.label == collection.card), None)
    if card is not None and card.size_bytes > LARGEST_PUBLISHED_CARD_BYTES:
        raise UsageError(
            f"the model card {displayable(card.label)} has {card.size_bytes:,} bytes; "
            f"the limit is {LARGEST_PUBLISHED_CARD_BYTES:,}",
            advice="shorten it, or give the file another name and name the card with --card",
        )
    check_inner_links(collection.files)
    draft, notes = _draft(session, request, collection, parents)
    prepared = PreparedPublish(draft, collection.files, request.idempotency_key, collection.left_out, notes)
    check_limits([file.size_bytes for file in collection.files], chunks=prepared.chunks)
    _check_draft(prepared)
    request.on_prepared(prepared)
    return prepared


def _check_draft(prepared: PreparedPublish) -> None:
    """Raise `UsageError` where the manifest, with stubs for its files, would not be read as it is written.

    So nothing is uploaded for a version that nobody could read: the stubs have the sizes of what they stand for.
    """
    chunk_bytes = prepared.chunk_bytes
    idempotency = "0" * 32 if prepared.idempotency_key else None
    stubs: list[Artifact] = []
    for file in prepared.files:
        chunks = -(-file.size_bytes // chunk_bytes)
        digests = Chunks(chunk_bytes, ("0" * 64,) * chunks, ("0" * 32,) * chunks)
        stubs.append(Artifact(file.label, file.size_bytes, Digest("0" * 64), media_type(file.label), digests))
    draft = replace(prepared.draft, artifacts=tuple(stubs))
    try:
        read = decode_manifest(encode_manifest(draft), what="the version")
        check_row(draft_row(draft, labels=draft.labels, idempotency=idempotency))
    except (CorruptError, RejectedError) as error:
        raise UsageError(error.message, advice=error.advice) from error
    for one in fields(draft):
        if getattr(read, one.name) != getattr(draft, one.name):
            raise UsageError(f"{one.name} cannot be recorded: it would not be read as it was given")


def _signature(session: Session, sign: Sign | None, manifest: Manifest) -> Review | None:
    """Return the publisher's signature over the manifest, if it is to be signed."""
    if sign is None:
        return None
    statement = Statement(
        registry=session.registry.registry,
        model=manifest.model,
        manifest=digest_of(encode_manifest(manifest)),
        action=Action.PUBLISH,
        principal=session.actor,
        sequence=0,
        created=session.clock.timestamp(),
    )
    return checked(sign(statement))


def _plain_request(request: PublishRequest) -> PublishRequest:
    """Return the request in plain values; raise `UsageError` naming what cannot be recorded."""
    if (request.base is None) != (request.relation is None):
        raise UsageError("a base and its relation go together", advice=f"relation is one of {', '.join(RELATIONS)}")
    if request.relation is not None and request.relation not in RELATIONS:
        raise UsageError(f"{request.relation!a} is not a relation", advice=f"use one of {', '.join(RELATIONS)}")
    if request.idempotency_key is not None and not plain_text(
        request.idempotency_key, "idempotency_key", longest=LONGEST_IDEMPOTENCY_KEY
    ):
        raise UsageError(f"an idempotency key has 1 to {LONGEST_IDEMPOTENCY_KEY:,} characters")
    labels = plain_labels(request.labels)
    check_labels_size(labels, largest_bytes=LARGEST_ROW_LABELS_BYTES)
    return replace(
        request,
        evidence=plain_evidence(request.evidence),
        training=plain_training(request.training),
        lineage=plain_lineage(request.lineage),
        labels=labels,
        notes=plain_text(request.notes, "notes"),
    )


def _draft(
    session: Session, request: PublishRequest, collection: Collection, parents: tuple[Parent, ...]
) -> tuple[Manifest, tuple[str, ...]]:
    """Return the manifest but for its artifacts, and what could not be found out.

    A manifest is never changed again, so that no user and password of a URL may come into it; what has the form of a
    key or token is refused.
    """
    training = request.training
    lineage, notes = _lineage(request, parents)
    command = without_credentials(training.command) if training.command else None
    draft = Manifest(
        model=request.model,
        created_at=session.clock.timestamp(),
        created_by=session.actor,
        artifacts=(),
        training=replace(
            training,
            hyperparameters=without_credentials_inside(training.hyperparameters),
            datasets=tuple(without_credentials_inside(dataset) for dataset in training.datasets),
            command=capture_command() if command is None and request.trained_here else command,
            environment=without_credentials_inside(training.environment),
            published_from=training.published_from or capture_environment(),
        ),
        lineage=lineage,
        evidence_at_publish=tuple(request.evidence),
        card=collection.card,
        labels=request.labels,
        notes=request.notes,
    )
    refuse_secrets(draft.notes, "notes")
    refuse_secrets(draft.labels, "labels")
    refuse_secrets(replace(draft.training, published_from={}).to_document(), "training")
    refuse_secrets(lineage.to_document(), "lineage")
    return draft, notes


def _lineage(request: PublishRequest, parents: tuple[Parent, ...]) -> tuple[Lineage, tuple[str, ...]]:
    """Return where the version comes from, as stated, and as captured where nothing is; and what is not known."""
    stated = request.lineage
    notes: tuple[str, ...] = ()
    code: Mapping[str, object] = without_credentials_inside(stated.code)
    if not code:
        code, notes = capture_code(Path())
    pipeline, run = without_credentials_inside(stated.pipeline), stated.run
    captured = capture_run() if not pipeline else None
    if captured is not None:
        pipeline, run = without_credentials_inside(captured.pipeline), run or captured.run
    return replace(stated, code=code, pipeline=pipeline, run=run, parents=parents), notes
