"""Asks the reader of a key whether it accepts some bytes there: each kind of document has its own decoder.

What was acknowledged must be readable, so every document passes here before it is written
(`registry/core/writing.py` is the only door): a value that its reader refuses would otherwise take a whole model away
from everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UnsupportedError, UsageError
from bucketry.schema import keys
from bucketry.schema.codec import Fields, decode, digest_of
from bucketry.schema.documents.alias import decode_alias
from bucketry.schema.documents.audit import decode_block
from bucketry.schema.documents.deployment import decode_deployment
from bucketry.schema.documents.dossier import decode_dossier
from bucketry.schema.documents.evidence import decode_evidence
from bucketry.schema.documents.head import decode_head
from bucketry.schema.documents.manifest import decode_manifest
from bucketry.schema.documents.pages import decode_directory, decode_page
from bucketry.schema.documents.policy import decode_policy
from bucketry.schema.documents.reviews import decode_review
from bucketry.schema.documents.settings import decode_registry
from bucketry.schema.names import parse_digest
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Callable


def check_document(key: str, body: bytes) -> None:
    """Raise `UsageError` unless whoever reads the key accepts exactly these bytes there."""
    kind, slash, _ = key.partition("/")
    read = _KEYS.get(f"{kind}/") if slash else _KEYS.get(key)
    if read is None:
        raise UsageError(f"{displayable(key)} is the key of no document")
    try:
        belongs_at = read(key, body)
    except (CorruptError, UnsupportedError, UsageError) as error:
        raise UsageError(
            f"{error.message}, so nobody could read it again; it was not written", advice=error.advice
        ) from error
    if belongs_at != key:
        raise UsageError(f"{displayable(key)} is not where this document belongs; it was not written")


def _of_registry(key: str, body: bytes) -> str:
    decode_registry(body, what=key)
    return keys.REGISTRY


def _of_head(key: str, body: bytes) -> str:
    return keys.head(decode_head(body, what=key).model)


def _of_alias(key: str, body: bytes) -> str:
    register = decode_alias(body, what=key)
    return keys.alias(register.model, register.alias)


def _of_manifest(key: str, body: bytes) -> str:
    return keys.manifest(decode_manifest(body, what=key).model, digest_of(body))


def _of_page(key: str, body: bytes) -> str:
    """Read one of the four documents that lie in `pages/`; the field that only it has tells which it is."""
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


def _of_history(key: str, body: bytes) -> str:
    first = decode_block(body, what=key)[0].generation
    return f"{key.rpartition('/')[0]}/{first}.json"


def _of_evidence(key: str, body: bytes) -> str:
    model, manifest = keys.model_of_key(key), parse_digest(key.split("/")[3])
    decode_evidence(body, manifest=manifest, what=key)
    return keys.evidence(model, manifest, digest_of(body))


def _of_review(key: str, body: bytes) -> str:
    decision = decode_review(body, what=key)
    return keys.review(decision.statement.model, decision.statement.manifest, decision.sha256)


def _of_policy(key: str, body: bytes) -> str:
    decode_policy(body, what=key)
    return keys.policy(digest_of(body))


def _of_deployment(key: str, body: bytes) -> str:
    return decode_deployment(body, key=key).key


_KEYS: dict[str, Callable[[str, bytes], str]] = {
    keys.REGISTRY: _of_registry,
    keys.HEADS: _of_head,
    keys.ALIASES: _of_alias,
    keys.MANIFESTS: _of_manifest,
    keys.PAGES: _of_page,
    keys.HISTORY: _of_history,
    keys.EVIDENCE: _of_evidence,
    keys.REVIEWS: _of_review,
    keys.POLICIES: _of_policy,
    keys.DEPLOYMENTS: _of_deployment,
}
"""Each reads a document as its readers do, and returns the key at which it belongs."""
