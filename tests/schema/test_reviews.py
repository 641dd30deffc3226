from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from bucketry.errors import CorruptError, UsageError
from bucketry.schema.codec import Fields, digest_of
from bucketry.schema.documents.reviews import (
    LARGEST_STATEMENT_BYTES,
    LONGEST_COMMENT_CHARACTERS,
    LONGEST_PRINCIPAL,
    LONGEST_SIGNATURE_CHARACTERS,
    MOST_EVIDENCE_SHOWN,
    Action,
    Review,
    Statement,
    decision_of,
    decode_review,
    decode_statement,
    encode_review,
    encode_statement,
    parse_action,
    parse_principal,
    read_review,
)
from bucketry.schema.names import AliasName, Digest, ModelName

MANIFEST = Digest("ab" * 32)
PLAIN = Statement(
    registry="0b0c9c2e",
    model=ModelName("acme", "chat"),
    manifest=MANIFEST,
    action=Action.APPROVE,
    principal="anna@example.org",
    sequence=3,
    created="2026-03-03T12:00:00.000Z",
    version=7,
)
FULL = replace(
    PLAIN,
    alias=AliasName("production"),
    expires="2026-09-03T12:00:00.000Z",
    evidence=(Digest("01" * 32), Digest("02" * 32)),
    gates=({"gate": "auc >= 0.9", "passed": True},),
    diff=Digest("03" * 32),
    comment="bässer auf jedem Ausschnitt \u202e\n",
)


def body_with(statement: Statement = PLAIN, /, **changes: object) -> bytes:
    """Return a statement's bytes with fields of its predicate changed; None takes one out."""
    document: dict[str, Any] = json.loads(encode_statement(statement))
    predicate = document["predicate"] | changes
    document["predicate"] = {name: value for name, value in predicate.items() if value is not None}
    return json.dumps(document).encode()


@pytest.mark.parametrize("statement", [PLAIN, FULL], ids=["plain", "full"])
def test_a_statement_survives_its_bytes(statement: Statement) -> None:
    assert decode_statement(encode_statement(statement), what="s") == statement


def test_a_statement_is_an_in_toto_statement_about_the_manifest() -> None:
    document = json.loads(encode_statement(FULL))
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["subject"] == [{"name": "acme/chat", "digest": {"sha256": MANIFEST}}]
    assert document["predicateType"] == "urn:bucketry:review:v1"
    assert document["predicate"]["evidence"] == ["01" * 32, "02" * 32]


def test_what_nobody_said_is_left_out_of_the_bytes() -> None:
    assert set(json.loads(encode_statement(PLAIN))["predicate"]) == {
        "registry",
        "model",
        "version",
        "action",
        "principal",
        "sequence",
        "created",
    }


def test_fields_of_a_newer_program_survive() -> None:
    statement = decode_statement(body_with(tool="bucketry 9"), what="s")
    assert statement.extra == {"tool": "bucketry 9"}
    assert json.loads(encode_statement(statement))["predicate"]["tool"] == "bucketry 9"


@pytest.mark.parametrize("action", list(Action))
def test_only_a_publish_statement_has_the_namespace_of_publishers(action: Action) -> None:
    expected = "publish@bucketry" if action is Action.PUBLISH else "review@bucketry"
    assert replace(PLAIN, action=action).namespace == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"registry": None}, "registry"),
        ({"registry": 7}, "registry"),
        ({"model": "../../etc"}, "model"),
        ({"action": "bless"}, "action"),
        ({"principal": ""}, "principal"),
        ({"principal": "anna\x1b[31m"}, "principal"),
        ({"sequence": "3"}, "sequence"),
        ({"created": "yesterday"}, "created"),
        ({"created": "2026-03-03T12:00:00"}, "created"),
        ({"expires": "never"}, "expires"),
        ({"version": 0}, "version"),
        ({"version": 2.5}, "version"),
        ({"alias": "Production"}, "alias"),
        ({"evidence": ["01"]}, "evidence"),
        ({"evidence": "01" * 32}, "evidence"),
        ({"evidence": ["01" * 32] * (MOST_EVIDENCE_SHOWN + 1)}, "evidence"),
        ({"gates": [7]}, "object"),
        ({"diff": "x"}, "diff"),
        ({"comment": 7}, "comment"),
    ],
)
def test_a_field_that_is_wrong_is_named(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(CorruptError, match=reason):
        decode_statement(body_with(**changes), what="the review")


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "https://slsa.dev/provenance/v1"},
        {"subject": []},
        {"subject": [{"name": "acme/chat", "digest": {"sha256": MANIFEST}}] * 2},
        {"subject": [{"name": "acme/chat", "digest": {"sha512": "ab" * 64}}]},
        {"predicate": []},
    ],
    ids=["another type", "another predicate", "no subject", "two subjects", "another digest", "no predicate"],
)
def test_a_statement_about_anything_else_is_refused(change: dict[str, object]) -> None:
    document = json.loads(encode_statement(PLAIN)) | change
    with pytest.raises(CorruptError):
        decode_statement(json.dumps(document).encode(), what="the review")


def test_a_statement_that_is_too_large_is_neither_written_nor_read() -> None:
    with pytest.raises(UsageError, match="over the limit"):
        encode_statement(replace(PLAIN, gates=({"gate": "x" * LARGEST_STATEMENT_BYTES},)))
    with pytest.raises(CorruptError, match="over the limit"):
        decode_statement(b" " * (LARGEST_STATEMENT_BYTES + 1), what="s")
    with pytest.raises(UsageError, match="comment is longer"):
        encode_statement(replace(PLAIN, comment="x" * (LONGEST_COMMENT_CHARACTERS + 1)))


def test_the_longest_comment_and_the_most_evidence_fit_into_one_statement() -> None:
    evidence = tuple(Digest(f"{number:064x}") for number in range(MOST_EVIDENCE_SHOWN))
    most = replace(PLAIN, evidence=evidence, comment="\U0001f600" * LONGEST_COMMENT_CHARACTERS)
    assert decode_statement(encode_statement(most), what="s") == most


@pytest.mark.parametrize("text", ["", " anna", "anna ", "an\nna", "a\u202eb", "x" * (LONGEST_PRINCIPAL + 1)])
def test_a_principal_that_cannot_be_shown_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot name a person"):
        parse_principal(text)
    with pytest.raises(UsageError, match="cannot name a person"):
        encode_statement(replace(PLAIN, principal=text))


def test_a_review_keeps_the_bytes_that_were_signed() -> None:
    payload = json.dumps(json.loads(encode_statement(FULL)), indent=2).encode()
    review = Review(payload, "-----BEGIN SSH SIGNATURE-----\n")
    decision = decode_review(encode_review(review), what="r")
    assert decision.review == review
    assert decision.statement == FULL
    assert decision.is_signed
    assert decision.sha256 == digest_of(encode_review(review))
    assert decision_of(review, what="r") == decision


def test_an_unsigned_review_says_so() -> None:
    assert not decode_review(encode_review(Review(encode_statement(PLAIN))), what="r").is_signed


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"sshsig": None}, "payload"),
        ({"payload": "not base64!"}, "base64"),
        ({"payload": "QQ=="[:3]}, "base64"),
        ({"payload": base64.b64encode(b"x" * 7).decode(), "sshsig": 7}, "sshsig"),
        ({"payload": "", "sshsig": "x" * (LONGEST_SIGNATURE_CHARACTERS + 1)}, "signature is too long"),
        ({"payload": "A" * (2 * LARGEST_STATEMENT_BYTES + 4)}, "payload"),
    ],
)
def test_what_is_no_review_is_refused(document: dict[str, object], reason: str) -> None:
    with pytest.raises(CorruptError, match=reason):
        read_review(Fields(document, what="an alias"))


def test_an_action_is_one_of_six() -> None:
    assert [parse_action(text) for text in ("publish", "request", "comment", "approve", "reject", "revoke")] == list(
        Action
    )
    with pytest.raises(UsageError, match="is not an action"):
        parse_action("Approve")
