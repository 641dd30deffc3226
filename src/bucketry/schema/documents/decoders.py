"""Asks the reader of a key whether it accepts some bytes there: each kind of document has its own decoder.

What was acknowledged must be readable, so every document passes here before it is written
(`registry/core/writing.py` is the only door): a value that its reader refuses would otherwise take a whole model away
from everybody.
"""

from __future__ import annotations

from bucketry.errors import CorruptError, UnsupportedError, UsageError
from bucketry.schema import keys
from bucketry.schema.codec import Fields, decode, digest_of
from bucketry.schema.documents.alias import decode_alias
from bucketry.schema.documents.audit import decode_block
from bucketry.schema.documents.collection import decode_collection
from bucketry.schema.documents.deployment import decode_deployment
from bucketry.schema.documents.dossier import decode_dossier
from bucketry.schema.documents.evidence import decode_evidence
from bucketry.schema.documents.head import decode_head
from bucketry.schema.documents.manifest import decode_manifest
from bucketry.schema.documents.pages import decode_directory, decode_page
from bucketry.schema.documents.policy import decode_policy
from bucketry.schema.documents.ready import decode_ready
from bucketry.schema.documents.replica import decode_seen
from bucketry.schema.documents.reviews import decode_review
from bucketry.schema.documents.settings import decode_registry
from bucketry.schema.documents.work import check_work_document
from bucketry.schema.names import parse_digest
from bucketry.schema.text import displayable


def check_document(key: str, body: bytes) -> None:
    """Raise `UsageError` unless whoever reads the key accepts exactly these bytes there."""
    try:
        belongs_at = _place_of(key, body)
    except (CorruptError, UnsupportedError, UsageError) as error:
        raise UsageError(
            f"{error.message}, so nobody could read it again; it was not written", advice=error.advice
        ) from error
    if belongs_at is None:
        raise UsageError(f"{displayable(key)} is the key of no document")
    if belongs_at != key:
        raise UsageError(f"{displayable(key)} is not where this document belongs; it was not written")


def _place_of(key: str, body: bytes) -> str | None:  # noqa: C901, PLR0911, PLR0912 - one for each kind of document
    """Read a document as the readers of its key do, and return the key at which it belongs; None if nobody reads it."""
    kind, slash, _ = key.partition("/")
    match kind + slash:
        case keys.REGISTRY:
            decode_registry(body, what=key)
            return keys.REGISTRY
        case keys.HEADS:
            return keys.head(decode_head(body, what=key).model)
        case keys.ALIASES:
            register = decode_alias(body, what=key)
            return keys.alias(register.model, register.alias)
        case keys.MANIFESTS:
            return keys.manifest(decode_manifest(body, what=key).model, digest_of(body))
        case keys.PAGES:  # four kinds of document lie there; the field that only it has tells which it is
            document = decode(body, what=key)
            if "rows" in document:
                decode_page(body, what=key)
            elif "pages" in document:
                decode_directory(body, what=key)
            elif "manifest" in document:
                decode_dossier(body, what=key)
            else:
                Fields(document, what=key).text("text")
            return keys.page(keys.model_of_key(key), digest_of(body))
        case keys.HISTORY:
            return f"{key.rpartition('/')[0]}/{decode_block(body, what=key)[0].generation}.json"
        case keys.EVIDENCE:
            model, manifest = keys.model_of_key(key), parse_digest(key.split("/")[3])
            decode_evidence(body, manifest=manifest, what=key)
            return keys.evidence(model, manifest, digest_of(body))
        case keys.REVIEWS:
            decision = decode_review(body, what=key)
            return keys.review(decision.statement.model, decision.statement.manifest, decision.sha256)
        case keys.POLICIES:
            decode_policy(body, what=key)
            return keys.policy(digest_of(body))
        case keys.DEPLOYMENTS:
            return decode_deployment(body, key=key).key
        case keys.SERVE:
            return decode_ready(body, what=key).key
        case keys.WORK:
            if (place := keys.find_work_place(key)) is not None:
                return check_work_document(place, body, what=key)
            decode_collection(body, what=key)
            return keys.collection(digest_of(body))
        case keys.REPLICA:
            decode_seen(body, what=key)
            return keys.seen_by_mirror(keys.number_of_seen(key) or 0)
        case _:
            return None
