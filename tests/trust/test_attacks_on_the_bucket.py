"""Can somebody who writes the bucket take it back, rewrite its history or exchange its bytes under a strict reader?

As in `test_attacks`, each test is named for its attack.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_reader, open_registry
from bucketry.errors import BucketryError, CorruptError, NotFoundError, RejectedError
from bucketry.registry.core.resolve import resolve_at
from bucketry.registry.review.reviewing import record_decision
from bucketry.registry.versions.evaluate import evaluate
from bucketry.schema import keys
from bucketry.schema.documents.alias import decode_alias, encode_alias
from bucketry.schema.documents.audit import encode_block
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.reviews import Action, decode_statement
from bucketry.schema.documents.states import State
from bucketry.schema.names import parse_reference
from bucketry.store.contract import IfAbsent
from bucketry.trust.generations import RollbackError
from bucketry.trust.judge import UntrustedError
from trust.people import ANNA, AUTHOR, BERT, CHAT, EVERYBODY, PRODUCTION, rule
from trust.world import ALIAS_KEY, World, carried

if TYPE_CHECKING:
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.reviews import Review

HOSTILE = "\x1b[31m[@click=app.exit]\u202e"


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


def push_records_out(world: World) -> None:
    """Commit the alias so often that it holds none of its present records any more."""
    for _ in range(100):
        register = decode_alias(world.store.get(ALIAS_KEY).body, what=ALIAS_KEY)
        block = register.trail.records[:32] if len(register.trail.records) == 64 else ()
        if block:
            sealed = keys.alias_history(CHAT, PRODUCTION, block[0].generation)
            world.store.put(sealed, encode_block(block), IfAbsent())
        world.forge_alias(lambda same: same)


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
    push_records_out(approved)
    with pytest.raises(UntrustedError, match=r"it was refused here before, and the bucket hides by whom"):
        approved.resolve()


def test_hidden_revocation_that_left_the_register_before_anybody_looked_again(approved: World) -> None:
    assert approved.resolve().version == 1
    approved.decide(BERT, Action.REVOKE, 1)
    approved.forge_alias(lambda register: strip_refusals(approved, register))
    push_records_out(approved)
    for _ in range(2):  # the second look walks no record of the refusal any more
        with pytest.raises(UntrustedError, match=r"told before that it was rejected, and hides by whom"):
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


def two_approved(world: World) -> None:
    world.publish("weights 2")
    world.decide(ANNA, Action.APPROVE, 2)
    world.decide(BERT, Action.APPROVE, 2)


def test_a_move_while_the_bytes_are_on_their_way_serves_what_was_resolved(approved: World) -> None:
    two_approved(approved)
    moved: list[int] = []

    def move(*_: object) -> None:
        if not moved:
            moved.append(2)
            approved.promote(2)

    assert (approved.pull(on_transfer=move) / "weights.bin").read_text() == "weights 1"
    assert moved
    assert (approved.pull() / "weights.bin").read_text() == "weights 2"


@pytest.mark.parametrize("first", ["revoke", "move"])
def test_a_move_does_not_save_what_was_revoked_meanwhile(approved: World, first: str) -> None:
    two_approved(approved)
    done: list[Review] = []

    def act(*_: object) -> None:
        if done:
            return
        if first == "move":
            approved.promote(2)
        done.append(approved.decide(BERT, Action.REVOKE, 1))
        if first == "revoke":
            approved.promote(2)

    with pytest.raises(UntrustedError, match=r"bert@example.org revoked it at"):
        approved.pull(on_transfer=act)
    assert not (approved.folder / "served").exists()


def test_a_revocation_that_the_head_hides_is_told_by_the_alias_that_moved_on(approved: World) -> None:
    two_approved(approved)
    done: list[Review] = []

    def act(*_: object) -> None:
        if done:
            return
        before = approved.store.get(keys.head(CHAT)).body
        done.append(approved.decide(BERT, Action.REVOKE, 1))
        approved.promote(2)
        approved.overwrite(keys.head(CHAT), before)

    with pytest.raises(UntrustedError, match=r"the alias was told at generation \d+ that it was rejected"):
        approved.pull(on_transfer=act)
    assert not (approved.folder / "served").exists()


def test_an_alias_that_was_taken_away_while_the_bytes_are_on_their_way_stops_them(approved: World) -> None:
    done: list[int] = []

    def unset(*_: object) -> None:
        if not done:
            done.append(1)
            with open_registry(approved.url, identity=AUTHOR.principal) as registry:
                registry.unset("risk/chat", "production")

    with pytest.raises(NotFoundError, match=r"@production"):
        approved.pull(on_transfer=unset)
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
