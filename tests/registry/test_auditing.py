"""Is everything that was changed in an audit trail behind the registry's back found, and named?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.errors import NotFoundError
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.aliases import promote
from bucketry.registry.serving.auditing import AuditFilter, load_audit, load_registry_audit
from bucketry.registry.versions.lifecycle import edit_model
from bucketry.schema.codec import encode
from bucketry.schema.documents.audit import BLOCK_RECORDS, decode_block, encode_block
from bucketry.schema.documents.policy import Policy
from bucketry.schema.names import ModelName
from bucketry.store.contract import Unconditional
from simulation.actors import CHAT, PRODUCTION
from simulation.scenes import FEW, begin, founder
from simulation.world import SeededScript, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.session import Session
    from bucketry.registry.serving.auditing import Audit

HEAD = "heads/acme/chat.json"
ALIAS = "aliases/acme/chat/production.json"
HEAD_HISTORY = "history/acme/chat"
ALIAS_HISTORY = "history/acme/chat/production"
COMMITS = 140
"""Enough for three sealed blocks: they leave at generations 65, 97 and 129."""

Chain = tuple[str, str]
EACH_CHAIN = pytest.mark.parametrize("chain", [(HEAD, HEAD_HISTORY), (ALIAS, ALIAS_HISTORY)], ids=["head", "alias"])


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """Return the objects of a registry whose head and alias have long histories."""
    session = begun()
    for number in range(COMMITS):
        edit_model(session, CHAT, description=f"text {number}")
        promote(session, CHAT, 1 + number % 2, PRODUCTION)
    return {entry.key: session.store.get(entry.key).body for entry in session.store.list("")}  # type: ignore[union-attr]


@pytest.fixture
def session(made: dict[str, bytes]) -> Session:
    opened = begun()
    for key, body in made.items():
        opened.store.put(key, body, Unconditional())
    return opened


def begun() -> Session:
    world = World(SeededScript(0))
    begin(world, FEW)
    return founder(world.bucket)


def change(session: Session, key: str, edit: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(session.store.get(key).body)
    edit(document)
    session.store.put(key, encode(document), Unconditional())


def faults(session: Session, model: ModelName = CHAT) -> list[tuple[str, int | None]]:
    audit = load_audit(session, model)
    assert audit.verified == (not audit.faults)
    return [(fault.key, fault.generation) for fault in audit.faults]


def generation(session: Session, key: str) -> int:
    return int(json.loads(session.store.get(key).body)["generation"])


def told(audit: Audit) -> str:
    return "; ".join(str(fault) for fault in audit.faults)


def test_a_whole_trail_is_verified_from_the_first_commit_on(session: Session) -> None:
    audit = load_audit(session, CHAT)
    assert audit.faults == ()
    of_alias = sorted(entry.record.generation for entry in audit.entries if entry.alias == PRODUCTION)
    of_head = sorted(entry.record.generation for entry in audit.entries if entry.alias is None)
    assert of_alias == list(range(1, generation(session, ALIAS) + 1))
    assert of_head == list(range(1, generation(session, HEAD) + 1))
    assert generation(session, ALIAS) > 2 * BLOCK_RECORDS


@EACH_CHAIN
def test_a_changed_record_in_a_sealed_block_is_named(session: Session, chain: Chain) -> None:
    change(session, f"{chain[1]}/33.json", lambda block: block["records"][4].update(actor="eve"))
    assert faults(session) == [(f"{chain[1]}/33.json", 38)]
    assert "generation 38 does not follow from generation 37" in told(load_audit(session, CHAT))


@EACH_CHAIN
def test_a_changed_record_in_the_register_is_named(session: Session, chain: Chain) -> None:
    change(session, chain[0], lambda register: register["recent"][2].update(action="nothing"))
    first = json.loads(session.store.get(chain[0]).body)["recent"][0]["generation"]
    assert faults(session) == [(chain[0], first + 3)]


@EACH_CHAIN
def test_a_changed_record_at_the_end_of_a_block_is_named_with_both_places(session: Session, chain: Chain) -> None:
    change(session, f"{chain[1]}/1.json", lambda block: block["records"][-1].update(target="7"))
    assert faults(session) == [(f"{chain[1]}/33.json", 33)]
    assert f"from generation 32 in {chain[1]}/1.json" in told(load_audit(session, CHAT))


@EACH_CHAIN
def test_a_gap_in_a_sealed_block_is_named(session: Session, chain: Chain) -> None:
    change(session, f"{chain[1]}/33.json", lambda block: block["records"].pop(5))
    assert faults(session) == [(f"{chain[1]}/33.json", 33)]


@EACH_CHAIN
def test_a_gap_in_the_register_is_named(session: Session, chain: Chain) -> None:
    change(session, chain[0], lambda register: register["recent"].pop(5))
    assert (chain[0], None) in faults(session)
    assert "is followed by" in told(load_audit(session, CHAT))


@EACH_CHAIN
def test_a_missing_block_is_named_and_the_rest_is_shown(session: Session, chain: Chain) -> None:
    before = len(load_audit(session, CHAT).entries)
    session.store.delete(f"{chain[1]}/33.json")
    assert faults(session) == [(f"{chain[1]}/33.json", 33)]
    assert "are missing (generations 33 to 64)" in told(load_audit(session, CHAT))
    assert len(load_audit(session, CHAT).entries) == before - BLOCK_RECORDS


@EACH_CHAIN
def test_a_fork_is_named_where_it_begins(session: Session, chain: Chain) -> None:
    """A history that is whole in itself, beside the one that the register continues."""

    def rewrite(block: dict[str, Any]) -> None:
        records = list(decode_block(encode(block), what="the block"))
        records[10] = replace(records[10], actor="eve")
        for index in range(11, len(records)):
            records[index] = replace(records[index], previous=records[index - 1].digest)
        block["records"] = json.loads(encode_block(records))["records"]

    change(session, f"{chain[1]}/33.json", rewrite)
    after = f"{chain[1]}/65.json" if f"{chain[1]}/65.json" in keys_of(session) else chain[0]
    assert faults(session) == [(after, 65)]


@EACH_CHAIN
def test_a_block_put_in_the_place_of_another_is_named(session: Session, chain: Chain) -> None:
    session.store.put(f"{chain[1]}/33.json", session.store.get(f"{chain[1]}/1.json").body, Unconditional())
    assert faults(session) == [(f"{chain[1]}/33.json", 33)]
    assert "other audit records than its name says" in told(load_audit(session, CHAT))


def test_a_block_of_another_register_is_named(session: Session) -> None:
    session.store.put(f"{ALIAS_HISTORY}/33.json", session.store.get(f"{HEAD_HISTORY}/33.json").body, Unconditional())
    assert faults(session) == [(f"{ALIAS_HISTORY}/33.json", 33), (after_33(session), 65)]


@EACH_CHAIN
def test_a_register_that_was_put_back_is_named(session: Session, chain: Chain) -> None:
    """The chain of the older state is whole, but later generations of it were sealed."""
    block = json.loads(session.store.get(f"{chain[1]}/1.json").body)["records"]

    def cut(register: dict[str, Any]) -> None:
        register.update(recent=block[:20], generation=20, transaction=block[19]["transaction"])

    change(session, chain[0], cut)
    found = faults(session)
    assert found[0] == (f"{chain[1]}/1.json", 1)
    assert "were sealed, but" in told(load_audit(session, CHAT))
    assert "ends at generation 20: it was cut" in told(load_audit(session, CHAT))


def test_an_alias_whose_register_is_gone_is_named(session: Session) -> None:
    session.store.delete(ALIAS)
    assert faults(session) == [(ALIAS, None)]
    assert f"{ALIAS} is lost: it is missing, and {ALIAS_HISTORY}/1.json is there" in told(load_audit(session, CHAT))


def test_an_alias_that_the_head_does_not_name_is_named(session: Session) -> None:
    change(session, HEAD, lambda head: head.update(aliases=[]))
    assert faults(session) == [(ALIAS, None)]
    audit = load_audit(session, CHAT)
    assert any(entry.alias == PRODUCTION for entry in audit.entries)


def test_a_head_that_cannot_be_read_is_named_and_its_aliases_are_still_shown(session: Session) -> None:
    session.store.put(HEAD, b"{}", Unconditional())
    assert (HEAD, None) in faults(session)
    assert any(entry.alias == PRODUCTION for entry in load_audit(session, CHAT).entries)


def test_a_block_that_a_commit_sealed_before_it_died_is_no_fault() -> None:
    session = begun()
    for _ in range(generation(session, HEAD), 64):
        edit_model(session, CHAT, description=f"text {generation(session, HEAD)}")
    before = session.store.get(HEAD).body
    edit_model(session, CHAT, description="one more")
    sealed = f"{HEAD_HISTORY}/1.json"
    assert sealed in keys_of(session)
    session.store.put(HEAD, before, Unconditional())
    assert faults(session) == []
    change(session, sealed, lambda block: block["records"][3].update(actor="eve"))
    assert faults(session) == [(sealed, 4)]


def test_a_transaction_that_is_told_twice_is_named(session: Session) -> None:
    """A record that follows properly, under the id of one long sealed: nothing but the id gives it away."""

    def repeat(register: dict[str, Any]) -> None:
        earlier = json.loads(session.store.get(f"{ALIAS_HISTORY}/1.json").body)["records"][2]["transaction"]
        register["recent"][-1]["transaction"] = register["transaction"] = earlier

    change(session, ALIAS, repeat)
    assert faults(session) == [(ALIAS, generation(session, ALIAS))]


def test_the_registry_has_a_trail_of_its_own() -> None:
    session = begun()
    before = len(load_registry_audit(session).entries)
    set_policy(session, None, Policy(approvals_required=2))
    set_policy(session, None, Policy(approvals_required=1))
    set_policy(session, None, Policy(approvals_required=3))
    audit = load_registry_audit(session)
    assert (audit.model, audit.verified, len(audit.entries)) == (None, True, before + 3)
    change(session, "registry.json", lambda document: document["recent"][-2].update(actor="eve"))
    [fault] = load_registry_audit(session).faults
    assert (fault.key, fault.generation) == ("registry.json", before + 3)


def test_a_model_that_is_not_there_has_no_trail(session: Session) -> None:
    with pytest.raises(NotFoundError, match="no model"):
        load_audit(session, ModelName("acme", "none"))


def test_records_are_chosen_by_who_what_when_and_where(session: Session) -> None:
    entries = [
        replace(entry, record=replace(entry.record, at=f"2026-03-03T12:00:{index:02d}.000Z"))
        for index, entry in enumerate(load_audit(session, CHAT).entries[::8][:60])
    ]

    def chosen(**wanted: Any) -> list[Any]:
        return [entry for entry in entries if AuditFilter(**wanted).matches(entry)]

    assert chosen() == entries
    assert {entry.record.action for entry in chosen(action="promote")} == {"promote"}
    assert {entry.alias for entry in chosen(alias=PRODUCTION)} == {PRODUCTION}
    assert chosen(actor="nobody*") == []
    assert entries[0] in chosen(actor=f"{entries[0].record.actor[:2]}*")
    assert chosen(since="2026-03-03T12:00:20Z", until="2026-03-03T12:00:22.000Z") == entries[20:23]


def keys_of(session: Session) -> set[str]:
    return {entry.key for entry in session.store.list("history/")}  # type: ignore[union-attr]


def after_33(session: Session) -> str:
    after = f"{ALIAS_HISTORY}/65.json"
    return after if after in keys_of(session) else ALIAS
