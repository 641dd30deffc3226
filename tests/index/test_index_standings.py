"""Does a list say of each version how its reviews stand, without asking the bucket twice?"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bucketry.index.fields import Field, find_field, list_fields, load_headlines
from bucketry.index.refresh import refresh_index
from bucketry.index.review_summary import Stage
from bucketry.index.standings import refresh_standings
from bucketry.index.store import Index
from bucketry.index.views import find_version_line, list_versions_by, load_version_lines
from bucketry.registry.core.counting import counted
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.policies import set_policy
from bucketry.registry.serving.aliases import promote, roll_back
from bucketry.registry.versions.evaluate import evaluate
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import encode_manifest
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import Action, Review, Statement, encode_statement
from simulation.actors import CONTENTS, Uploader, make_manifest
from tui.desk import CHAT, PRODUCTION, RISK, TRAINER, Registry, empty_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.index.views import VersionLine

TWO = "approvals_required = 2\n"
MEASURED = TWO + '[[gate]]\nevidence = "human"\nat_least = 1\n'
FRED = "fred@example.org"


@pytest.fixture
def index() -> Iterator[Index]:
    with Index(None) as opened:
        yield opened


def registry_of(versions: int, policy: str = TWO) -> Registry:
    registry = empty_registry()
    for version in range(1, versions + 1):
        registry.publish(RISK, version)
    set_policy(registry.session(), RISK, parse_policy_toml(policy, what="p"))
    return registry


def look(index: Index, registry: Registry) -> tuple[dict[int, VersionLine], int]:
    """Refresh the index and the standings of all versions; return the versions, and what the latter asked for."""
    session, count = counted(registry.session())
    refresh_index(index, session, details=False)
    assert session.registry
    before = count.made
    ids = list(list_versions_by(index, RISK).ids)
    refresh_standings(index, session, RISK, ids, threading.Event())
    return {row.version: row for row in load_version_lines(index, RISK, ids)}, count.made - before


def test_approvals_that_count_are_shown_of_those_that_the_policy_needs(index: Index) -> None:
    registry = registry_of(3)
    registry.decide(2, Action.REQUEST, by=TRAINER)
    registry.decide(3, Action.APPROVE)
    rows, _ = look(index, registry)
    assert (rows[1].stage, rows[2].stage, rows[3].stage) == (Stage.NONE, Stage.COUNTED, Stage.COUNTED)
    assert rows[1].noted is None
    assert [(row.noted.approvals, row.noted.required) for row in (rows[2], rows[3]) if row.noted] == [(0, 2), (1, 2)]


def test_what_is_known_is_not_read_again_until_something_changes(index: Index) -> None:
    registry = registry_of(2)
    registry.decide(2, Action.APPROVE)
    look(index, registry)
    assert look(index, registry)[1] == 0
    registry.decide(2, Action.APPROVE, by=FRED)
    refresh_index(index, registry.session(), details=False)
    found = find_version_line(index, RISK, 2)
    assert found is not None
    assert (found.stage, found.is_signed) == (Stage.UNREAD, None)  # not what was noted of it before
    rows, asked = look(index, registry)
    assert asked > 0
    assert rows[2].noted is not None
    assert rows[2].noted.approvals == 2


@pytest.mark.parametrize("default", [False, True])
def test_another_policy_is_counted_by_at_once(index: Index, *, default: bool) -> None:
    registry = registry_of(1, "") if default else registry_of(1)
    registry.decide(1, Action.REQUEST, by=TRAINER)
    look(index, registry)
    set_policy(registry.session(), None if default else RISK, parse_policy_toml("approvals_required = 3", what="p"))
    rows, _ = look(index, registry)
    assert rows[1].noted is not None
    assert rows[1].noted.required == 3


def test_an_index_that_is_behind_notes_nothing_and_reports_no_change(index: Index) -> None:
    registry = registry_of(1)
    registry.decide(1, Action.REQUEST, by=TRAINER)
    look(index, registry)
    set_policy(registry.session(), RISK, parse_policy_toml("approvals_required = 3", what="p"))
    registry.decide(1, Action.APPROVE)
    ids = list_versions_by(index, RISK).ids
    with index.writing() as connection:
        connection.execute("DELETE FROM standings")
    assert refresh_standings(index, registry.session(), RISK, ids, threading.Event()) == 0
    found = find_version_line(index, RISK, 1)
    assert found is not None
    assert found.noted is None


def test_a_refusal_says_by_whom_and_whether_it_revoked(index: Index) -> None:
    registry = registry_of(2, "approvals_required = 1")
    registry.decide(1, Action.REJECT, comment="no", by=FRED)
    registry.decide(2, Action.APPROVE)
    registry.decide(2, Action.REVOKE, comment="no", by=FRED)
    rows, _ = look(index, registry)
    assert (rows[1].stage, rows[2].stage) == (Stage.REJECTED, Stage.REVOKED)
    assert all(row.noted is not None and row.noted.refused_by == FRED for row in rows.values())


def test_an_approval_whose_time_is_over_expires_without_any_commit(index: Index) -> None:
    registry = registry_of(1, "approvals_required = 1\napproval_expires_days = 2")
    registry.decide(1, Action.APPROVE)
    assert look(index, registry)[0][1].stage is Stage.COUNTED
    registry.clock.at += timedelta(days=3)
    rows, _ = look(index, registry)
    assert rows[1].stage is Stage.EXPIRED
    assert look(index, registry)[1] == 0


def test_a_gate_without_its_evidence_waits_for_checks(index: Index) -> None:
    registry = registry_of(2, MEASURED)
    registry.decide(2, Action.REQUEST, by=TRAINER)
    rows, _ = look(index, registry)
    assert (rows[1].stage, rows[2].stage) == (Stage.NONE, Stage.CHECKS)
    evaluate(registry.session(), RISK, 2, [Evidence("human", (Metric("auc", 0.5),))])
    assert look(index, registry)[0][2].stage is Stage.COUNTED


def test_a_publish_signature_is_found_and_nothing_else_counts_as_one(index: Index) -> None:
    registry = registry_of(1)
    registry.decide(1, Action.APPROVE)
    session = registry.session(TRAINER)
    manifest = replace(make_manifest(RISK, [CONTENTS[1]], notes="signed"), created_by=TRAINER)
    prepared = PreparedVersion(manifest, {}, {})
    statement = Statement(
        session.registry.registry,
        RISK,
        digest_of(encode_manifest(manifest)),
        Action.PUBLISH,
        TRAINER,
        0,
        session.clock.timestamp(),
    )
    signed = Review(encode_statement(statement), "-----BEGIN SSH SIGNATURE-----")
    register_version(session, replace(prepared, signature=signed), Uploader(session, RISK))
    registry.publish(RISK, 3)
    rows, _ = look(index, registry)
    assert [rows[version].is_signed for version in (1, 2, 3)] == [False, True, False]


def test_what_an_alias_named_before_is_where_a_roll_back_goes(index: Index) -> None:
    registry = registry_of(3, "")
    session = registry.session()
    for version in (1, 2, 3):
        promote(session, RISK, version, PRODUCTION)
    rows, _ = look(index, registry)
    assert [rows[version].named_before for version in (1, 2, 3)] == [(), (PRODUCTION,), ()]
    roll_back(session, RISK, PRODUCTION)
    rows, _ = look(index, registry)
    assert [rows[version].named_before for version in (1, 2, 3)] == [(PRODUCTION,), (), ()]


def test_versions_without_what_is_sorted_by_come_last_both_ways(index: Index) -> None:
    registry = registry_of(3)
    registry.decide(2, Action.REQUEST, by=TRAINER)
    promote(registry.session(), RISK, 3, PRODUCTION)
    evaluate(registry.session(), RISK, 1, [Evidence("automated", (Metric("f1", 0.5),))])
    look(index, registry)
    refresh_index(index, registry.session())
    rows = {row.row_id: row.version for row in load_version_lines(index, RISK, list_versions_by(index, RISK).ids)}

    def sorted_by(order: str, *, descending: bool) -> list[int]:
        return [rows[row_id] for row_id in list_versions_by(index, RISK, order=order, descending=descending).ids]

    for order, only in (("review", 2), ("alias", 3), ("metric:f1", 1)):
        assert [sorted_by(order, descending=way)[0] for way in (False, True)] == [only, only], order
    assert sorted_by("param:seed", descending=True) == [3, 2, 1]
    assert sorted_by("param:seed", descending=False) == [1, 2, 3]
    assert sorted_by("signed", descending=True) == [3, 2, 1]


def test_fields_are_what_the_newest_versions_have_and_are_loaded_by_their_spelling(index: Index) -> None:
    registry = registry_of(2)
    registry.publish(RISK, 3, labels={"Team": "risk"})
    registry.publish(CHAT, 1)
    evaluate(registry.session(), RISK, 3, [Evidence("automated", (Metric("auc", 0.5, slice={"age": "18"}),))])
    refresh_index(index, registry.session())
    spelled = [field.spelled for field in list_fields(index, RISK)]
    assert spelled == ["label:Team", "metric:auc", "metric:p95_ms", "metric:auc[age=18]", "param:lr", "param:seed"]
    assert [find_field(name) for name in spelled] == list_fields(index, RISK)
    fields = [Field("metric", "auc", (("age", "18"),)), Field("param", "seed")]
    newest = load_version_lines(index, RISK, list_versions_by(index, RISK).ids, fields=fields)[0]
    assert newest.fields == {"metric:auc[age=18]": 0.5, "param:seed": 3}
    assert [(each.name, each.is_whole) for each in load_headlines(index, RISK)] == [("auc", False), ("p95_ms", False)]
    assert [find_field(name) for name in ("version", "colour:red", "label:")] == [None, None, None]
