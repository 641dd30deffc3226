"""What a garbage collection leaves behind: which models it found clean, and in which state of theirs.

Each entry is a fact for ever, whoever reads it and when: by that state of the head, each of those blobs was needed. So
the next collection passes over a model of which both are as they were, without reading anything of it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Fields, decode, encode
from bucketry.schema.documents.audit import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CLEAN = 200_000
"""So many models fit into 8 MiB; those beyond are walked each time."""
HALF = 16
_ENTRY = re.compile(r"[0-9a-f]{32}")


@frozen
class CollectionDocument:
    """What one collection found: of each clean model a name for its head's state, and by it one for its blobs."""

    registry: str
    at: str
    clean: Mapping[str, str]


def name_head_state(model: str, etag: str) -> str:
    """Return 64 bits that stand for a model's head as it was in one state."""
    return hashlib.sha256(f"{model} {etag}".encode()).hexdigest()[:HALF]


def encode_collection(document: CollectionDocument) -> bytes:
    """Return the document's bytes."""
    return encode(
        {
            "format": FORMAT,
            "registry": document.registry,
            "at": document.at,
            "clean": [head + blobs for head, blobs in list(document.clean.items())[:MOST_CLEAN]],
        }
    )


def decode_collection(body: bytes, *, what: str) -> CollectionDocument:
    """Return the document; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    entries = fields.items("clean", most=MOST_CLEAN)
    if not all(isinstance(entry, str) and _ENTRY.fullmatch(entry) for entry in entries):
        raise CorruptError(f"{what}: clean is not a list of 32 hexadecimal digits each")
    return CollectionDocument(
        registry=fields.text("registry"),
        at=fields.parsed("at", parse_time),
        clean={entry[:HALF]: entry[HALF:] for entry in entries},
    )
