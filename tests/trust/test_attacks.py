"""Can somebody who writes the bucket make a strict reader serve what the reviewers did not approve?

Each test is named for its attack. The bucket is changed behind the registry's back, through its store; the reader's
machine, its trust file and the reviewers' keys are honest.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_reader
from bucketry.errors import CorruptError, RejectedError
from bucketry.schema import keys
from bucketry.schema.documents.alias import decode_alias, encode_alias
from bucketry.schema.documents.reviews import Action, decode_statement, encode_statement
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName
from bucketry.trust.judge import UntrustedError
from trust.people import ANNA, AUTHOR, BERT, CHAT, EVERYBODY, PRODUCTION, STRANGER, Person, rule, signer
from trust.world import ALIAS_KEY, World, carried

if TYPE_CHECKING:
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.reviews import Review


def test_no_attack_what_two_reviewers_approved_is_served(approved: World) -> None:
    assert approved.resolve().version == 1
    assert (approved.pull() / "weights.bin").read_text() == "weights 1"


def test_unsigned_version(unapproved: World) -> None:
    with pytest.raises(UntrustedError, match=r"it has 0 of 2 approvals"):
        unapproved.resolve()
    with pytest.raises(UntrustedError, match=r"it has 0 of 2 approvals"):
        unapproved.pull()
    assert not (unapproved.folder / "served").exists()


def test_forged_approval_in_the_head(unapproved: World) -> None:
    def approve(head: Head) -> Head:
        return replace(head, rows=tuple(replace(row, state=State.APPROVED) for row in head.rows))

    unapproved.forge_head(approve)
    unapproved.forge_alias(
        lambda register: replace(register, target=replace(register.target, state=State.APPROVED))  # type: ignore[type-var]
    )
    with pytest.raises(UntrustedError, match=r"it has 0 of 2 approvals"):
        unapproved.resolve()
    everything = unapproved.trust(*EVERYBODY, rule(aliases="*"))
    with pytest.raises(UntrustedError, match=r"it has 0 of 2 approvals"):
        unapproved.resolve("risk/chat:1", trust=everything)


def test_forged_approval_by_a_stranger_in_a_reviewers_name(unapproved: World) -> None:
    statements = [unapproved.prepare(person, Action.APPROVE, 1) for person in (ANNA, BERT)]
    unapproved.carry(*[STRANGER.sign(statement) for statement in statements])
    with pytest.raises(UntrustedError, match=r"0 of 2 approvals.*a key that is not in the trust file"):
        unapproved.resolve()


def test_edited_approval(approved: World) -> None:
    def for_another_manifest(review: Review) -> Review:
        statement = decode_statement(review.payload, what="a review")
        return replace(review, payload=encode_statement(replace(statement, comment="looked at it twice")))

    approved.carry(*map(for_another_manifest, carried(approved)))
    with pytest.raises(UntrustedError, match=r"0 of 2 approvals.*is not the one of key"):
        approved.resolve()


def test_replay_to_another_version(approved: World) -> None:
    approved.publish("weights 2, never looked at")
    reviews = carried(approved)
    approved.promote(2)
    approved.carry(*reviews)
    with pytest.raises(UntrustedError, match=r"0 of 2 approvals.*is about another manifest"):
        approved.resolve()


def test_another_version_number_for_an_approved_manifest(approved: World) -> None:
    approved.forge_alias(
        lambda register: replace(register, target=replace(register.target, version=9))  # type: ignore[type-var]
    )
    with pytest.raises(UntrustedError, match=r"0 of 2 approvals.*is about version 1"):
        approved.resolve()


def test_replay_to_another_model(approved: World) -> None:
    other = replace(CHAT, name="other")
    approved.publish("weights 1", other)
    approved.promote(1, other)
    key = keys.alias(other, PRODUCTION)
    register = decode_alias(approved.store.get(key).body, what=key)
    documents = tuple(review.to_document() for review in carried(approved))
    approved.overwrite(key, encode_alias(replace(register, reviews=documents)))
    with pytest.raises(UntrustedError, match=r"0 of 2 approvals.*is about risk/chat"):
        approved.resolve("risk/other@production")


def test_a_whole_register_of_another_model(approved: World) -> None:
    other = replace(CHAT, name="other")
    approved.publish("weights 1", other)
    approved.promote(1, other)
    approved.overwrite(keys.alias(other, PRODUCTION), approved.store.get(ALIAS_KEY).body)
    with pytest.raises(CorruptError, match=r"holds the alias risk/chat@production, not risk/other@production"):
        approved.resolve("risk/other@production")


def test_replay_to_another_alias(world: World) -> None:
    world.publish("weights 1")
    staging = AliasName("staging")
    reviews = [person.sign(world.prepare(person, Action.APPROVE, 1, alias=staging)) for person in (ANNA, BERT)]
    world.promote(1)
    world.carry(*reviews)
    with pytest.raises(UntrustedError, match=r"0 of 2 approvals.*is for staging only"):
        world.resolve()


def test_replay_to_another_registry(approved: World) -> None:
    trust = approved.trust()
    trust.write_bytes(trust.read_bytes().replace(approved.registry_id.encode(), b"a-registry-of-somebody-else"))
    with pytest.raises(UntrustedError, match=r"this is registry .*, and the trust file is about a-registry"):
        approved.resolve(trust=trust)


def test_reviews_from_another_registry_under_a_forged_id(approved: World) -> None:
    """The register claims the right registry, but the statements name the one that they were made for."""
    trust = approved.trust()
    trust.write_bytes(trust.read_bytes().replace(approved.registry_id.encode(), b"the-real-one"))
    approved.forge_alias(lambda register: replace(register, registry="the-real-one"))
    with pytest.raises(UntrustedError, match=r"0 of 2 approvals.*is about another registry"):
        approved.resolve(trust=trust)


def test_a_registry_document_that_names_another_registry(approved: World) -> None:
    document = json.loads(approved.store.get(keys.REGISTRY).body)
    trust = approved.trust()
    approved.overwrite(keys.REGISTRY, json.dumps(document | {"registry": "eve"}).encode())
    with (
        open_reader(approved.url, trust=trust) as reader,
        pytest.raises(UntrustedError, match=r"this is registry 'eve'"),
    ):
        reader.pull("risk/chat@production", approved.folder / "served")
    assert not (approved.folder / "served").exists()


def test_self_approval(world: World) -> None:
    world.publish("weights 1")
    world.decide(AUTHOR, Action.APPROVE, 1)
    world.decide(ANNA, Action.APPROVE, 1)
    world.promote(1)
    trust = world.trust(*EVERYBODY, rule([AUTHOR, ANNA, BERT]))
    with pytest.raises(UntrustedError, match=r"1 of 2 approvals; author@example.org's approve is by the publisher"):
        world.resolve(trust=trust)


def test_self_approval_under_a_second_name_with_a_trusted_key(world: World) -> None:
    world.publish("weights 1")
    own = world.prepare(AUTHOR, Action.APPROVE, 1)
    world.promote(1)
    world.carry(*[AUTHOR.sign(replace(own, principal=name.principal)) for name in (ANNA, BERT)])
    with pytest.raises(UntrustedError, match=r"0 of 2 approvals.*is signed with the key of author@example.org"):
        world.resolve()


def test_a_publish_claimed_for_somebody_else(world: World) -> None:
    """`created_by` is a claim: only a signed publish tells the author from the reviewers."""
    world.publish("weights 1")
    world.decide(ANNA, Action.APPROVE, 1)
    world.decide(BERT, Action.APPROVE, 1)
    world.promote(1)
    trust = world.trust(*EVERYBODY, rule(extra="separate_duties = true"))
    with pytest.raises(UntrustedError, match=r"nobody in the trust file signed its publish"):
        world.resolve(trust=trust)


def test_a_signed_publish_satisfies_separate_duties(world: World) -> None:
    world.publish("weights 1", signed_by=AUTHOR)
    world.decide(ANNA, Action.APPROVE, 1)
    world.decide(BERT, Action.APPROVE, 1)
    world.promote(1)
    assert world.resolve(trust=world.trust(*EVERYBODY, rule(extra="separate_duties = true"))).version == 1


def test_one_person_with_two_keys(unapproved: World) -> None:
    second = Person(ANNA.principal, key=2)
    statement = unapproved.prepare(ANNA, Action.APPROVE, 1)
    unapproved.carry(ANNA.sign(statement), second.sign(statement))
    trust = unapproved.trust(*EVERYBODY, signer(second), rule())
    with pytest.raises(UntrustedError, match=r"it has 1 of 2 approvals"):
        unapproved.resolve(trust=trust)


@pytest.mark.parametrize(
    ("options", "extra", "reason"),
    [
        ('valid-before="20200101Z"', "", "not valid at"),
        ('valid-after="20990101Z"', "", "not valid at"),
        ("", "revoked = true", "a key that was revoked"),
        ('namespaces="publish@bucketry"', "", "may not sign for review@bucketry"),
    ],
    ids=["expired", "not yet valid", "revoked", "wrong namespace"],
)
def test_keys_that_do_not_count(approved: World, options: str, extra: str, reason: str) -> None:
    trust = approved.trust(signer(AUTHOR), signer(ANNA, options, extra), signer(BERT), rule())
    with pytest.raises(UntrustedError, match=f"1 of 2 approvals.*{reason}"):
        approved.resolve(trust=trust)


def test_a_signature_made_for_another_purpose(unapproved: World) -> None:
    statements = [(person, unapproved.prepare(person, Action.APPROVE, 1)) for person in (ANNA, BERT)]
    unapproved.carry(*[person.sign(statement, namespace="git") for person, statement in statements])
    with pytest.raises(UntrustedError, match=r'0 of 2 approvals.*is for "git", not for "review@bucketry"'):
        unapproved.resolve()


def test_threshold_0(unapproved: World) -> None:
    with pytest.raises(RejectedError, match=r"approvals is not a whole number of at least 1"):
        unapproved.resolve(trust=unapproved.trust(*EVERYBODY, rule(approvals=0)))


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_trust_file_that_the_attacker_may_write(unapproved: World, mode: int) -> None:
    trust = unapproved.trust()
    trust.chmod(mode)
    with pytest.raises(RejectedError, match=r"can be written by others"):
        unapproved.resolve(trust=trust)
