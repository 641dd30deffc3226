"""One decision about a version: the statement and its signature.

A decision is a statement (in-toto Statement v1, about the manifest's SHA-256) and, where somebody signed it, an SSHSIG
over the statement's bytes. The bytes are kept as they were signed: nothing here writes a statement a second time.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Document, Fields, decode, decode_foreign, digest_of, encode, without_empty
from bucketry.schema.documents.audit import AuditAction, parse_time
from bucketry.schema.names import AliasName, Digest, ModelName, parse_alias, parse_model_name
from bucketry.schema.text import fault_in_line

if TYPE_CHECKING:
    from collections.abc import Mapping

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:bucketry:review:v1"
REVIEW_NAMESPACE = "review@bucketry"
PUBLISH_NAMESPACE = "publish@bucketry"
LONGEST_PRINCIPAL = 256
LONGEST_COMMENT_CHARACTERS = 8_192
LARGEST_STATEMENT_BYTES = 256 * 1024
LONGEST_SIGNATURE_CHARACTERS = 16_384
MOST_EVIDENCE_SHOWN = 1_000
"""As many evaluations as a version may be given."""
MOST_GATES_SHOWN = 64


class Action(StrEnum):
    """What a decision does. `publish` is the author's own signature, not a review."""

    PUBLISH = "publish"
    REQUEST = "request"
    COMMENT = "comment"
    APPROVE = "approve"
    REJECT = "reject"
    REVOKE = "revoke"

    @property
    def audited(self) -> AuditAction:
        """The word for it in the audit record of the commit that cites the decision."""
        return AuditAction.REQUEST_REVIEW if self is Action.REQUEST else AuditAction(self.value)


REFUSALS = frozenset({Action.REJECT, Action.REVOKE})
"""These always win, whoever approved before or after."""


@frozen
class Statement:
    """What somebody says about one manifest.

    `version` is None in a publish statement, which is signed before the version has its number. `sequence` orders the
    decisions of one version. `evidence` and `gates` are what the person was shown: the SHA-256 of each evaluation that
    was added after the publish, and each gate's result; `diff` is the SHA-256 of the comparison they saw.
    """

    registry: str
    model: ModelName
    manifest: Digest
    action: Action
    principal: str
    sequence: int
    created: str
    version: int | None = None
    alias: AliasName | None = None
    expires: str | None = None
    evidence: tuple[Digest, ...] = ()
    gates: tuple[Mapping[str, object], ...] = ()
    diff: Digest | None = None
    comment: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The SSHSIG namespace that a signature over this statement has."""
        return PUBLISH_NAMESPACE if self.action is Action.PUBLISH else REVIEW_NAMESPACE


@frozen
class Review:
    """One decision as it lies in the bucket: the statement's exact bytes, and the armored SSHSIG or None."""

    payload: bytes
    sshsig: str | None = None

    def to_document(self) -> Document:
        """Return the JSON form, which an alias's register carries too."""
        return {"payload": base64.b64encode(self.payload).decode("ascii"), "sshsig": self.sshsig}


@frozen
class Decision:
    """A review, parsed: what its statement says, whether anything is signed, and the SHA-256 of its object."""

    statement: Statement
    review: Review
    sha256: Digest

    @property
    def is_signed(self) -> bool:
        """Whether a signature lies beside the statement; who made it is another question."""
        return self.review.sshsig is not None


def encode_statement(statement: Statement) -> bytes:
    """Return the bytes to sign; raise `UsageError` for texts that are too long."""
    parse_principal(statement.principal)
    if len(statement.comment) > LONGEST_COMMENT_CHARACTERS:
        raise UsageError(f"the comment is longer than {LONGEST_COMMENT_CHARACTERS:,} characters")
    predicate = (
        dict(statement.extra)
        | {
            "registry": statement.registry,
            "model": str(statement.model),
            "action": statement.action,
            "principal": statement.principal,
            "sequence": statement.sequence,
            "created": statement.created,
        }
        | without_empty(
            {
                "version": statement.version,
                "alias": statement.alias,
                "expires": statement.expires,
                "evidence": list(statement.evidence),
                "gates": [dict(gate) for gate in statement.gates],
                "diff": statement.diff,
                "comment": statement.comment,
            }
        )
    )
    subject = {"name": str(statement.model), "digest": {"sha256": statement.manifest}}
    body = encode(
        {"_type": STATEMENT_TYPE, "subject": [subject], "predicateType": PREDICATE_TYPE, "predicate": predicate}
    )
    if len(body) > LARGEST_STATEMENT_BYTES:
        raise UsageError(f"a decision of {len(body):,} bytes is over the limit of {LARGEST_STATEMENT_BYTES:,}")
    return body


def decode_statement(body: bytes, *, what: str) -> Statement:
    """Return the statement; raise `CorruptError` for anything that is not exactly one about exactly one manifest."""
    if len(body) > LARGEST_STATEMENT_BYTES:
        raise CorruptError(f"{what}: a statement of {len(body):,} bytes is over the limit")
    fields = Fields(decode_foreign(body, what=what), what=what)
    if fields.text("_type") != STATEMENT_TYPE or fields.text("predicateType") != PREDICATE_TYPE:
        raise CorruptError(f"{what} is not a statement about a version")
    subjects = fields.inners("subject", most=1)
    if len(subjects) != 1:
        raise CorruptError(f"{what} has no subject")
    predicate = fields.inner("predicate")
    return Statement(
        manifest=subjects[0].inner("digest").digest("sha256"),
        registry=predicate.text("registry"),
        model=predicate.parsed("model", parse_model_name),
        action=predicate.parsed("action", parse_action),
        principal=predicate.parsed("principal", parse_principal),
        sequence=predicate.integer("sequence"),
        created=predicate.parsed("created", parse_time),
        version=predicate.optional_integer("version", least=1),
        alias=predicate.parsed("alias", parse_alias) if predicate.optional_text("alias") is not None else None,
        expires=predicate.parsed("expires", parse_time) if predicate.optional_text("expires") is not None else None,
        evidence=tuple(
            Fields({"evidence": digest}, what=predicate.what).digest("evidence")
            for digest in predicate.items("evidence", most=MOST_EVIDENCE_SHOWN)
        ),
        gates=tuple(Fields(gate, what=what).rest() for gate in predicate.items("gates", most=MOST_GATES_SHOWN)),
        diff=predicate.optional_digest("diff"),
        comment=predicate.text("comment", default=""),
        extra=predicate.rest(),
    )


def encode_review(review: Review) -> bytes:
    """Return the bytes of a decision's object."""
    return encode({"format": FORMAT} | review.to_document())


def decode_review(body: bytes, *, what: str) -> Decision:
    """Return the decision in an object's bytes; raise `CorruptError`. No signature is verified here."""
    review = read_review(Fields(decode(body, what=what), what=what))
    return Decision(decode_statement(review.payload, what=what), review, digest_of(body))


def read_review(fields: Fields) -> Review:
    """Return the review in a document, such as one of those that an alias carries; raise `CorruptError`."""
    text = fields.text("payload", longest=2 * LARGEST_STATEMENT_BYTES)
    try:
        payload = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CorruptError(f"{fields.what}: payload is not base64") from error
    sshsig = fields.optional_text("sshsig")
    if sshsig is not None and len(sshsig) > LONGEST_SIGNATURE_CHARACTERS:
        raise CorruptError(f"{fields.what}: the signature is too long")
    return Review(payload, sshsig)


def decision_of(review: Review, *, what: str) -> Decision:
    """Return a review that an alias carries as a decision; raise `CorruptError`."""
    return Decision(decode_statement(review.payload, what=what), review, digest_of(encode_review(review)))


def parse_action(text: str) -> Action:
    """Return the action; raise `UsageError`."""
    try:
        return Action(text)
    except ValueError as error:
        raise UsageError(f"{text!a} is not an action", advice=f"use one of {', '.join(Action)}") from error


def parse_principal(text: str) -> str:
    """Return a principal's name: printable, without blanks at its ends; raise `UsageError`."""
    if (
        not text
        or not isinstance(text, str)
        or len(text) > LONGEST_PRINCIPAL
        or fault_in_line(text, blanks=False)
        or text != text.strip()
    ):
        raise UsageError(
            f"{str(text)[:80]!a} cannot name a person",
            advice=f"use an address such as name@example.org, at most {LONGEST_PRINCIPAL} printable characters",
        )
    return text
