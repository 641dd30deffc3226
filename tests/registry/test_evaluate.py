"""Does evidence that comes later count, once, and in one commit?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, NotFoundError, RejectedError, UsageError
from bucketry.interop.evidence.files import parse_evidence_file
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head, load_existing_head
from bucketry.registry.core.resolve import load_evidence
from bucketry.registry.core.rows import load_dossier, load_row, replace_dossier
from bucketry.registry.publishing.publish import PublishRequest, publish
from bucketry.registry.reading.compare import compare_versions
from bucketry.registry.versions import evaluate as evaluating
from bucketry.registry.versions.detail import load_detail
from bucketry.registry.versions.evaluate import evaluate
from bucketry.registry.versions.lifecycle import edit_version
from bucketry.registry.versions.listing import load_trend
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.states import State
from bucketry.schema.names import ModelName, parse_reference
from simulation.actors import CHAT
from simulation.scenes import FEW, SEALED, begin, founder
from simulation.world import SeededScript, World

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head

AUC = Evidence("automated", (Metric("auc", 0.9, direction="higher"),), dataset={"name": "fraud"})
HUMAN = Evidence("human", (Metric("preferred", 0.6),), by="panel@example.org", at="2026-01-01T00:00:00.000Z")


def opened(*, sealed: bool = False) -> Session:
    world = World(SeededScript(0))
    begin(world, SEALED if sealed else FEW)
    return founder(world.bucket)


@pytest.fixture
def session() -> Session:
    return opened()


@pytest.fixture(params=["in the head", "sealed"])
def either(request: pytest.FixtureRequest) -> Session:
    return opened(sealed=request.param == "sealed")


def head(session: Session) -> Head:
    return load_existing_head(session, CHAT)


def evidence(session: Session, version: int) -> tuple[Evidence, ...]:
    current = head(session)
    return load_evidence(session, current, load_row(session, current, version))


def test_evidence_is_cited_by_key_and_digest_in_one_commit(either: Session) -> None:
    before = head(either).generation
    done = evaluate(either, CHAT, 2, [AUC, HUMAN])
    current = head(either)
    row = load_row(either, current, 2)
    assert current.generation == before + 1
    assert current.trail.records[-1].detail == {"evidence": done.evaluations[0].id[:32], "added": 2}
    cited = load_dossier(either, current, row).evidence
    assert [(one.key, one.sha256) for one in cited] == [
        (keys.evidence(CHAT, row.manifest, item.id), item.id) for item in done.evaluations
    ]
    detail = load_detail(either, parse_reference("acme/chat:2"))
    assert [item["kind"] for item in detail.evidence][-2:] == ["automated", "human"]
    assert check_registry(either).findings == ()


def test_who_and_when_are_filled_in_where_nobody_says_it(session: Session) -> None:
    evaluate(session, CHAT, 2, [AUC, HUMAN])
    added, human = evidence(session, 2)[-2:]
    assert (added.by, bool(added.at)) == (session.actor, True)
    assert (human.by, human.at) == ("panel@example.org", "2026-01-01T00:00:00.000Z")


def test_the_same_evidence_is_added_once_whoever_brings_it(session: Session) -> None:
    first = evaluate(session, CHAT, 2, [AUC])
    generation = head(session).generation
    again = evaluate(replace(session, actor="other@example.org"), CHAT, 2, [AUC, AUC])
    assert [item.created for item in again.evaluations] == [False, False]
    assert {item.id for item in again.evaluations} == {first.evaluations[0].id}
    assert head(session).generation == generation


def test_what_a_file_dates_itself_is_another_evaluation(session: Session) -> None:
    evaluate(session, CHAT, 2, [AUC])
    assert evaluate(session, CHAT, 2, [replace(AUC, at="2026-02-02T00:00:00.000Z")]).evaluations[0].created


def test_what_came_with_the_publish_is_not_added_again_and_what_is_new_is(session: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    done = publish(session, PublishRequest(CHAT, [tmp_path / "file"], evidence=[AUC]))
    both = evaluate(session, CHAT, done.version, [AUC, HUMAN])
    assert [(item.created, item.id == done.manifest) for item in both.evaluations] == [(False, True), (True, False)]
    again = evaluate(session, CHAT, done.version, [HUMAN, AUC])
    assert [item.id for item in again.evaluations] == [both.evaluations[1].id, done.manifest]
    assert len(evidence(session, done.version)) == 2
    assert load_row(session, head(session), done.version).metrics == {"auc": 0.9, "preferred": 0.6}
    assert check_registry(session).findings == ()


def test_only_what_is_new_is_added(session: Session) -> None:
    evaluate(session, CHAT, 2, [AUC])
    done = evaluate(session, CHAT, 2, [AUC, HUMAN, HUMAN])
    assert [item.created for item in done.evaluations] == [False, True, False]
    assert len(evidence(session, 2)) == 2


def test_the_row_shows_what_was_measured_last_on_the_same_data(either: Session) -> None:
    evaluate(either, CHAT, 2, [AUC])
    assert load_row(either, head(either), 2).metrics == {"auc": 0.9}
    evaluate(either, CHAT, 2, [replace(AUC, metrics=(Metric("auc", 0.8), Metric("f1", 0.5)))])
    evaluate(either, CHAT, 2, [replace(AUC, metrics=(Metric("auc", 0.1),), dataset={"name": "other"})])
    assert load_row(either, head(either), 2).metrics == {"auc": 0.8, "f1": 0.5}


def test_what_was_added_before_stays(session: Session) -> None:
    edit_version(session, CHAT, 2, notes="noted")
    evaluate(session, CHAT, 2, [AUC])
    assert load_detail(session, parse_reference("acme/chat:2")).dossier.notes == "noted"


def test_a_version_that_is_being_deleted_takes_no_evidence(session: Session) -> None:
    def edit(old: Head | None) -> Change[Head]:
        assert old is not None
        row = load_row(session, old, 2)
        return Change(
            replace(old, rows=old.with_row(replace(row, state=State.DELETING))), AuditAction.DELETE, target="2"
        )

    commit_head(session, CHAT, edit)
    with pytest.raises(RejectedError, match="being deleted"):
        evaluate(session, CHAT, 2, [AUC])


def test_what_cannot_be_added(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no evidence"):
        evaluate(session, CHAT, 2, [])
    with pytest.raises(NotFoundError):
        evaluate(session, CHAT, 99, [AUC])
    with pytest.raises(NotFoundError):
        evaluate(session, ModelName("acme", "none"), 1, [AUC])
    with pytest.raises(UsageError, match="cannot be compared"):
        evaluate(session, CHAT, 2, [replace(AUC, metrics=(Metric("auc", float("nan")),))])
    monkeypatch.setattr(evaluating, "MOST_EVALUATIONS", 1)
    with pytest.raises(RejectedError, match="more than 1 evaluations"):
        evaluate(session, CHAT, 2, [AUC, HUMAN])


def test_evidence_about_another_version_is_corrupt(session: Session) -> None:
    evaluate(session, CHAT, 2, [AUC])
    current = head(session)
    cited = load_dossier(session, current, load_row(session, current, 2))

    def edit(old: Head | None) -> Change[Head]:
        assert old is not None
        row = load_row(session, old, 3)
        dossier = replace(load_dossier(session, old, row), evidence=cited.evidence)
        changed, objects = replace_dossier(session, old, row, dossier)
        return Change(changed, AuditAction.EDIT, objects=objects)

    commit_head(session, CHAT, edit)
    with pytest.raises(CorruptError, match="about another version"):
        evidence(session, 3)


def test_a_trend_finds_what_the_rows_do_not_show(session: Session) -> None:
    many = tuple(Metric(f"m{number}", number) for number in range(12))
    evaluate(session, CHAT, 1, [replace(AUC, metrics=many)])
    evaluate(session, CHAT, 3, [replace(AUC, metrics=(Metric("m11", 5),))])
    current = head(session)
    assert "m11" not in load_row(session, current, 1).metrics
    trend = load_trend(session, current, current.rows, "m11")
    assert [(point.version, point.value) for point in trend.points] == [(1, 11), (2, None), (3, 5)]
    assert trend.unread == 0


def test_a_trend_says_how_many_versions_it_did_not_look_into(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(session, CHAT, 1, [AUC])
    monkeypatch.setattr("bucketry.registry.versions.listing.MOST_LOOKED_INTO", 1)
    trend = load_trend(session, head(session), head(session).rows, "auc")
    assert (trend.measured, trend.unread) == (((1, 0.9),), 1)


def test_versions_are_compared_with_all_of_their_evidence(session: Session) -> None:
    evaluate(session, CHAT, 1, [AUC])
    evaluate(session, CHAT, 3, [replace(AUC, metrics=(Metric("auc", 0.95),))])
    diff = compare_versions(session, [parse_reference(f"acme/chat:{version}") for version in (1, 3)])
    assert [(metric.name, metric.values, metric.comparisons[0].verdict) for metric in diff.metrics] == [
        ("auc", (0.9, 0.95), "higher")
    ]


@pytest.mark.parametrize("count", [0, 1, 17])
def test_two_to_sixteen_versions_are_compared(session: Session, count: int) -> None:
    with pytest.raises(UsageError, match=f"^{count} versions cannot be compared"):
        compare_versions(session, [parse_reference("acme/chat:1")] * count)


def test_nothing_is_published_with_evidence_that_no_reader_would_accept(session: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    twice = replace(AUC, metrics=(Metric("auc", 0.9), Metric("auc", 0.8)))
    request = PublishRequest(CHAT, [tmp_path / "file"], evidence=[AUC, twice])
    with pytest.raises(UsageError, match="'auc' stands twice"):
        publish(session, request)
    assert head(session).next_version == 4


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({"at": "yesterday"}, "is not a time"),
        ({"at": "2026-13-01T00:00:00Z"}, "is not a time"),
        ({"by": "a" * 257}, "printable"),
        ({"by": "eve\x1b[2J"}, "printable"),
    ],
)
def test_when_and_by_whom_must_be_a_time_and_a_name(session: Session, claim: dict[str, str], words: str) -> None:
    body = json.dumps({"metrics": [{"name": "auc", "value": 0.9}]} | claim).encode()
    with pytest.raises(UsageError, match=words):
        parse_evidence_file(body, what="the file")
    with pytest.raises(UsageError, match=words):
        evaluate(session, CHAT, 2, [replace(AUC, **claim)])  # type: ignore[arg-type]
