"""The dossier of a version: all that was added to it since it was published.

It is immutable and named by its digest, which the version's row cites: which evidence, reviews and dependents count
is thus decided by the commit of the head, and rows do not grow.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Document, Fields, decode, encode
from bucketry.schema.names import Digest, ModelName, parse_model_name

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Citation:
    """An immutable object that the dossier names: its key and the SHA-256 of its bytes."""

    key: str
    sha256: Digest

    def to_document(self) -> Document:
        """Return the JSON form."""
        return {"key": self.key, "sha256": self.sha256}


@frozen
class Pin:
    """A model that has, or is about to have, a version made from this one; at which epoch of its head."""

    model: ModelName
    epoch: int

    def to_document(self) -> Document:
        """Return the JSON form."""
        return {"model": str(self.model), "epoch": self.epoch}


@frozen
class Dossier:
    """Evidence, reviews, dependents and notes of one version."""

    manifest: Digest
    evidence: tuple[Citation, ...] = ()
    reviews: tuple[Citation, ...] = ()
    dependents: tuple[Pin, ...] = ()
    notes: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)

    def is_pinned_by(self, model: ModelName, epoch: int) -> bool:
        """Return whether the pin of a child model holds at this epoch of its head."""
        return any(pin.model == model and pin.epoch >= epoch for pin in self.dependents)

    def pinned_by(self, model: ModelName, epoch: int) -> Dossier:
        """Return the dossier with the child model's pin at this epoch, or at the later one it already has."""
        if self.is_pinned_by(model, epoch):
            return self
        others = tuple(pin for pin in self.dependents if pin.model != model)
        return replace(self, dependents=(*others, Pin(model, epoch)))


def encode_dossier(dossier: Dossier) -> bytes:
    """Return the dossier's bytes."""
    return encode(
        dict(dossier.extra)
        | {
            "format": FORMAT,
            "manifest": dossier.manifest,
            "evidence": [cited.to_document() for cited in dossier.evidence],
            "reviews": [cited.to_document() for cited in dossier.reviews],
            "dependents": [pin.to_document() for pin in dossier.dependents],
            "notes": dossier.notes,
        }
    )


def decode_dossier(body: bytes, *, what: str) -> Dossier:
    """Return the dossier; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    return Dossier(
        manifest=fields.digest("manifest"),
        evidence=tuple(_read_cited(inner) for inner in fields.inners("evidence")),
        reviews=tuple(_read_cited(inner) for inner in fields.inners("reviews")),
        dependents=tuple(
            Pin(inner.parsed("model", parse_model_name), inner.integer("epoch", least=1))
            for inner in fields.inners("dependents")
        ),
        notes=fields.text("notes", default=""),
        extra=fields.rest(),
    )


def _read_cited(fields: Fields) -> Citation:
    return Citation(fields.text("key"), fields.digest("sha256"))
