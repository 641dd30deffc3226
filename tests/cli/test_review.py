from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import pytest

from bucketry.schema.codec import decode_foreign
from trust.openssh import NEED_SSH_KEYGEN, make_key, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.harness import Program

ADA, ANNA, BERT = "ada@example.org", "anna@example.org", "bert@example.org"
TWO = 'approvals_required = 2\nprotected_aliases = ["production"]\nseparate_duties = true\n'
GATE = '[[gate]]\nmetric = "auc"\nat_least = 0.9\n'


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return lambda name: monkeypatch.setenv("BUCKETRY_IDENTITY", name)


@pytest.fixture
def published(program: Program, registry: Path, files: Path, tmp_path: Path) -> Path:  # noqa: ARG001
    """Return a policy file that is set for the model; version 1 is there, with a metric."""
    (tmp_path / "metrics.json").write_text('{"auc": 0.91}')
    program.ok("publish", "acme/chat", files, "--metrics", tmp_path / "metrics.json")
    return set_policy(program, tmp_path, TWO)


def set_policy(program: Program, folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text)
    program.ok("policy", "set", "acme/chat", path)
    return path


def test_two_people_approve_and_production_moves(
    program: Program, published: Path, become: Callable[[str], None]
) -> None:
    assert published.exists()
    assert "acme/chat:1 is in_review now" in program.ok("review", "request", "acme/chat:1", "--comment", "please").text
    become(ANNA)
    assert "is in_review now (1 of 2 approvals)" in program.ok("review", "approve", "acme/chat:1").text
    told = program.fails(4, "promote", "acme/chat:1", "production")
    assert "acme/chat@production is protected and version 1 has 1 of 2 approvals" in told
    assert "bucketry review request acme/chat:1" in told
    become(BERT)
    decided = program.json("review", "approve", "acme/chat:1", "--comment", "better on every slice")
    assert (decided["state"], decided["approvals"], decided["required"]) == ("approved", 2, 2)
    assert decided["approved_by"] == [ANNA, BERT]
    assert program.json("promote", "acme/chat:1", "production")["to"] == 1
    shown = program.json("show", "acme/chat:1")
    assert [review["action"] for review in shown["reviews"]] == ["request", "approve", "approve"]
    assert shown["reviews"][2]["comment"] == "better on every slice"
    assert shown["approval"]["approved_by"] == [ANNA, BERT]


def test_the_publisher_and_one_person_twice_do_not_make_two(
    program: Program, published: Path, become: Callable[[str], None]
) -> None:
    assert published.exists()
    told = program.fails(4, "review", "approve", "acme/chat:1")
    assert f"{ADA} published version 1 and cannot approve it (separate_duties)" in told
    become(ANNA)
    for _ in range(2):
        assert program.json("review", "approve", "acme/chat:1")["approvals"] == 1


def test_an_approval_is_refused_while_a_gate_fails(
    program: Program, published: Path, tmp_path: Path, become: Callable[[str], None]
) -> None:
    published.write_text(TWO + GATE.replace("0.9", "0.95"))
    program.ok("policy", "set", "acme/chat", published)
    become(ANNA)
    told = program.fails(4, "review", "approve", "acme/chat:1")
    assert "version 1 cannot be approved, 1 of 1 gates failed: auc >= 0.95: 0.91" in told
    (tmp_path / "better.json").write_text('{"auc": 0.97}')
    program.ok("evaluate", "acme/chat:1", "--evidence", tmp_path / "better.json")
    program.ok("review", "approve", "acme/chat:1")


def test_a_rejection_needs_a_reason_and_is_for_ever(
    program: Program, published: Path, become: Callable[[str], None]
) -> None:
    assert published.exists()
    become(ANNA)
    assert "to reject needs a reason" in program.fails(4, "review", "reject", "acme/chat:1")
    rejected = program.json("review", "reject", "acme/chat:1", "--comment", "worse for 18-25")
    assert (rejected["state"], rejected["refused_by"]) == ("rejected", [ANNA])
    assert "a refusal stands for ever" in program.fails(4, "review", "approve", "acme/chat:1")
    assert "version 1 is rejected" in program.fails(4, "promote", "acme/chat:1", "staging")
    assert "refused by anna@example.org" in program.ok("show", "acme/chat:1").text


def test_a_revocation_reaches_the_alias_before_it_returns(
    program: Program, published: Path, registry: Path, become: Callable[[str], None]
) -> None:
    assert published.exists()
    for person in (ANNA, BERT):
        become(person)
        program.ok("review", "approve", "acme/chat:1")
    program.ok("promote", "acme/chat:1", "production")
    assert "revoke the approval instead" in program.fails(4, "review", "reject", "acme/chat:1", "--comment", "no")
    ran = program.ok("review", "revoke", "acme/chat:1", "--comment", "leaks training data")
    assert "acme/chat:1 is rejected now" in ran.text
    assert "told production" in ran.text
    register = json.loads((registry / "aliases" / "acme" / "chat" / "production.json").read_bytes())
    assert register["state"] == "rejected"
    payloads = [json.loads(base64.b64decode(review["payload"]))["predicate"] for review in register["reviews"]]
    assert [(said["action"], said["principal"]) for said in payloads] == [
        ("approve", ANNA),
        ("approve", BERT),
        ("revoke", BERT),
    ]


def test_a_comment_needs_a_text_and_decides_nothing(program: Program, published: Path) -> None:
    assert published.exists()
    for text in ([], ["--comment", " "]):
        assert "a comment needs a text" in program.fails(2, "review", "comment", "acme/chat:1", *text)
    assert program.json("review", "comment", "acme/chat:1", "--comment", "slow")["state"] == "registered"


def test_an_approval_that_does_not_count_any_more_is_noted(
    program: Program, published: Path, become: Callable[[str], None]
) -> None:
    become(ANNA)
    program.ok("review", "approve", "acme/chat:1")
    published.write_text(TWO + f'reviewers = ["{BERT}"]\n')
    program.ok("policy", "set", "acme/chat", published)
    become(BERT)
    ran = program.ok("review", "approve", "acme/chat:1")
    assert "note: the approval of anna@example.org does not count: not among the policy's reviewers" in ran.errors
    assert "(1 of 2 approvals)" in ran.text


def test_mistakes_are_named(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.exists()
    program.fails(3, "review", "approve", "acme/chat:9")
    program.fails(3, "review", "request", "acme/nothing:1")
    program.fails(2, "review")
    both = ("review", "approve", "acme/chat:1", "--detached", "--signature", published)
    assert "exclude each other" in program.fails(2, *both)
    program.fails(2, "review", "approve", "acme/chat:1", "--signature", tmp_path / "missing.sig")
    assert "no SSH key" in program.fails(3, "review", "reject", "acme/chat:1", "--comment", "x", "--sign")


@NEED_SSH_KEYGEN
def test_an_approval_is_signed_with_a_key_file(
    program: Program, published: Path, tmp_path: Path, become: Callable[[str], None]
) -> None:
    published.write_text(TWO.replace("separate_duties = true", 'signatures = "required"'))
    program.ok("policy", "set", "acme/chat", published, "--yes")
    become(ANNA)
    assert "asks for signed approvals" in program.fails(4, "review", "approve", "acme/chat:1")
    key = make_key(tmp_path)
    assert program.json("review", "approve", "acme/chat:1", "--sign", key)["approvals"] == 1
    (review,) = program.json("show", "acme/chat:1")["reviews"]
    assert review["signed"] is True
    locked = make_key(tmp_path, passphrase="a secret", comment="locked")
    told = program.fails(2, "review", "approve", "acme/chat:1", "--sign", locked)
    assert "a secret" not in told


@NEED_SSH_KEYGEN
def test_an_approval_is_signed_on_another_machine(
    program: Program, published: Path, tmp_path: Path, become: Callable[[str], None]
) -> None:
    assert published.exists()
    become(ANNA)
    ran = program.ok("review", "approve", "acme/chat:1", "--detached", "--comment", "looked at it")
    assert program.json("show", "acme/chat:1")["reviews"] == []
    assert decode_foreign(ran.stdout, what="stdout")["predicate"]["comment"] == "looked at it"
    (tmp_path / "decision.json").write_bytes(ran.stdout)
    sign = re.search("ssh-keygen -Y sign -n review@bucketry -f KEY decision.json", ran.errors)
    assert sign is not None
    command = sign[0].replace("KEY", str(make_key(tmp_path))).replace("decision.json", str(tmp_path / "decision.json"))
    run(*command.split())
    signature = tmp_path / "decision.json.sig"
    become("somebody@bastion.example.org")
    assert "not to reject acme/chat:1" in program.fails(2, "review", "reject", "acme/chat:1", "--signature", signature)
    other = ("review", "approve", "acme/chat:1", "--signature", signature, "--comment", "not what was signed")
    assert "not the one that was signed" in program.fails(2, *other)
    decided = program.json("review", "approve", "acme/chat:1", "--signature", signature)
    assert (decided["principal"], decided["approved_by"]) == (ANNA, [ANNA])
    (review,) = program.json("show", "acme/chat:1")["reviews"]
    assert (review["signed"], review["comment"]) == (True, "looked at it")


def test_what_to_sign_elsewhere_is_exact_as_json_too(program: Program, published: Path) -> None:
    assert published.exists()
    document = program.json("review", "reject", "acme/chat:1", "--comment", "no", "--detached")
    assert decode_foreign(base64.b64decode(document["payload"]), what="payload")["predicate"]["action"] == "reject"
    assert document["namespace"] == "review@bucketry"
    assert document["submit"] == "bucketry review reject acme/chat:1 --signature decision.json.sig"
