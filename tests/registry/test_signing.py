from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import NotFoundError, RejectedError, UsageError
from bucketry.registry.review.signing import LARGEST_SIGNATURE_FILE_BYTES, checked, open_signer, read_signed
from bucketry.schema.documents.reviews import Action, Review, encode_review, encode_statement
from trust.openssh import NEED_SSH_KEYGEN, make_key, sign_with_ssh_keygen
from trust.people import ANNA, STATEMENT

if TYPE_CHECKING:
    from bucketry.schema.documents.reviews import Statement

SAID = replace(STATEMENT, principal=ANNA.principal)


@pytest.fixture(autouse=True)
def _nobodys_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def signed_elsewhere(folder: Path, statement: Statement = SAID) -> Path:
    """Return the .sig file beside its payload, as `ssh-keygen -Y sign` leaves them."""
    review = ANNA.sign(statement)
    (folder / "decision.json").write_bytes(review.payload)
    (folder / "decision.json.sig").write_text(str(review.sshsig))
    return folder / "decision.json.sig"


@NEED_SSH_KEYGEN
@pytest.mark.parametrize("action", [Action.APPROVE, Action.PUBLISH])
def test_a_statement_is_signed_with_a_key_file(tmp_path: Path, action: Action) -> None:
    statement = replace(SAID, action=action)
    review = open_signer(str(make_key(tmp_path)))(statement)
    assert review.payload == encode_statement(statement)
    assert checked(review) is review


def test_without_any_key_the_person_is_told_what_to_do() -> None:
    with pytest.raises(NotFoundError, match="no SSH key to sign with") as caught:
        open_signer()
    assert "ssh-keygen" in caught.value.advice


def test_a_signature_in_another_namespace_is_refused() -> None:
    with pytest.raises(RejectedError, match='is for "publish@bucketry", not for "review@bucketry"'):
        checked(ANNA.sign(SAID, namespace="publish@bucketry"))


def test_a_signature_over_another_statement_is_refused() -> None:
    review = ANNA.sign(SAID)
    with pytest.raises(RejectedError):
        checked(replace(review, payload=encode_statement(replace(SAID, version=8))))


def test_what_was_signed_elsewhere_is_read_with_its_payload(tmp_path: Path) -> None:
    assert read_signed(signed_elsewhere(tmp_path)) == ANNA.sign(SAID)


@NEED_SSH_KEYGEN
def test_what_ssh_keygen_signed_is_read(tmp_path: Path) -> None:
    payload = encode_statement(SAID)
    (tmp_path / "decision.json").write_bytes(payload)
    armored = sign_with_ssh_keygen(make_key(tmp_path), payload, SAID.namespace)
    (tmp_path / "decision.json.sig").write_text(armored)
    assert read_signed(tmp_path / "decision.json.sig") == Review(payload, armored)


def test_a_signed_decision_in_one_file_is_read(tmp_path: Path) -> None:
    review = ANNA.sign(SAID)
    path = tmp_path / "signed.json"
    path.write_bytes(encode_review(review))
    assert read_signed(path) == review


def test_a_decision_that_nobody_signed_is_not_submitted_as_signed(tmp_path: Path) -> None:
    path = tmp_path / "signed.json"
    path.write_bytes(encode_review(Review(encode_statement(SAID))))
    with pytest.raises(UsageError, match="is not signed"):
        read_signed(path)


@pytest.mark.parametrize("changed", [b"{}", b"", b"not JSON"])
def test_a_payload_that_changed_since_it_was_signed_is_refused(tmp_path: Path, changed: bytes) -> None:
    path = signed_elsewhere(tmp_path)
    path.with_suffix("").write_bytes(changed)
    with pytest.raises((UsageError, RejectedError)):
        read_signed(path)


def test_a_payload_with_one_word_changed_is_refused(tmp_path: Path) -> None:
    path = signed_elsewhere(tmp_path)
    payload = path.with_suffix("")
    payload.write_bytes(payload.read_bytes().replace(b'"version":7', b'"version":8'))
    with pytest.raises(RejectedError):
        read_signed(path)


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("decision.txt", b"-----BEGIN SSH SIGNATURE-----", "is not a signature"),
        ("decision.json.sig", b"\xff\xfe", "is not a signature"),
        ("decision.json.sig", b"hello", "this is not an SSH signature"),
        ("decision.json.sig", b"x" * (LARGEST_SIGNATURE_FILE_BYTES + 1), "too large"),
        ("signed.json", json.dumps({"payload": "!"}).encode(), "payload is not base64"),
        ("signed.json", b'{"payload": ', "not valid JSON"),
    ],
)
def test_what_is_no_signature_is_the_users_mistake(tmp_path: Path, name: str, body: bytes, reason: str) -> None:
    signed_elsewhere(tmp_path)
    (tmp_path / name).write_bytes(body)
    with pytest.raises(UsageError, match=reason):
        read_signed(tmp_path / name)


def test_a_missing_payload_is_named(tmp_path: Path) -> None:
    path = signed_elsewhere(tmp_path)
    path.with_suffix("").unlink()
    with pytest.raises(UsageError, match=r"decision\.json cannot be read"):
        read_signed(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_signed(Path("nowhere.sig"))
