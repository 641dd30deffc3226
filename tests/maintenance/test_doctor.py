"""Does doctor see what would hurt a registry, say what to do about it, and leave nothing behind?"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.clock import Clock
from bucketry.errors import DeniedError, NotFoundError
from bucketry.maintenance.doctor.examine import examine
from bucketry.maintenance.doctor.rights import find_rights, judge_rights
from bucketry.maintenance.doctor.settings import enforced_kinds, judge_endpoint, judge_enforcement, judge_settings
from bucketry.maintenance.doctor.speed import SAMPLE_BYTES, measure_poll, measure_throughput
from bucketry.registry.core.opening import probe_store, record_conformance
from bucketry.registry.core.session import Session
from bucketry.schema import keys
from bucketry.schema.roles import CREATED_ONCE, REGISTERS
from bucketry.store.contract import Unconditional
from bucketry.store.description import BucketDescription, LifecycleRule, NotKnown
from bucketry.store.folder.store import FolderStore
from bucketry.store.memory import MemoryStore
from infra.role_documents import filled

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.maintenance.doctor.findings import Observation
    from bucketry.store.contract import Condition, ETag

NOW = datetime(2026, 11, 30, tzinfo=UTC)
GOOD = BucketDescription(
    bucket="models",
    prefix="prod/",
    versioning="off",
    lifecycle=(LifecycleRule("uploads", "", aborts_uploads_days=7),),
    object_lock="",
    encryption="AES256",
    policy="",
)


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKETRY_CACHE", "/no/such/cache")


def judged(name: str, **changes: Any) -> Observation:
    return next(finding for finding in judge_settings(replace(GOOD, **changes)) if finding.name == name)


def rule(prefix: str = "", **settings: Any) -> tuple[LifecycleRule, ...]:
    return (LifecycleRule("a rule", prefix, **settings),)


def test_a_bucket_in_order_asks_for_nothing() -> None:
    assert {finding.grade for finding in judge_settings(GOOD)} == {"ok"}


@pytest.mark.parametrize(
    ("prefix", "hurts"),
    [
        ("", True),
        ("prod/", True),
        ("pro", True),
        ("prod/heads/", True),
        ("prod/blobs/acme/", True),
        ("prod/serve/", True),
        ("prod/registry.json", True),
        ("other/", False),
        ("prod/probe/", False),
        ("prod/work/old", False),
        ("prod/deployments/", False),
    ],
)
@pytest.mark.parametrize(
    ("settings", "word"),
    [({"expires_days": 30}, "deletes"), ({"expires_days": 0}, "deletes"), ({"moves_to": ("GLACIER",)}, "moves")],
)
def test_a_rule_that_takes_away_what_is_needed_is_a_failure(
    prefix: str, settings: dict[str, Any], word: str, *, hurts: bool
) -> None:
    finding = judged("lifecycle", lifecycle=rule(prefix, **settings))
    assert finding.grade == ("failure" if hurts else "ok")
    assert (word in finding.message) is hurts
    assert bool(finding.advice) is hurts


def test_classes_that_are_read_at_once_do_no_harm() -> None:
    assert (
        judged("lifecycle", lifecycle=rule(moves_to=("STANDARD_IA", "GLACIER_IR", "INTELLIGENT_TIERING"))).grade == "ok"
    )


@pytest.mark.parametrize(
    ("lifecycle", "grade", "said"),
    [
        ((), "warning", "nobody gives up abandoned uploads"),
        (rule("other/", aborts_uploads_days=7), "warning", "nobody gives up"),
        (rule("prod/blobs/acme/", aborts_uploads_days=7), "warning", "nobody gives up"),
        (rule("prod/", aborts_uploads_days=7), "ok", "after 7 days"),
        (rule(aborts_uploads_days=1), "warning", "after 1 day"),
        (NotKnown("not known: this caller may not ask"), "unknown", "this caller may not ask"),
    ],
)
def test_abandoned_uploads_are_given_up_or_it_is_said(lifecycle: Any, grade: str, said: str) -> None:
    finding = judged("uploads", lifecycle=lifecycle)
    assert finding.grade == grade
    assert said in finding.message


def test_versions_that_are_kept_for_ever_cost_what_gc_frees() -> None:
    assert judged("versioning", versioning="enabled").grade == "warning"
    assert judged("versioning", versioning="enabled", lifecycle=rule("prod/blobs/", expires_older_days=7)).grade == "ok"
    assert (
        judged("versioning", versioning="enabled", lifecycle=rule("prod/heads/", expires_older_days=7)).grade
        == "warning"
    )
    assert judged("versioning", versioning=NotKnown("not known here")).grade == "unknown"


def test_a_lock_on_everything_is_told_since_nothing_could_be_freed() -> None:
    assert judged("object-lock", object_lock="compliance for 30 days").grade == "warning"
    assert judged("object-lock", object_lock="enabled, without a retention by default").grade == "ok"
    assert judged("object-lock").grade == "ok"


@pytest.mark.parametrize(
    ("endpoint", "grade"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "ok"),
        ("http://127.0.0.1:8333", "ok"),
        ("http://localhost:8333", "ok"),
        ("http://10.0.0.7:8333", "warning"),
        ("file", "ok"),
    ],
)
def test_speaking_in_the_clear_over_a_network_is_a_warning(endpoint: str, grade: str) -> None:
    assert judge_endpoint(endpoint).grade == grade


def test_our_own_bucket_policy_is_seen_to_cover_everything_that_must_be_conditional() -> None:
    policy = json.dumps(filled("aws/bucket-policy.json", Bucket="models", Prefix="prod/"))
    found = replace(GOOD, policy=policy)
    assert set(enforced_kinds(policy, found)) >= {*REGISTERS, *CREATED_ONCE, keys.BLOBS, keys.PROBE}
    assert keys.DEPLOYMENTS not in enforced_kinds(policy, found)
    assert judge_enforcement(policy, found, is_refused=None).grade == "ok"
    assert enforced_kinds(policy, replace(found, prefix="other/")) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"Effect": "Allow"},
        {"Principal": {"AWS": "arn:aws:iam::1:user/ada"}},
        {"Action": "s3:GetObject"},
        {"Resource": "arn:aws:s3:::models/other/*"},
        {"Condition": {}},
        {"Condition": {"Null": {"s3:if-none-match": "false"}}},
    ],
)
def test_a_statement_that_enforces_nothing_is_not_taken_for_one(change: dict[str, Any]) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::models/prod/heads/*",
        "Condition": {"Null": {"s3:if-none-match": "true", "s3:if-match": "true"}},
    }
    assert enforced_kinds(json.dumps({"Statement": statement}), GOOD) == (keys.HEADS,)
    assert judge_enforcement(json.dumps({"Statement": statement}), GOOD, is_refused=True).grade == "warning"
    assert enforced_kinds(json.dumps({"Statement": [statement | change]}), GOOD) == ()
    for strange in ("", "[]", "{", '{"Statement": 3}', '{"Statement": [3]}', '{"Statement": {"Condition": []}}'):
        assert enforced_kinds(strange, GOOD) == ()


def test_enforcement_is_tried_where_no_policy_can_be_read() -> None:
    unreadable = NotKnown("not known: this caller may not ask")
    assert "refuses unconditional writes" in judge_enforcement(unreadable, GOOD, is_refused=True).message
    assert judge_enforcement(unreadable, GOOD, is_refused=None).grade == "unknown"
    assert judge_enforcement("", GOOD, is_refused=False).grade == "ok"


def opened(store: Any) -> Session:
    session = Session(store, "ada", Clock(now=lambda: NOW))
    record_conformance(session, probe_store(session), create=True)
    return session


def test_an_examination_of_a_folder_says_what_is_not_known_there_and_leaves_nothing(tmp_path: Path) -> None:
    session = opened(FolderStore(tmp_path))
    found = examine(session)
    assert found.is_sound
    assert found.probe is not None
    assert found.throughput is not None
    assert [entry.key for entry in session.store.list("") if not entry.key.startswith(".")] == [keys.REGISTRY]  # type: ignore[union-attr]
    unknown = {finding.name for finding in found.findings if finding.grade == "unknown"}
    assert unknown == {"versioning", "lifecycle", "uploads", "object-lock", "encryption"}
    assert all("not known here" in finding.message for finding in found.findings if finding.grade == "unknown")


@pytest.mark.skipif(os.geteuid() == 0, reason="to root every folder is writable")
def test_what_the_modes_of_a_folder_forbid_is_seen(tmp_path: Path) -> None:
    (tmp_path / "heads").mkdir()
    (tmp_path / "heads").chmod(0o555)
    found = find_rights(FolderStore(tmp_path), keeps_versions=False)
    assert found.may("write", keys.HEADS) is False
    assert found.may("read", keys.HEADS) is True
    assert found.may("write", keys.BLOBS) is True
    (tmp_path / "heads").chmod(0o755)


def test_a_store_that_cannot_be_asked_is_said_to_be_unknown() -> None:
    finding = judge_rights(find_rights(MemoryStore(), keeps_versions=False))
    assert (finding.grade, finding.message) == (
        "unknown",
        "what this caller may do is not known here: this kind of store cannot be asked",
    )


class Refusing(MemoryStore):
    """A bucket in which this caller may write only below some prefixes, and only under a condition if it says so."""

    def __init__(self, *writable: str, conditions_only: bool = False) -> None:
        super().__init__(clock=lambda: NOW)
        self.writable = writable
        self.conditions_only = conditions_only

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        if not key.startswith(self.writable) or (self.conditions_only and isinstance(condition, Unconditional)):
            raise DeniedError(f"{key}: the store does not allow this with these credentials")
        return super().put(key, body, condition)


def test_who_may_not_probe_is_told_everything_else_and_what_was_recorded() -> None:
    store = Refusing("")
    session = opened(store)
    store.writable = (keys.DEPLOYMENTS,)
    found = examine(session)
    assert found.probe is None
    assert found.is_sound
    promises = next(finding for finding in found.findings if finding.name == "promises")
    assert promises.grade == "unknown"
    assert "it kept all of them at 2026-11-30T00:00:00" in promises.message


def test_who_may_probe_but_not_record_is_told_who_can() -> None:
    store = Refusing("")
    session = opened(store)
    before = store.get(keys.REGISTRY).etag
    store.writable = (keys.PROBE,)
    found = examine(session)
    assert found.probe is not None
    assert [finding.name for finding in found.findings if finding.grade == "warning"] == ["record"]
    assert store.get(keys.REGISTRY).etag == before


@pytest.mark.parametrize("conditions_only", [True, False])
def test_a_try_shows_whether_unconditional_writes_are_refused(*, conditions_only: bool) -> None:
    store = Refusing("")
    session = opened(store)
    store.conditions_only = conditions_only
    finding = next(finding for finding in examine(session).findings if finding.name == "conditional-writes")
    assert ("refuses unconditional writes" in finding.message) is conditions_only
    assert [entry.key for entry in store.list("")] == [keys.REGISTRY]  # type: ignore[union-attr]


def test_there_is_nothing_to_examine_without_a_registry() -> None:
    with pytest.raises(NotFoundError, match="there is no registry at memory:"):
        examine(Session(MemoryStore(), "ada"))


def test_a_poll_and_a_connection_are_measured_by_the_clock() -> None:
    store = MemoryStore()
    session = opened(store)
    ticks = iter(range(1000))
    clock = replace(session.clock, monotonic_seconds=lambda: float(next(ticks)))
    poll = measure_poll(store, clock)
    assert (poll.seconds, poll.is_answered_short, poll.polls_a_month) == (1.0, True, 86_400)
    assert poll.usd_a_month == pytest.approx(0.03456)
    found = measure_throughput(store, clock, f"{keys.PROBE}one/")
    assert found is not None
    assert (found.up, found.down) == (SAMPLE_BYTES, SAMPLE_BYTES)
    assert [entry.key for entry in store.list(keys.PROBE)] == []  # type: ignore[union-attr]


def test_every_kind_has_its_rights_told() -> None:
    assert [kind.prefix for kind in find_rights(MemoryStore(), keeps_versions=True).kinds] == list(keys.KINDS)
