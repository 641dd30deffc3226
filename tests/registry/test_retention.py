"""Which old versions go by the rules, which stay whatever they say, and what is decided again at the last moment?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, NotFoundError, RejectedError, UsageError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.registers import load_head
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.reviewing import decide
from bucketry.registry.serving.aliases import promote, unset
from bucketry.registry.serving.auditing import load_audit
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.lifecycle import LabelEdit, edit_version
from bucketry.registry.versions.listing import iter_versions
from bucketry.registry.versions.retention import (
    NO_RULES,
    apply_retention,
    load_retention,
    plan_retention,
    set_retention,
)
from bucketry.schema import keys
from bucketry.schema.documents.deployment import Deployment, Place, encode_deployment
from bucketry.schema.documents.retention import Retention, parse_retention_toml, read_retention
from bucketry.schema.documents.reviews import Action
from bucketry.schema.names import AliasName, ModelName
from bucketry.store.contract import Unconditional
from maintenance.planting import head_of, made, publish_child, rewrite
from simulation.actors import BASE, CHAT, CONTENTS, Uploader, make_manifest
from simulation.scenes import FEW, founder
from simulation.world import BEGINNING

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from simulation.world import Bucket

RULES = Retention(delete_after_days=30, keep_newest=1, keep_promoted=False, keep_approved=False)
STAGING = AliasName("staging")


@pytest.fixture
def bucket() -> Bucket:
    return made(FEW)  # chat:1 to 3; production names 2 and would be rolled back to 1


@pytest.fixture
def session(bucket: Bucket) -> Session:
    session = founder(bucket)
    return replace(session, clock=replace(session.clock, now=lambda: BEGINNING + timedelta(days=100)))


def publish(session: Session, count: int = 1, model: ModelName = CHAT) -> None:
    for number in range(count):
        manifest = make_manifest(model, [CONTENTS[4]], notes=f"more {number}")
        register_version(session, PreparedVersion(manifest), Uploader(session, model))


def kept(session: Session, model: ModelName = CHAT) -> dict[int, str]:
    return {fate.version: fate.why for fate in plan_retention(session, model).fates if fate.is_kept}


def there(session: Session, model: ModelName = CHAT) -> list[int]:
    return sorted(summary.version for summary in iter_versions(session, head_of(session, model)))


# Rules


def test_without_rules_nothing_goes(session: Session) -> None:
    assert load_retention(session, CHAT) == load_retention(session, None)
    assert load_retention(session, CHAT).rules == NO_RULES
    assert kept(session) == {
        3: "these rules delete nothing",
        2: "production names it",
        1: "production would be rolled back to it",
    }


def test_the_rules_of_a_model_replace_the_default(session: Session) -> None:
    assert set_retention(session, None, RULES)
    assert load_retention(session, CHAT).set_by == "default"
    own = Retention(delete_after_days=0, keep_labels=("release",))
    assert set_retention(session, CHAT, own)
    assert not set_retention(session, CHAT, own)
    assert (load_retention(session, CHAT).rules, load_retention(session, CHAT).set_by) == (own, "model")
    assert (load_retention(session, BASE).rules, load_retention(session, BASE).set_by) == (RULES, "default")
    assert check_registry(session).findings == ()
    record = load_audit(session, CHAT).entries[-1].record
    assert (record.action, dict(record.detail)) == ("set-retention", {"delete_after_days": 0, "keep_newest": 1})
    with pytest.raises(NotFoundError):
        set_retention(session, ModelName("acme", "none"), own)


def test_a_file_says_what_is_wrong_with_it() -> None:
    read = parse_retention_toml('delete_after_days = 90\nkeep_newest = 10\nkeep_labels = ["a", "env=prod"]', what="r")
    assert read == Retention(90, 10, keep_labels=("a", "env=prod"))
    for text, wrong in (
        ("", "does not say delete_after_days"),
        ("delete_after_days = -1", "r: delete_after_days is not a whole number"),
        ("delete_after_days = 1\nkeep_newst = 1", 'unknown key "keep_newst"'),
        ('delete_after_days = 1\nkeep_labels = ["=x"]', "is no label"),
        ("delete_after_days = ", "is not TOML"),
        (f"delete_after_days = 1\n#{'x' * 5000}", "is larger than"),
    ):
        with pytest.raises(UsageError, match=wrong):
            parse_retention_toml(text, what="r")


def test_rules_that_cannot_be_read_delete_nothing(bucket: Bucket, session: Session) -> None:
    set_retention(session, CHAT, RULES)
    rewrite(bucket, keys.head(CHAT), lambda head: head.update(retention={"delete_after_days": "soon"}))
    with pytest.raises(CorruptError, match="delete_after_days is not a whole number"):
        plan_retention(session, CHAT)
    assert any("retention rules cannot be read" in found.message for found in check_registry(session).damage)
    assert read_retention(None, what="x") is None
    kept_field = read_retention({"delete_after_days": 1, "new": 2}, what="x")
    assert kept_field is not None
    assert kept_field.to_document()["new"] == 2


# What goes


def test_old_versions_go_but_for_those_that_somebody_needs(session: Session) -> None:
    publish(session, 3)  # 4, 5 and 6
    set_retention(session, CHAT, RULES)
    assert kept(session) == {
        6: "one of the newest 1",
        2: "production names it",
        1: "production would be rolled back to it",
    }
    done = apply_retention(session, plan_retention(session, CHAT))
    assert [fate.version for fate in done.deleted] == [3, 4, 5]
    assert (done.refused, done.size_bytes) == ((), len(CONTENTS[3]) + 2 * len(CONTENTS[4]))
    assert there(session) == [1, 2, 6]
    assert plan_retention(session, CHAT).going == ()
    assert check_registry(session).damage == ()
    reasons = {entry.record.detail.get("reason") for entry in load_audit(session, CHAT).entries}
    assert "retention rules" in reasons


def test_what_is_not_old_stays(session: Session) -> None:
    publish(session)
    set_retention(session, CHAT, replace(RULES, delete_after_days=100))
    assert kept(session)[3] == "not older than 100 days"


@pytest.mark.parametrize("keeps", [True, False])
def test_what_was_ever_promoted_is_kept_if_the_rules_say_so(session: Session, *, keeps: bool) -> None:
    promote(session, CHAT, 3, STAGING)
    unset(session, CHAT, STAGING)
    promote(session, CHAT, 2, STAGING)  # a rollback would go to 3, so move on until it does not
    for _ in range(2):
        promote(session, CHAT, 1, STAGING)
        promote(session, CHAT, 2, STAGING)
    publish(session)
    set_retention(session, CHAT, replace(RULES, keep_promoted=keeps))
    assert kept(session).get(3, "") == ("was promoted" if keeps else "")


def test_what_is_approved_in_review_or_labelled_is_kept(session: Session) -> None:
    publish(session, 4)
    decide(session, CHAT, 3, Action.APPROVE)
    decide(session, CHAT, 4, Action.REQUEST)
    edit_version(session, CHAT, 5, labels=LabelEdit({"env": "prod"}))
    edit_version(session, CHAT, 6, labels=LabelEdit({"env": "test"}))
    set_retention(session, CHAT, replace(RULES, keep_approved=True, keep_labels=("env=prod",)))
    assert {version: why for version, why in kept(session).items() if version in {3, 4, 5, 6}} == {
        3: "approved",
        4: "in review",
        5: "has the label env=prod",
    }
    set_retention(session, CHAT, replace(RULES, keep_labels=("env",)))
    assert set(kept(session)) == {1, 2, 4, 5, 6, 7}


def test_what_others_are_made_from_and_what_an_instance_reports_is_kept(bucket: Bucket, session: Session) -> None:
    publish(session, 2, BASE)
    publish_child(session)
    set_retention(session, None, RULES)
    deployment = Deployment(
        registry=session.registry.registry,
        model=BASE,
        version=2,
        manifest=head_of(session, BASE).rows[1].manifest,
        place=Place("prod", "node-1"),
        actor="node@example.org",
        at="2026-03-03T12:00:00Z",
        verified="sha256",
        files=1,
        size_bytes=1,
        complete=True,
        client="bucketry",
    )
    bucket.put(deployment.key, encode_deployment(deployment), Unconditional())
    assert kept(session, BASE) == {
        4: "one of the newest 1",
        2: "prod/node-1 reports that it serves it",
        1: "versions of acme/chat are made from it",
    }
    apply_retention(session, plan_retention(session, BASE))
    assert there(session, BASE) == [1, 2, 4]


# What is decided again


def test_a_version_that_was_promoted_since_the_plan_stays_and_is_named(session: Session) -> None:
    publish(session, 2)
    set_retention(session, CHAT, RULES)
    plan = plan_retention(session, CHAT)
    assert [fate.version for fate in plan.going] == [3, 4]
    promote(session, CHAT, 3, STAGING)
    done = apply_retention(session, plan)
    assert [fate.version for fate in done.deleted] == [4]
    assert [(fate.version, fate.why) for fate in done.refused] == [(3, "version 3 is kept by now: staging names it")]
    assert there(session) == [1, 2, 3, 5]


def test_the_newest_stay_although_one_was_deleted_since_the_plan(session: Session) -> None:
    publish(session, 2)
    set_retention(session, CHAT, RULES)
    plan = plan_retention(session, CHAT)
    delete_version(session, CHAT, 5)
    done = apply_retention(session, plan)
    assert ([fate.version for fate in done.deleted], [fate.version for fate in done.refused]) == ([3], [4])
    assert there(session) == [1, 2, 4]


def test_rules_that_were_taken_back_since_the_plan_delete_nothing(session: Session) -> None:
    publish(session, 2)
    set_retention(session, CHAT, RULES)
    plan = plan_retention(session, CHAT)
    set_retention(session, CHAT, Retention(delete_after_days=0))
    done = apply_retention(session, plan)
    assert (done.deleted, len(done.refused)) == ((), 2)


def test_who_may_not_write_may_only_plan(session: Session) -> None:
    publish(session, 2)
    set_retention(session, CHAT, RULES)
    reader = replace(session, read_only=True)
    plan = plan_retention(reader, CHAT)
    with pytest.raises(RejectedError, match="read-only"):
        apply_retention(reader, plan)
    assert load_head(session, CHAT).state == head_of(session)
