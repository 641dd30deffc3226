"""Keeps a reason that is longer than an audit record has room for in a document that the record names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema import keys
from bucketry.schema.codec import FORMAT, Fields, decode, digest_of, encode
from bucketry.schema.names import parse_digest

if TYPE_CHECKING:
    from bucketry.registry.core.immutable import Immutable
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.audit import Record
    from bucketry.schema.names import ModelName

LONGEST_INLINE_BYTES = 60
LONGEST_REASON_CHARACTERS = 8_192


def plain_reason(reason: object) -> str:
    """Return a reason that has room; raise `UsageError`. For what commits anything before the reason is recorded."""
    from bucketry.schema.arguments import plain_text  # noqa: PLC0415 - a reader needs none

    return plain_text(reason, "reason", longest=LONGEST_REASON_CHARACTERS)


def reason_detail(session: Session, model: ModelName, reason: str) -> tuple[dict[str, object], tuple[Immutable, ...]]:
    """Return what a record's detail says of a reason, and the document that a long one needs."""
    reason = plain_reason(reason)
    if not reason:
        return {}, ()
    if len(encode({"reason": reason})) <= LONGEST_INLINE_BYTES:
        return {"reason": reason}, ()
    document = session.new_document(model, encode({"format": FORMAT, "text": reason}))
    return {"note": digest_of(document.body)}, (document,)


def load_reason(session: Session, model: ModelName, record: Record) -> str:
    """Return the reason that a record gives, wherever it lies; empty if it gives none."""
    fields = Fields(dict(record.detail), what=f"audit record {record.generation} of {model}")
    if "note" not in record.detail:
        return fields.text("reason", default="")
    digest = fields.parsed("note", parse_digest)
    what = keys.page(model, digest)
    return Fields(decode(session.load_document(model, digest), what=what), what=what).text("text")
