"""Is a replica the registry, whole, never older than it was, and cheap to keep up to date?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.maintenance.doctor.examine import examine
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.commit import Change
from bucketry.registry.core.opening import record_conformance
from bucketry.registry.core.registers import commit_head, load_alias, load_existing_head
from bucketry.registry.core.resolve import resolve
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.review.reviewing import decide
from bucketry.registry.serving.aliases import promote
from bucketry.registry.serving.auditing import load_audit
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.evaluate import evaluate
from bucketry.registry.versions.lifecycle import edit_model, edit_version
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.reviews import Action
from bucketry.schema.documents.settings import decode_registry
from bucketry.schema.names import parse_reference
from bucketry.store.contract import Entry, Unconditional
from bucketry.store.probe.probe import ProbeReport
from maintenance.planting import publish_child, rewrite
from maintenance.replicas import Noting, Pair, assert_whole, content, pair, registers_of
from simulation.actors import BASE, CHAT, CONTENTS, PRODUCTION, Uploader, make_manifest
from simulation.scenes import FEW, NOTHING, REVIEWED, SEALED, new_registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.session import Session
    from bucketry.store.contract import ETag, Object
    from simulation.scenes import Beginning

LISTINGS = {f"list {prefix}": 1 for prefix in (keys.ALIASES, keys.DEPLOYMENTS, keys.HEADS)}
UNCHANGED_SOURCE = {f"get {keys.REGISTRY}": 1, **LISTINGS}


@pytest.mark.parametrize("beginning", [NOTHING, FEW, REVIEWED, SEALED])
def test_a_replica_has_all_that_the_registry_names_and_is_whole(beginning: Beginning) -> None:
    both = pair(beginning)
    report = both.mirror()
    assert report.complete
    assert report.failures == ()
    assert registers_of(both.target) == registers_of(both.source)
    assert content(both.target).items() <= content(both.source).items()
    assert_whole(both.at_replica())
    source, replica = check_registry(both.at_source()), check_registry(both.at_replica())
    assert (replica.models, replica.versions, replica.size_bytes) == (source.models, source.versions, source.size_bytes)


def test_history_evidence_decisions_and_notes_come_with_it() -> None:
    both = pair(SEALED)
    session = both.at_source()
    evaluate(session, CHAT, 3, [Evidence("automated", (Metric("auc", 0.5),))])
    decide(session, CHAT, 3, Action.APPROVE, comment="x" * 600)
    edit_version(session, CHAT, 190, notes="about it")
    both.mirror()
    ours, theirs = load_audit(both.at_source(), CHAT), load_audit(both.at_replica(), CHAT)
    assert theirs.entries == ours.entries
    assert not theirs.faults
    assert_whole(both.at_replica())


def test_an_unchanged_registry_costs_one_listing_of_each_side() -> None:
    both = pair(SEALED)
    both.mirror()
    both.forget()
    report = both.mirror()
    assert both.source.asked == UNCHANGED_SOURCE
    seen = {f"get {keys.REPLICA}": 2}  # what the last mirror saw: one document, and that there is no second
    assert both.target.asked == {**UNCHANGED_SOURCE, **seen}
    assert (report.models, report.copied_objects, report.registers) == (0, 0, 0)


def test_a_new_version_costs_what_is_new_of_it() -> None:
    both = pair(SEALED)
    both.mirror()
    publish(both.at_source(), [CONTENTS[4], CONTENTS[1]])
    both.forget()
    report = both.mirror()
    assert sorted(key.partition("/")[0] for key in both.target.puts) == ["heads", "manifests", "replica"]
    assert both.source.asked[f"get {keys.MANIFESTS}"] == 1
    assert both.source.asked[f"get {keys.PAGES}"] <= 1
    assert (report.models, report.registers, report.copied_objects) == (1, 1, 1)


def test_what_was_sealed_since_is_brought() -> None:
    both = pair(SEALED)
    both.mirror()
    for number in range(70):
        publish(both.at_source(), [CONTENTS[number % 5]], notes=f"{number}")
        promote(both.at_source(), CHAT, 1 + number % 2, PRODUCTION)
    edit_version(both.at_source(), CHAT, 2, notes="an old one, in a sealed page")
    both.mirror()
    assert registers_of(both.target) == registers_of(both.source)
    assert_whole(both.at_replica())


def test_everything_immutable_is_written_before_the_register_that_names_it() -> None:
    both = pair(REVIEWED)
    publish_child(both.at_source())
    both.mirror()
    order = both.target.puts
    head, alias, base = (order.index(key) for key in (keys.head(CHAT), keys.alias(CHAT, PRODUCTION), keys.head(BASE)))
    assert order[0] == keys.REGISTRY or order[0].startswith((keys.POLICIES, keys.HISTORY))
    own = [i for i, key in enumerate(order) if "/acme/chat/" in key and not key.startswith(keys.ALIASES)]
    assert max(own) < head < alias
    assert base < head  # a version of acme/chat is made from one of acme/base


def test_a_base_that_is_given_up_is_told_after_its_child() -> None:
    both = pair(FEW)
    publish_child(both.at_source())
    both.mirror()
    delete_version(both.at_source(), CHAT, 4)
    delete_version(both.at_source(), BASE, 1)
    both.forget()
    both.mirror()
    assert both.target.puts.index(keys.head(CHAT)) < both.target.puts.index(keys.head(BASE))
    assert check_registry(both.at_replica()).damage == ()


def test_an_alias_leaves_a_version_before_the_head_gives_it_up() -> None:
    both = pair(FEW)
    both.mirror()
    named = resolve(both.at_source(), parse_reference("acme/chat@production")).version
    promote(both.at_source(), CHAT, 3, PRODUCTION)
    delete_version(both.at_source(), CHAT, named)
    both.forget()
    both.mirror()
    assert both.target.puts.index(keys.alias(CHAT, PRODUCTION)) < both.target.puts.index(keys.head(CHAT))
    assert check_registry(both.at_replica()).damage == ()


def test_what_is_published_and_promoted_between_two_reads_of_a_mirror_comes_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = pair(FEW)
    read = both.source.get
    moved: list[str] = []

    def get(key: str, *, unless: ETag | None = None) -> Object:
        if key == keys.alias(CHAT, PRODUCTION) and not moved:  # the mirror has read the head by now
            moved.append(key)
            publish(both.at_source(), [CONTENTS[4]], notes="late")
            promote(both.at_source(), CHAT, 4, PRODUCTION)
        return read(key, unless=unless)

    monkeypatch.setattr(both.source, "get", get)
    both.mirror()
    assert moved
    assert check_registry(both.at_replica()).damage == ()
    assert resolve(both.at_replica(), parse_reference("acme/chat@production")).version == 4


def test_a_dry_run_writes_nothing_and_says_what_would_be_copied() -> None:
    both = pair(FEW)
    told = both.mirror(dry_run=True)
    assert content(both.target) == {}
    done = both.mirror()
    both.forget()
    assert (told.models, told.registers, told.copied_bytes) == (done.models, done.registers, done.copied_bytes)
    again = both.mirror(dry_run=True)
    assert both.target.puts == []
    assert (again.copied_objects, again.registers) == (0, 0)


WRITES: tuple[tuple[str, Callable[[Session], object]], ...] = (
    ("publish", lambda session: publish(session, [CONTENTS[1]])),
    ("promote", lambda session: promote(session, CHAT, 2, PRODUCTION)),
    ("edit", lambda session: edit_model(session, CHAT, description="other")),
    ("delete", lambda session: delete_version(session, CHAT, 3)),
    ("approve", lambda session: decide(session, CHAT, 3, Action.APPROVE)),
    ("evaluate", lambda session: evaluate(session, CHAT, 3, [Evidence("automated", (Metric("auc", 0.5),))])),
    ("doctor", examine),
    (
        "record a probe",
        lambda session: record_conformance(session, ProbeReport("memory", "", session.clock.now(), (), None)),
    ),
)


@pytest.mark.parametrize(("what", "write"), WRITES, ids=[what for what, _ in WRITES])
def test_writers_are_refused_at_a_replica_and_told_where_to_go(what: str, write: Callable[[Session], object]) -> None:
    both = pair(FEW)
    both.mirror()
    before = content(both.target)
    with pytest.raises(RejectedError) as refused:
        write(both.at_replica())
    assert "s3://source" in refused.value.advice
    assert content(both.target) == before, what


def test_a_replica_never_goes_back() -> None:
    both = pair(FEW)
    older = both.source.snapshot()
    promote(both.at_source(), CHAT, 3, PRODUCTION)
    edit_model(both.at_source(), CHAT, description="newer")
    both.mirror()
    before = registers_of(both.target)
    both.source.restore(older)
    report = both.mirror()
    assert registers_of(both.target) == before
    assert len(report.failures) == 1
    assert "went back" in report.failures[0].error.message
    assert report.failures[0].error.exit_code == CorruptError.exit_code


def test_a_replica_of_another_history_is_left_alone() -> None:
    both = pair(FEW)
    older = both.source.snapshot()
    edit_model(both.at_source(), CHAT, description="one way")
    both.mirror()
    before = registers_of(both.target)
    both.source.restore(older)
    edit_model(both.at_source(), CHAT, description="another way")
    edit_model(both.at_source(), CHAT, description="and on")
    report = both.mirror()
    assert registers_of(both.target) == before
    assert "not the same in the source and in the replica" in report.failures[0].error.message


def test_a_register_that_the_source_lost_is_kept_and_told() -> None:
    both = pair(FEW)
    both.mirror()
    both.source.delete(keys.head(CHAT))
    report = both.mirror()
    assert keys.head(CHAT) in registers_of(both.target)
    assert {failure.what for failure in report.failures} == {keys.head(CHAT)}


@pytest.mark.parametrize("damage", ["lost", "wrong bytes"])
def test_a_model_of_which_something_is_damaged_stays_as_it_was_and_the_others_come(damage: str) -> None:
    both = pair(FEW)
    victim = next(e.key for e in both.source.list(keys.blobs(CHAT)) if isinstance(e, Entry) and e.size_bytes)
    body = both.source.get(victim).body
    if damage == "lost":
        both.source.delete(victim)
    else:
        both.source.put(victim, bytes(len(body)), Unconditional())
    report = both.mirror(read=True)
    assert [failure.what for failure in report.failures] == [str(CHAT)]
    assert not report.complete
    assert set(registers_of(both.target)) == {keys.head(BASE)}
    both.source.put(victim, body, Unconditional())
    assert both.mirror().complete
    assert_whole(both.at_replica())


def test_places_that_a_mirror_must_not_write_to_are_refused() -> None:
    both = pair(FEW)
    with pytest.raises(UsageError, match="to itself"):
        Pair(both.source, both.source).mirror()
    other = pair(FEW)
    with pytest.raises(RejectedError, match=r"the registry .* itself"):
        Pair(both.source, replace(other, source=renamed(other.source)).source).mirror()
    foreign = Noting("s3://foreign")
    new_registry(foreign)
    rewrite(foreign, keys.REGISTRY, lambda document: document.update(registry="another"))
    with pytest.raises(RejectedError, match="another registry"):
        Pair(both.source, foreign).mirror()
    read_only = replace(both.at_replica(), read_only=True)
    from bucketry.maintenance.mirror.mirror import mirror  # noqa: PLC0415 - the pair's own would open it writable

    with pytest.raises(RejectedError, match="read-only"):
        mirror(both.at_source(), read_only)


def test_a_mirror_that_died_at_any_write_leaves_a_legal_replica_and_goes_on() -> None:
    whole = pair(REVIEWED)
    whole.mirror()
    writes = len(whole.target.puts)
    for dies_at in range(writes):
        both = pair(REVIEWED)
        both.target = Dying("s3://replica", dies_at)
        with pytest.raises(Died):
            both.mirror()
        both.target.dies_at = None
        assert_nothing_dangles(both.at_replica())
        assert both.mirror().complete
        assert registers_of(both.target) == registers_of(both.source)
        assert_whole(both.at_replica())


def test_what_the_replica_lost_comes_back_with_full() -> None:
    both = pair(SEALED)
    both.mirror()
    lost = [e.key for e in both.target.list("") if isinstance(e, Entry) and e.key.startswith((keys.BLOBS, keys.PAGES))]
    for key in lost[::3]:
        both.target.delete(key)
    both.mirror()
    assert check_registry(both.at_replica()).damage
    assert both.mirror(full=True).copied_objects == len(lost[::3])
    assert_whole(both.at_replica())


def test_files_that_the_source_has_freed_are_removed_when_asked_for() -> None:
    both = pair(FEW)
    both.mirror()
    before = content(both.target)
    free(both.at_source(), 3)
    both.mirror()
    assert content(both.target).keys() >= {key for key in before if key.startswith(keys.BLOBS)}
    told = both.mirror(dry_run=True, full=True, prune=True)
    done = both.mirror(full=True, prune=True)
    assert told.pruned_objects == done.pruned_objects == 1
    assert told.pruned_bytes == done.pruned_bytes > 0
    freed = before.keys() - content(both.target).keys()
    assert freed == {key for key in before if key.startswith(keys.BLOBS) and key not in content(both.source)}
    assert_whole(both.at_replica())


def test_a_replica_of_a_replica_is_the_same() -> None:
    both = pair(REVIEWED)
    both.mirror()
    further = Pair(both.target, Noting("s3://further"))
    assert further.mirror().complete
    assert registers_of(further.target) == registers_of(both.source)
    assert_whole(further.at_replica())
    replica = decode_registry(further.target.get(keys.REGISTRY).body, what="registry.json").replica
    assert replica is not None
    assert replica.source == "s3://replica"


def test_receipts_of_instances_come_and_go_with_the_source() -> None:
    both = pair(FEW)
    key = keys.deployment(CHAT, "prod", "one")
    receipt = (
        b'{"actor":"a","alias":null,"at":"2026-03-03T12:00:00.000Z","client":"bucketry","complete":true,"environment":'
        b'"prod","files":1,"format":1,"generation":null,"instance":"one","manifest":"' + b"0" * 64 + b'","model":'
        b'"acme/chat","pulled_at":"2026-03-03T12:00:00.000Z","registry":"0123456789abcdef","size_bytes":1,"verified":'
        b'"sha256","version":1}'
    )
    both.source.put(key, receipt, Unconditional())
    both.mirror()
    assert both.target.get(key).body == receipt
    changed = receipt.replace(b'"version":1', b'"version":2')
    both.source.put(key, changed, Unconditional())
    both.mirror()
    assert both.target.get(key).body == changed
    both.source.delete(key)
    both.mirror()
    assert key not in content(both.target)


def test_an_absent_register_of_a_replica_is_not_lost_but_not_here() -> None:
    both = pair(SEALED)
    both.mirror()
    both.target.delete(keys.head(CHAT))
    replica = both.at_replica()
    assert load_alias(replica, CHAT, PRODUCTION).state is not None
    from bucketry.errors import NotFoundError  # noqa: PLC0415

    with pytest.raises(NotFoundError):
        load_existing_head(replica, CHAT)


def publish(session: Session, contents: list[bytes], notes: str = "later") -> int:
    manifest = make_manifest(CHAT, contents, notes=notes)
    return register_version(session, PreparedVersion(manifest), AnyUploader(session)).version


class AnyUploader(Uploader):
    """Stores whatever the manifest of these tests names."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, CHAT)


def free(session: Session, version: int) -> None:
    """Delete a version and its files, as a garbage collection does after it has raised the epoch."""
    head = load_existing_head(session, CHAT)
    files = resolve(session, parse_reference(f"{CHAT}:{version}")).blob_keys().values()
    delete_version(session, CHAT, version)
    commit_head(session, CHAT, lambda old: Change(replace(old or head, epoch=head.epoch + 1), AuditAction.RAISE_EPOCH))
    for key in files:
        session.store.delete(key)


def renamed(bucket: Noting) -> Noting:
    other = Noting("s3://other")
    other.restore(bucket.snapshot())
    return other


class Died(BaseException):
    """The process of the mirror was killed."""


class Dying(Noting):
    """A place at whose n-th write the mirror dies, before it is done; the probe's own are not counted."""

    def __init__(self, name: str, dies_at: int | None) -> None:
        super().__init__(name)
        self.dies_at = dies_at

    def _note_write(self, key: str) -> None:
        if not key.startswith(keys.PROBE) and self.dies_at is not None and len(self.puts) >= self.dies_at:
            raise Died
        super()._note_write(key)


def assert_nothing_dangles(replica: Session) -> None:
    """Hold that each register of a replica names only what is there, however far the mirror came."""
    try:
        report = check_registry(replica)
    except BaseException as error:
        raise AssertionError(error) from error
    assert all("registry.json" in finding.key for finding in report.damage), report.damage
