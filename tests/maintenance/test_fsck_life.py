"""A version's whole life leaves nothing for the check to find, and the check reads nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from bucketry.maintenance.doctor.examine import examine
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.session import Session
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.policies import set_policy
from bucketry.registry.review.reviewing import decide
from bucketry.registry.serving.aliases import promote, roll_back, unset
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.evaluate import evaluate
from bucketry.registry.versions.lifecycle import edit_version, retire, unretire
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.deployment import Deployment, Place, encode_deployment
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import encode_manifest
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action, Statement
from bucketry.schema.names import ModelName
from bucketry.store.contract import IfAbsent
from maintenance.offices import copied
from maintenance.planting import made
from registry.people import ANNA, BERT, CHAT, PRODUCTION, TRAINER
from simulation.actors import CONTENTS, Uploader, make_manifest
from simulation.scenes import FEW, REGISTRY, SEALED, base_parent, founder
from simulation.world import Bucket
from trust.people import Person

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.store.contract import ETag, Object, Store

CHILD = ModelName("acme", "child")
POLICY = """
approvals_required = 2
separate_duties = true
signatures = "required"
protected_aliases = ["production"]
approval_expires_days = 30
[[gate]]
metric = "auc"
at_least = 0.8
"""


@dataclass(frozen=True)
class Team:
    """People who work on one registry, each with a key."""

    like: Session

    def session(self, actor: str = TRAINER) -> Session:
        return Session(self.like.store, actor, self.like.clock)

    def decide(self, actor: str, action: Action, version: int) -> None:
        decide(self.session(actor), CHAT, version, action, comment="because", sign=Person(actor).sign)

    def publish(self, notes: str) -> int:
        manifest = make_manifest(CHAT, [CONTENTS[1]], notes=notes, parents=(base_parent(1),))
        at = self.like.clock.timestamp()
        statement = Statement(REGISTRY, CHAT, digest_of(encode_manifest(manifest)), Action.PUBLISH, TRAINER, 1, at)
        signature = Person(TRAINER).sign(statement)
        session = self.session()
        prepared = PreparedVersion(manifest, signature=signature)
        return register_version(session, prepared, Uploader(session, CHAT)).version

    def measure(self, version: int, auc: float) -> None:
        evaluate(self.session(), CHAT, version, [Evidence("automated", metrics=(Metric("auc", auc),))])

    def report(self, version: int) -> None:
        receipt = Deployment(
            registry=REGISTRY,
            model=CHAT,
            version=version,
            manifest=digest_of(b"m"),
            place=Place("prod", "node-1"),
            actor=TRAINER,
            at=self.like.clock.timestamp(),
            verified="sha256",
            files=1,
            size_bytes=4,
            complete=True,
            client="bucketry 1",
        )
        self.like.store.put(receipt.key, encode_deployment(receipt), IfAbsent())


def live(team: Team) -> None:
    """Let three versions be published, judged, served, taken back and given up."""
    set_policy(team.session(), None, parse_policy_toml("approvals_required = 1", what="p"))
    set_policy(team.session(), CHAT, parse_policy_toml(POLICY, what="p"))
    first, second, third = (team.publish(notes) for notes in ("first", "second", "third"))
    for version in (first, second, third):
        team.measure(version, 0.9)
        team.decide(TRAINER, Action.REQUEST, version)
        team.decide(ANNA, Action.COMMENT, version)
        team.decide(ANNA, Action.APPROVE, version)
        team.decide(BERT, Action.APPROVE, version)
    for version in (first, second):
        promote(team.session(), CHAT, version, PRODUCTION, reason="r" * 100)
    team.report(second)
    team.measure(second, 0.95)
    team.decide(ANNA, Action.APPROVE, second)
    roll_back(team.session(), CHAT, PRODUCTION)
    team.decide(BERT, Action.REVOKE, first)
    promote(team.session(), CHAT, second, PRODUCTION)
    retire(team.session(), CHAT, second)
    unretire(team.session(), CHAT, second)
    edit_version(team.session(), CHAT, second, notes="kept")
    delete_version(team.session(), CHAT, first, reason="refused")
    team.decide(ANNA, Action.REVOKE, second)
    unset(team.session(), CHAT, PRODUCTION)
    promote(team.session(), CHAT, third, PRODUCTION)


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    bucket = made(FEW)
    if request.param == "memory":
        return bucket
    folder = copied(bucket, tmp_path)
    examine(replace(founder(bucket), store=folder))
    return folder


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_life_leaves_nothing_to_find(store: Store, *, deep: bool) -> None:
    team = Team(replace(founder(made(FEW)), store=store))
    live(team)
    report = check_registry(team.session(), deep=deep)
    assert report.findings == ()
    assert (report.models, report.versions) == (2, 8)


class _Counting(Bucket):
    """A bucket that counts how often each object is read."""

    def __init__(self, like: Bucket) -> None:
        super().__init__()
        self.restore(like.snapshot())
        self.reads: Counter[str] = Counter()

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        self.reads[key] += 1
        return super().get(key, unless=unless)


@pytest.mark.parametrize("beginning", [FEW, SEALED])
def test_nothing_that_a_model_has_is_read_twice(beginning: object) -> None:
    bucket = made(SEALED if beginning is SEALED else FEW)
    live(Team(founder(bucket)))
    counting = _Counting(bucket)
    assert check_registry(founder(counting)).findings == ()
    assert counting.reads.total() > 40
    twice = {key: reads for key, reads in counting.reads.items() if reads > 1}
    # A base is looked at once more for each model that has children of it: its pin must be there after the child is.
    assert all(key.startswith(("heads/acme/base", "pages/acme/base/")) and n == 2 for key, n in twice.items()), twice


def test_many_versions_of_one_base_cost_one_look_at_it() -> None:
    bucket = made(FEW)
    team = Team(founder(bucket))
    for number in range(12):
        team.publish(f"child {number}")
    counting = _Counting(bucket)
    assert check_registry(founder(counting)).findings == ()
    assert max(counting.reads.values()) == 2
    assert counting.reads[keys.head(CHAT)] == 1


def test_a_pin_without_a_child_does_not_make_the_check_read_the_childs_versions_again() -> None:
    bucket = made(FEW)
    team = Team(founder(bucket))
    team.publish("stays")
    manifest = make_manifest(CHAT, [CONTENTS[1]], notes="goes", parents=(base_parent(2),))
    session = team.session()
    gone = register_version(session, PreparedVersion(manifest), Uploader(session, CHAT)).version
    delete_version(team.session(), CHAT, gone)
    counting = _Counting(bucket)
    findings = check_registry(founder(counting)).findings
    assert any("pins version 2 of acme/base" in finding.message for finding in findings)
    assert {reads for key, reads in counting.reads.items() if key.startswith(keys.MANIFESTS)} == {1}
