"""Policies that registers name, pins, and receipts: each fault is planted once, and named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head
from bucketry.registry.review.policies import set_policy
from bucketry.registry.versions.deletion import delete_version
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.dossier import Pin
from bucketry.schema.documents.policy import encode_policy, parse_policy_toml
from bucketry.schema.names import Digest, ModelName
from bucketry.store.contract import IfAbsent, Unconditional
from maintenance.offices import checked, dossier_of, only
from maintenance.planting import HEAD, assert_damage, cite, items, rewrite, some
from registry.people import ANNA, CHAT, Office, open_office
from simulation.actors import BASE
from simulation.scenes import base_parent

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.schema.documents.head import Head

ONE, TWO = "approvals_required = 1", "approvals_required = 2"
CHILD = ModelName("acme", "child")


@pytest.fixture
def office() -> Office:
    return open_office()


def key_of(text: str) -> str:
    return keys.policy(digest_of(encode_policy(parse_policy_toml(text, what="p"))))


def name_policy(office: Office, digest: Digest | None) -> None:
    """Name a policy in the head by a commit that is not one of a policy."""

    def edit(old: Head | None) -> Change[Head]:
        return Change(replace(some(old), policy=digest), AuditAction.EDIT)

    commit_head(office.session(), CHAT, edit)


def set_default(office: Office, text: str) -> None:
    set_policy(office.session(), None, parse_policy_toml(text, what="p"))


# Policies


@pytest.mark.parametrize("lost", [ONE, TWO])
def test_a_policy_that_is_missing_now_or_from_the_history(office: Office, tmp_path: Path, lost: str) -> None:
    office.policy(ONE)
    office.policy(TWO)
    assert checked(office, tmp_path).findings == ()
    office.bucket.delete(key_of(lost))
    assert only(checked(office, tmp_path)).key == key_of(lost)
    assert_damage(check_registry(office.session()), key_of(lost), "a policy that a register names, and is missing")


@pytest.mark.parametrize("lost", [ONE, TWO])
def test_a_default_policy_that_is_missing_now_or_from_the_history(office: Office, tmp_path: Path, lost: str) -> None:
    set_default(office, ONE)
    set_default(office, TWO)
    assert checked(office, tmp_path).findings == ()
    office.bucket.delete(key_of(lost))
    assert only(checked(office, tmp_path)).key == key_of(lost)
    assert_damage(check_registry(office.session()), key_of(lost), "and is missing")


def test_a_policy_with_other_bytes(office: Office, tmp_path: Path) -> None:
    office.policy(TWO)
    weaker = encode_policy(parse_policy_toml(ONE, what="p"))
    office.bucket.put(key_of(TWO), weaker, Unconditional())
    assert_damage(checked(office, tmp_path), key_of(TWO), "not those that were named")


def test_a_policy_that_cannot_be_read(office: Office, tmp_path: Path) -> None:
    body = b'{"format":1,"approvals_required":"many"}'
    office.bucket.put(keys.policy(digest_of(body)), body, IfAbsent())
    office.policy(ONE)
    name_policy(office, digest_of(body))
    assert_damage(checked(office, tmp_path), keys.policy(digest_of(body)), "and cannot be read")


@pytest.mark.parametrize("named", [None, Digest("a" * 64)])
def test_a_head_whose_policy_is_not_the_one_that_was_set(office: Office, tmp_path: Path, named: Digest | None) -> None:
    office.policy(ONE)
    name_policy(office, named)
    assert_damage(checked(office, tmp_path), HEAD, "not the one that the audit records say")


def test_a_policy_that_nobody_set(office: Office, tmp_path: Path) -> None:
    name_policy(office, Digest("a" * 64))
    report = checked(office, tmp_path)
    assert_damage(report, HEAD, "not the one that the audit records say")
    assert_damage(report, keys.policy(Digest("a" * 64)), "is missing")


def test_a_record_that_names_no_valid_policy(office: Office, tmp_path: Path) -> None:
    commit_head(
        office.session(), CHAT, lambda old: Change(some(old), AuditAction.SET_POLICY, detail={"policy": "none"})
    )
    assert_damage(checked(office, tmp_path), HEAD, "names no valid policy")


def test_a_default_policy_that_is_no_digest(office: Office, tmp_path: Path) -> None:
    rewrite(office.bucket, keys.REGISTRY, lambda document: document.update(settings={"default_policy": 7}))
    assert_damage(checked(office, tmp_path), keys.REGISTRY, "The default policy cannot be read")


def test_a_policy_of_a_head_without_a_whole_trail_is_checked_too(office: Office, tmp_path: Path) -> None:
    office.policy(ONE)
    rewrite(office.bucket, HEAD, lambda head: items(head, "recent")[0].update(actor="somebody else"))
    office.bucket.delete(key_of(ONE))
    assert {finding.key for finding in checked(office, tmp_path).damage} == {HEAD, key_of(ONE)}


def test_a_default_that_asks_for_more_decides_the_states_of_all_models(office: Office, tmp_path: Path) -> None:
    office.policy(ONE)
    set_default(office, "separate_duties = true")
    office.approve(ANNA)
    assert (office.state(), checked(office, tmp_path).findings) == ("approved", ())


# Pins


def test_a_pin_of_a_model_that_does_not_exist(office: Office, tmp_path: Path) -> None:
    cite(office.session(), replace(dossier_of(office), dependents=(Pin(CHILD, 1),)))
    finding = only(checked(office, tmp_path))
    assert (finding.grade, finding.key.startswith("pages/acme/chat/")) == ("garbage", True)
    assert "acme/child pins version 1 of acme/chat" in finding.message


def test_a_pin_is_none_while_its_child_lives_and_garbage_after(office: Office, tmp_path: Path) -> None:
    child = office.publish(CHILD, parent=base_parent(1))
    assert checked(office, tmp_path).findings == ()
    delete_version(office.session(), CHILD, child)
    garbage = [finding.remedy for finding in checked(office, tmp_path).garbage]
    assert sum("`bucketry delete acme/base:1` drops such a pin" in remedy for remedy in garbage) == 1
    delete_version(office.session(), BASE, 1)
    assert not [finding for finding in checked(office, tmp_path).findings if "pins" in finding.message]


def test_a_pin_of_a_child_that_is_made_from_another_version_is_garbage(office: Office, tmp_path: Path) -> None:
    office.publish(CHILD, parent=base_parent(1))
    office.publish(CHILD, notes="other", parent=base_parent(2))
    assert checked(office, tmp_path).findings == ()
    delete_version(office.session(), CHILD, 1)
    pins = [finding.message for finding in checked(office, tmp_path).garbage if "pins" in finding.message]
    assert len(pins) == 1
    assert "pins version 1 of acme/base" in pins[0]


def test_a_child_is_found_where_only_its_base_is_checked(office: Office) -> None:
    office.publish(CHILD, parent=base_parent(1))
    assert check_registry(office.session(), models=[BASE]).findings == ()


def test_a_child_that_came_after_its_model_was_checked_is_found(office: Office) -> None:
    """The child's model comes first in the order of names, and its head is read before the base's."""
    early = ModelName("acme", "a")
    office.publish(early)
    office.bucket.before["get", keys.head(BASE)] = lambda: office.publish(early, notes="c", parent=base_parent(1))
    assert check_registry(office.session()).findings == ()


def test_nothing_is_said_of_pins_of_a_child_whose_manifest_is_lost(office: Office, tmp_path: Path) -> None:
    office.publish(CHILD, parent=base_parent(1))
    lost = next(key for key in office.bucket.snapshot() if key.startswith(keys.manifests(CHILD)))
    office.bucket.delete(lost)
    report = checked(office, tmp_path)
    assert [finding.key for finding in report.damage] == [lost]
    assert not [finding for finding in report.findings if "pins" in finding.message]


def test_a_pin_of_a_child_whose_head_cannot_be_read_is_left_alone(office: Office, tmp_path: Path) -> None:
    office.publish(CHILD, parent=base_parent(1))
    office.bucket.put(keys.head(CHILD), b"{}", Unconditional())
    assert not [finding for finding in checked(office, tmp_path).findings if "pins" in finding.message]


# Receipts


@pytest.mark.parametrize(
    "key",
    [
        keys.deployment(CHAT, "prod", "node-1"),
        keys.deployment(CHILD, "prod", "node-1"),
        "deployments/stray.json",
        "deployments/acme/chat/prod/Node.json",
    ],
)
def test_a_receipt_that_is_none_is_garbage(office: Office, tmp_path: Path, key: str) -> None:
    office.bucket.put(key, b'{"format":1}', IfAbsent())
    finding = only(checked(office, tmp_path))
    assert (finding.grade, finding.key) == ("garbage", key)
    assert finding.message.startswith("This is no receipt of an instance: ")


def test_only_the_receipts_of_the_chosen_models_are_read(office: Office) -> None:
    key = keys.deployment(CHAT, "prod", "node-1")
    office.bucket.put(key, b"{}", IfAbsent())
    assert check_registry(office.session(), models=[BASE]).findings == ()
    assert [finding.key for finding in check_registry(office.session(), models=[CHAT]).findings] == [key]
