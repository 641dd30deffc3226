"""`registry.json`: which registry this is, and where its store has proven what it promises."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Document, Fields, decode, encode
from bucketry.schema.documents.audit import Trail, parse_time, read_trail
from bucketry.schema.documents.replica import Replica, read_replica

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Conformance:
    """What the probe found at one endpoint: passed, or which promises are broken, in words."""

    endpoint: str
    at: str
    passed: bool
    broken: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> Document:
        """Return the JSON form."""
        return dict(self.extra) | {
            "endpoint": self.endpoint,
            "at": self.at,
            "passed": self.passed,
            "broken": list(self.broken),
        }


@frozen
class RegistryDocument:
    """The registry's own register: its id, its settings, and the newest probe of each endpoint.

    `replica` says that this is a copy, which only a mirror writes.
    """

    registry: str
    created_at: str
    settings: Mapping[str, object] = field(default_factory=dict)
    conformance: tuple[Conformance, ...] = ()
    trail: Trail = field(default_factory=Trail)
    extra: Mapping[str, object] = field(default_factory=dict)
    replica: Replica | None = None

    def find_conformance(self, endpoint: str) -> Conformance | None:
        """Return the newest result for an endpoint."""
        return next((result for result in self.conformance if result.endpoint == endpoint), None)

    def with_conformance(self, result: Conformance) -> RegistryDocument:
        """Return the document with this result in place of the endpoint's older one."""
        others = tuple(old for old in self.conformance if old.endpoint != result.endpoint)
        return replace(self, conformance=(*others, result))


def encode_registry(document: RegistryDocument) -> bytes:
    """Return the document's bytes."""
    return encode(
        dict(document.extra)
        | document.trail.to_document()
        | {
            "format": FORMAT,
            "registry": document.registry,
            "created_at": document.created_at,
            "settings": dict(document.settings),
            "conformance": [result.to_document() for result in document.conformance],
        }
        | ({"replica": document.replica.to_document()} if document.replica else {})
    )


def decode_registry(body: bytes, *, what: str) -> RegistryDocument:
    """Return the document; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    return RegistryDocument(
        registry=fields.text("registry"),
        created_at=fields.parsed("created_at", parse_time),
        settings=fields.table("settings"),
        conformance=tuple(
            Conformance(
                endpoint=inner.text("endpoint"),
                at=inner.parsed("at", parse_time),
                passed=inner.flag("passed"),
                broken=tuple(str(text) for text in inner.items("broken")),
                extra=inner.rest(),
            )
            for inner in fields.inners("conformance")
        ),
        replica=read_replica(fields.inner("replica")) if fields.table("replica") else None,
        trail=read_trail(fields),
        extra=fields.rest(),
    )
