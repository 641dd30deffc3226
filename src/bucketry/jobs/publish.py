"""Orders a publish from a worker, and does it in a process that has only the order and its draft.

Whoever orders it reads and checks everything but the bytes of the files, the commit and the environment included. The
worker hashes, sends and registers, under an idempotency key: however often it is begun, one version comes of it.

The draft is written down so that it is the same publish however much later its bytes are sent: all of its manifest but
the artifacts, and which files are meant. A file whose size, time or number on its disk is not that of the day it was
ordered on is another file. Nothing in a draft is secret that the manifest would not publish.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.jobs.orders import PublishOrder, PublishResult
from bucketry.jobs.settings import absolute_path, check_registry, digest_settings, registry_text
from bucketry.registry.core.opening import open_session
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.publishing.publish import PreparedPublish, prepare_publish, publish_prepared
from bucketry.registry.publishing.registration import find_published
from bucketry.registry.review.reviewing import ask_for_review
from bucketry.schema.codec import FORMAT, Fields, decode, digest_of, encode
from bucketry.schema.documents.manifest import MOST_ARTIFACTS, decode_manifest
from bucketry.schema.paths import parse_artifact_path
from bucketry.schema.text import displayable
from bucketry.transfer.disk.hashing import changed_while_published
from bucketry.transfer.disk.local_files import disk_errors
from bucketry.transfer.pace.progress import with_hashing
from bucketry.transfer.plan import TransferOptions
from bucketry.transfer.up.outgoing import SourceFile

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from bucketry.registry.core.session import Session
    from bucketry.registry.publishing.publish import PublishRequest
    from bucketry.transfer.pace.controls import Controls
    from bucketry.transfer.pace.progress import Progress, ProgressListener

MOST_SOURCES_TOLD = 8


def order_publish(
    session: Session,
    where: str | None,
    request: PublishRequest,
    options: TransferOptions | None = None,
    *,
    request_review: bool = False,
) -> tuple[PublishOrder, bytes]:
    """Return the order of a publish and its draft; raise for all that is wrong with it and can be known now."""
    if request.sign is not None:
        raise UsageError(
            "the transfer worker has no key to sign with", advice="sign it, or detach it: leave out --sign or --detach"
        )
    token = secrets.token_hex(16)
    key = f"transfer-{token}" if request.idempotency_key is None else request.idempotency_key
    sources = tuple(absolute_path(source) for source in request.sources)
    card = None if request.card is None else absolute_path(request.card)
    request = replace(request, sources=sources, card=card, idempotency_key=key)
    prepared = prepare_publish(session, request)
    body = encode_draft(prepared, token)
    decode_draft(body, what="the draft of the version")  # what the worker could not read is refused here
    order = PublishOrder(
        token=token,
        registry=registry_text(where),
        registry_id=session.registry.registry,
        model=request.model,
        actor=session.actor,
        draft=digest_of(body),
        key=digest_of(key.encode()),
        sources=tuple(displayable(str(source)) for source in sources[:MOST_SOURCES_TOLD]),
        size_bytes=sum(file.size_bytes for file in prepared.files),
        files=len(prepared.files),
        chunks=prepared.chunks,
        settings=digest_settings(os.environ),
        options=options or TransferOptions(),
        request_review=request_review,
    )
    return order, body


def do_publish(
    order: PublishOrder, draft: bytes, controls: Controls, stop: threading.Event, on_progress: ProgressListener
) -> PublishResult:
    """Publish what was ordered, unless that was done before; raises as `publish` does.

    Raises `RejectedError` where another registry is found there now, and for a file that changed since.
    """
    known = decode_draft(draft, what=f"the draft {order.draft[:12]}")
    session = open_session(order.registry, identity=order.actor)
    began_seconds = time.monotonic()
    with closing(session.store):
        check_registry(order, session)
        session.check_writable()
        done = find_published(session, order.model, known.prepared.idempotency_key)
        if done is not None:  # perhaps by a worker that died before it could say so
            made = load_manifest(session, order.model, done.manifest)
            done = replace(done, created=made.created_at == known.prepared.draft.created_at)
        else:
            known.check_unchanged()
            watched = _PublishProgress(on_progress)
            done = publish_prepared(
                session,
                known.prepared,
                replace(order.options, stop=stop, controls=controls, on_hash=watched.hashed, on_transfer=watched.sent),
                created_at=known.prepared.draft.created_at,  # else each worker that goes on would make another manifest
                check_files=known.check_unchanged,
            )
        if order.request_review:
            ask_for_review(session, order.model, done.version)
    return PublishResult(
        version=done.version,
        manifest=done.manifest,
        size_bytes=done.size_bytes,
        uploaded_bytes=done.uploaded_bytes,
        reused_bytes=done.reused_bytes,
        created=done.created,
        same_files_as=done.same_files_as,
        seconds=time.monotonic() - began_seconds,
    )


class _PublishProgress:
    """Tells in one how far the hashing and the sending are."""

    def __init__(self, on_progress: ProgressListener) -> None:
        self._on_progress = on_progress
        self._hashed: Progress | None = None
        self._sent: Progress | None = None

    def hashed(self, progress: Progress) -> None:
        self._hashed = progress
        self._tell()

    def sent(self, progress: Progress) -> None:
        self._sent = progress
        self._tell()

    def _tell(self) -> None:
        if self._sent is not None:
            self._on_progress(self._sent if self._hashed is None else with_hashing(self._sent, self._hashed))


@frozen
class Draft:
    """A publish whose bytes are not sent yet. `marks` has for each path in the version what tells its file."""

    prepared: PreparedPublish
    marks: Mapping[str, str]

    def check_unchanged(self) -> None:
        """Raise `RejectedError` for a file that is not the one that was meant."""
        for file in self.prepared.files:
            if _mark(file) != self.marks[file.label]:
                raise changed_while_published(file.path)


def encode_draft(prepared: PreparedPublish, token: str) -> bytes:
    """Return what is written down of a publish, with its files as they are now; no two tokens give the same bytes.

    Raises `RejectedError` for what is too large.
    """
    return encode(
        {
            "format": FORMAT,
            "token": token,
            "manifest": encode(prepared.draft.to_document()).decode(),  # as a text: it may be nested as deep as allowed
            "idempotency_key": prepared.idempotency_key,
            "files": [
                {
                    "path": str(file.path),
                    "label": file.label,
                    "size_bytes": file.size_bytes,
                    "mark": _mark(file),
                }
                for file in prepared.files
            ],
        }
    )


def decode_draft(body: bytes, *, what: str) -> Draft:
    """Return what was written down; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    manifest = decode_manifest(fields.text("manifest", longest=len(body)).encode(), what=what)
    files, marks = [], {}
    for inner in fields.consumed_inners("files", most=MOST_ARTIFACTS):
        path, label = Path(inner.text("path")), inner.parsed("label", parse_artifact_path)
        if not path.is_absolute():
            raise CorruptError(f"{what}: a file's path is not absolute")
        files.append(SourceFile(path, label, inner.integer("size_bytes")))
        marks[label] = inner.text("mark", longest=100)
    return Draft(PreparedPublish(manifest, tuple(files), fields.optional_text("idempotency_key")), marks)


def _mark(file: SourceFile) -> str:
    with disk_errors(str(file.path)):
        try:
            status = file.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return "missing"
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
