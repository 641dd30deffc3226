"""Can somebody who writes the bucket make a strict reader serve what the reviewers did not approve?

Each test is named for its attack. The bucket is changed behind the registry's back, through its store; the reader's
machine, its trust file and the reviewers' keys are honest.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import BucketryError, ContendedError, CorruptError, NotFoundError, RejectedError
from bucketry.registry.client import open_reader, open_registry
from bucketry.registry.evaluate import evaluate
from bucketry.registry.opening import create_registry
from bucketry.registry.publish import PublishRequest, publish
from bucketry.registry.pull import PullOptions
from bucketry.registry.resolve import resolve_at
from bucketry.registry.reviewing import prepare_decision, record_decision
from bucketry.registry.strict import carried_decisions
from bucketry.schema import keys
from bucketry.schema.alias import decode_alias, encode_alias
from bucketry.schema.audit import NO_RECORD, Record, continue_trail, encode_block
from bucketry.schema.evidence import Evidence, Metric
from bucketry.schema.head import decode_head, encode_head
from bucketry.schema.names import AliasName, parse_reference
from bucketry.schema.reviews import Action, decode_statement, encode_statement
from bucketry.schema.states import State
from bucketry.store.folder import FolderStore
from bucketry.store.interface import IfAbsent, IfMatch
from bucketry.trust.generations import RollbackError
from bucketry.trust.judge import UntrustedError
from trust.people import (
    ANNA,
    AUTHOR,
    BERT,
    CHAT,
    EVERYBODY,
    PRODUCTION,
    STRANGER,
    Person,
    rule,
    signer,
    trust_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bucketry.registry.resolve import ResolvedVersion
    from bucketry.schema.alias import AliasRegister
    from bucketry.schema.head import Head
    from bucketry.schema.names import ModelName
    from bucketry.schema.reviews import Review, Statement

ALIAS_KEY = keys.alias(CHAT, PRODUCTION)
HOSTILE = "\x1b[31m[@click=app.exit]\u202e"


@dataclass(frozen=True)
class World:
    """A registry with its people, the bucket as an attacker sees it, and a machine with a trust file."""

    folder: Path

    @property
    def url(self) -> str:
        return str(self.folder / "registry")

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.folder / "registry", durable=False)

    @property
    def registry_id(self) -> str:
        return str(json.loads(self.store.get(keys.REGISTRY).body)["registry"])

    def publish(self, text: str, model: ModelName = CHAT, *, signed_by: Person | None = None) -> int:
        source = self.folder / "weights.bin"
        source.write_text(text)
        sign = signed_by.sign if signed_by else None
        with open_registry(self.url, identity=AUTHOR.principal) as registry:
            return publish(registry.session, PublishRequest(model, [source], sign=sign)).version

    def prepare(
        self, person: Person, action: Action, version: int, model: ModelName = CHAT, alias: AliasName | None = None
    ) -> Statement:
        with open_registry(self.url, identity=person.principal) as registry:
            return prepare_decision(registry.session, model, version, action, comment="looked at it", alias=alias)

    def decide(self, person: Person, action: Action, version: int) -> Review:
        review = person.sign(self.prepare(person, action, version))
        with open_registry(self.url, identity=person.principal) as registry:
            record_decision(registry.session, review)
        return review

    def promote(self, version: int, model: ModelName = CHAT, alias: str = "production") -> None:
        with open_registry(self.url, identity=AUTHOR.principal) as registry:
            registry.promote(f"{model}:{version}", alias)

    def trust(self, *parts: str, top: str = "") -> Path:
        path = self.folder / "trust.toml"
        path.write_bytes(trust_text(*(parts or (*EVERYBODY, rule())), registry=self.registry_id, top=top))
        path.chmod(0o644)
        return path

    def resolve(self, reference: str = "risk/chat@production", *, trust: Path | None = None) -> ResolvedVersion:
        with open_reader(self.url, trust=trust or self.trust()) as reader:
            return reader.resolve(reference)

    def pull(self, **options: object) -> Path:
        with open_reader(self.url, trust=self.trust()) as reader:
            return reader.pull(
                "risk/chat@production",
                self.folder / "served",
                options=PullOptions(**options),  # type: ignore[arg-type]
            )

    def overwrite(self, key: str, body: bytes) -> None:
        self.store.put(key, body, IfMatch(self.store.get(key).etag))

    def forge_alias(self, change: Callable[[AliasRegister], AliasRegister], action: str = "touch") -> None:
        """Commit a change of the alias as an attacker would, who keeps the chain of its records right."""
        register = change(decode_alias(self.store.get(ALIAS_KEY).body, what=ALIAS_KEY))
        record = Record(0, "e" * 32, "2026-01-01T00:00:00Z", "eve", action, "", NO_RECORD)
        trail, _ = register.trail.extended(continue_trail(register.trail, record))
        self.overwrite(ALIAS_KEY, encode_alias(replace(register, trail=trail)))

    def forge_head(self, change: Callable[[Head], Head]) -> None:
        key = keys.head(CHAT)
        self.overwrite(key, encode_head(change(decode_head(self.store.get(key).body, what=key))))

    def carry(self, *reviews: Review) -> None:
        """Make the alias carry these reviews and no others."""
        documents = tuple(review.to_document() for review in reviews)
        self.forge_alias(lambda register: replace(register, reviews=documents))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("BUCKETRY_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "cache"))
    create_registry(str(tmp_path / "registry"), identity=AUTHOR.principal)
    return World(tmp_path)


@pytest.fixture
def approved(world: World) -> World:
    """Return the world after version 1 was approved by two reviewers and promoted."""
    world.publish("weights 1")
    world.decide(ANNA, Action.APPROVE, 1)
    world.decide(BERT, Action.APPROVE, 1)
    world.promote(1)
    return world


@pytest.fixture
def unapproved(world: World) -> World:
    """Return the world with version 1 in production that nobody approved."""
    world.publish("weights 1")
    world.promote(1)
    return world


def carried(world: World) -> Sequence[Review]:
    register = decode_alias(world.store.get(ALIAS_KEY).body, what=ALIAS_KEY)
    return [decision.review for decision in carried_decisions(register)]


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
    with pytest.raises(CorruptError, match=r"holds another alias"):
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


def test_an_alias_moved_to_an_older_approved_version_by_an_old_register(approved: World) -> None:
    old = approved.store.get(ALIAS_KEY).body
    approved.publish("weights 2")
    approved.decide(ANNA, Action.APPROVE, 2)
    approved.decide(BERT, Action.APPROVE, 2)
    approved.promote(2)
    assert approved.resolve().version == 2
    approved.overwrite(ALIAS_KEY, old)
    with pytest.raises(RollbackError, match=r"rollback of the bucket"):
        approved.resolve()


def test_hidden_revocation_by_an_old_register(approved: World) -> None:
    old = approved.store.get(ALIAS_KEY).body
    approved.decide(BERT, Action.REVOKE, 1)
    with pytest.raises(UntrustedError, match=r"bert@example.org revoked it at"):
        approved.resolve()
    approved.overwrite(ALIAS_KEY, old)
    with pytest.raises(RollbackError, match=r"rollback of the bucket"):
        approved.resolve()


def strip_refusals(world: World, register: AliasRegister) -> AliasRegister:
    """Return the register as it was before the refusal, as far as its own fields go."""
    kept = [review for review in carried(world) if b'"revoke"' not in review.payload]
    assert len(kept) == 2
    assert register.target is not None
    documents = tuple(review.to_document() for review in kept)
    return replace(register, reviews=documents, target=replace(register.target, state=State.APPROVED))


def test_hidden_revocation_in_a_newer_register(approved: World) -> None:
    approved.decide(BERT, Action.REVOKE, 1)
    approved.forge_alias(lambda register: strip_refusals(approved, register))
    with pytest.raises(UntrustedError, match=r"told at generation 2 that it was rejected, and hides by whom"):
        approved.resolve()


def test_hidden_revocation_after_its_record_left_the_register(approved: World) -> None:
    approved.decide(BERT, Action.REVOKE, 1)
    with pytest.raises(UntrustedError, match=r"revoked it at"):
        approved.resolve()
    approved.forge_alias(lambda register: strip_refusals(approved, register))
    for _ in range(100):
        register = decode_alias(approved.store.get(ALIAS_KEY).body, what=ALIAS_KEY)
        block = register.trail.records[:32] if len(register.trail.records) == 64 else ()
        if block:
            sealed = keys.alias_history(CHAT, PRODUCTION, block[0].generation)
            approved.store.put(sealed, encode_block(block), IfAbsent())
        approved.forge_alias(lambda same: same)
    with pytest.raises(UntrustedError, match=r"it was refused here before, and the bucket hides by whom"):
        approved.resolve()


def test_a_refusal_that_is_unreadable(approved: World) -> None:
    approved.forge_alias(lambda register: replace(register, reviews=({"payload": "!"}, *register.reviews)))
    with pytest.raises(CorruptError, match=r"payload is not base64"):
        approved.resolve()


def test_generation_jump(approved: World) -> None:
    approved.resolve()
    honest = approved.store.get(ALIAS_KEY).body
    register = decode_alias(honest, what=ALIAS_KEY)
    highest = replace(register.trail.records[-1], generation=2**53 - 63)
    approved.overwrite(ALIAS_KEY, encode_alias(replace(register, trail=replace(register.trail, records=(highest,)))))
    with pytest.raises(BucketryError, match=r"the audit records do not begin|leaps"):
        approved.resolve()
    approved.overwrite(ALIAS_KEY, honest)
    assert approved.resolve().version == 1


def test_tampered_history(approved: World) -> None:
    register = decode_alias(approved.store.get(ALIAS_KEY).body, what=ALIAS_KEY)
    approved.forge_alias(lambda same: same)
    register = decode_alias(approved.store.get(ALIAS_KEY).body, what=ALIAS_KEY)
    first, *rest = register.trail.records
    planted = replace(register.trail, records=(replace(first, actor="eve"), *rest))
    approved.overwrite(ALIAS_KEY, encode_alias(replace(register, trail=planted)))
    with pytest.raises(RollbackError, match=r"does not follow from the one before"):
        approved.resolve()


def test_rewritten_history(approved: World) -> None:
    approved.resolve()
    register = decode_alias(approved.store.get(ALIAS_KEY).body, what=ALIAS_KEY)
    record = replace(register.trail.records[-1], actor="eve")
    trail = replace(register.trail, records=(*register.trail.records[:-1], record))
    approved.overwrite(ALIAS_KEY, encode_alias(replace(register, trail=trail)))
    with pytest.raises(RollbackError, match=r"history of risk/chat@production was rewritten"):
        approved.resolve()


def test_swapped_manifest(approved: World) -> None:
    digest = approved.resolve().digest
    path = approved.folder / "registry" / keys.manifest(CHAT, digest)
    body = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(body.replace(b"weights.bin", b"warped_.bin"))
    with pytest.raises(CorruptError, match=r"are not those that its name says"):
        approved.resolve()


def test_swapped_blob(approved: World) -> None:
    (key,) = approved.resolve().blob_keys().values()
    path = approved.folder / "registry" / key
    path.chmod(0o644)
    path.write_text("weights X")
    with pytest.raises(CorruptError, match=r"does not have the digest that its version names"):
        approved.pull()
    assert not (approved.folder / "served").exists()
    with (
        open_reader(approved.url, trust=approved.trust()) as reader,
        reader.open("risk/chat@production", "weights.bin") as file,
        pytest.raises(CorruptError, match=r"is not what its manifest names"),
    ):
        file.read_range(3, 4)


def test_bytes_of_a_pull_that_trusted_more(approved: World) -> None:
    """What lies at the target with the right sizes and times was not necessarily verified."""
    path = approved.pull() / "weights.bin"
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.chmod(0o644)
    path.write_text("weights X")
    os.utime(path, ns=times)
    assert (approved.pull() / "weights.bin").read_text() == "weights 1"


def test_verification_that_an_attacker_could_pass(approved: World) -> None:
    with pytest.raises(RejectedError, match=r"with a trust file, bytes are verified by SHA-256"):
        approved.pull(verify="fast")


def test_revocation_while_the_bytes_are_on_their_way(approved: World) -> None:
    revoked: list[Review] = []

    def revoke(*_: object) -> None:
        if not revoked:
            revoked.append(approved.decide(BERT, Action.REVOKE, 1))

    with pytest.raises(UntrustedError, match=r"bert@example.org revoked it at"):
        approved.pull(on_transfer=revoke)
    assert revoked
    assert not (approved.folder / "served").exists()


def test_a_move_while_the_bytes_are_on_their_way(approved: World) -> None:
    approved.publish("weights 2")
    approved.decide(ANNA, Action.APPROVE, 2)
    approved.decide(BERT, Action.APPROVE, 2)
    moved: list[int] = []

    def move(*_: object) -> None:
        if not moved:
            moved.append(2)
            approved.promote(2)

    with pytest.raises(ContendedError, match=r"moved from version 1 to 2 meanwhile"):
        approved.pull(on_transfer=move)
    assert not (approved.folder / "served").exists()


def test_evidence_changed_after_it_was_shown(world: World) -> None:
    world.publish("weights 1")
    statement = world.prepare(ANNA, Action.APPROVE, 1)
    with open_registry(world.url, identity=AUTHOR.principal) as registry:
        evaluate(registry.session, CHAT, 1, [Evidence("safety", (Metric("toxicity", 0.9, direction="lower"),))])
    with (
        open_registry(world.url, identity=ANNA.principal) as registry,
        pytest.raises(RejectedError, match=r"the evidence of version 1 changed since this approval was prepared"),
    ):
        record_decision(registry.session, ANNA.sign(statement))


def test_evidence_changed_after_approval(world: World) -> None:
    """An approval names each evaluation by its SHA-256, so that the one which was shown cannot be exchanged."""
    world.publish("weights 1")
    with open_registry(world.url, identity=AUTHOR.principal) as registry:
        evaluate(registry.session, CHAT, 1, [Evidence("safety", (Metric("toxicity", 0.9, direction="lower"),))])
        manifest = registry.resolve("risk/chat:1").digest
    approval = decode_statement(world.decide(ANNA, Action.APPROVE, 1).payload, what="a review")
    (shown,) = approval.evidence
    path = world.folder / "registry" / keys.evidence(CHAT, manifest, shown)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"0.9", b"0.1"))
    with (
        open_registry(world.url, identity=BERT.principal) as registry,
        pytest.raises(CorruptError, match=r"are not those that its name says"),
    ):
        registry.show("risk/chat:1")


def test_denied_manifest_and_lowest_generation(approved: World) -> None:
    digest = approved.resolve().digest
    with pytest.raises(UntrustedError, match=r"the trust file denies manifest"):
        approved.resolve(trust=approved.trust(*EVERYBODY, rule(), top=f'denied_manifests = ["{digest}"]'))
    with pytest.raises(UntrustedError, match=r"is below 1000"):
        approved.resolve(trust=approved.trust(*EVERYBODY, rule(), top="lowest_generation = 1000"))


def test_oversized_register(approved: World) -> None:
    approved.overwrite(ALIAS_KEY, b'{"format": 1, "x": "' + b"a" * (9 * 1024 * 1024) + b'"}')
    with pytest.raises(BucketryError, match=r"limit|larger|bytes"):
        approved.resolve()


@pytest.mark.parametrize("depth", [40, 200_000])
def test_deeply_nested_documents(approved: World, depth: int) -> None:
    approved.overwrite(ALIAS_KEY, b'{"format": 1, "x": ' + b"[" * depth + b"]" * depth + b"}")
    with pytest.raises(CorruptError, match=r"nested deeper"):
        approved.resolve()


def test_more_decisions_than_anybody_verifies(approved: World) -> None:
    (first, *_) = carried(approved)
    approved.carry(*[first] * 1_100)
    with pytest.raises(UntrustedError, match=r"it carries 1,100 decisions"):
        approved.resolve()


def test_hostile_text_in_a_refusal(unapproved: World) -> None:
    unapproved.forge_alias(lambda register: replace(register, registry=HOSTILE))
    with pytest.raises(UntrustedError) as caught:
        unapproved.resolve()
    assert str(caught.value).isprintable()


def test_hostile_text_in_a_signature(unapproved: World) -> None:
    statement = unapproved.prepare(ANNA, Action.APPROVE, 1)
    review = replace(ANNA.sign(statement), sshsig=HOSTILE)
    unapproved.carry(review)
    with pytest.raises(UntrustedError) as caught:
        unapproved.resolve()
    assert str(caught.value).isprintable()


def test_a_tombstone_and_an_alias_that_never_was(approved: World) -> None:
    with open_registry(approved.url, identity=AUTHOR.principal) as registry:
        registry.unset(str(CHAT), "production")
    for reference in ("risk/chat@production", "risk/chat@staging"):
        with pytest.raises(NotFoundError, match=r"is not set"):
            approved.resolve(reference)


def test_what_an_alias_named_in_the_past_is_not_served(approved: World) -> None:
    production = parse_reference("risk/chat@production")
    with (
        open_reader(approved.url, trust=approved.trust()) as reader,
        pytest.raises(RejectedError, match=r"not what could be served in the past"),
    ):
        resolve_at(reader.session, production, "2030-01-01T00:00:00.000Z")


def test_the_profiles_trust_file_binds_readers(unapproved: World, monkeypatch: pytest.MonkeyPatch) -> None:
    unapproved.trust()
    config = unapproved.folder / "served.toml"
    config.write_text(f'[registries.prod]\nurl = "{unapproved.url}"\ntrust = "trust.toml"\n')
    monkeypatch.setenv("BUCKETRY_CONFIG", str(config))
    for where in ("prod", unapproved.url):
        with open_reader(where) as reader, pytest.raises(UntrustedError):
            reader.resolve("risk/chat@production")
    with open_registry("prod", identity=AUTHOR.principal) as registry:
        assert registry.resolve("risk/chat@production").version == 1
