"""Does a deep check that many machines share find what one finds, whoever repeats or changes anything meanwhile?"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.errors import CorruptError, NotFoundError, RejectedError, UnavailableError, UsageError
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.gc.collection import apply_collection, plan_collection
from bucketry.maintenance.work.collecting import collect_check, list_work, load_status
from bucketry.maintenance.work.planning import ShardCut, plan_check
from bucketry.maintenance.work.running import load_shard, run_shard
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.work import Piece, decode_shard
from bucketry.store.contract import Entry, Unconditional
from maintenance.planting import first, made
from simulation.actors import CHAT, CONTENTS, Uploader, make_manifest
from simulation.scenes import FEW, SEALED, founder
from simulation.world import BEGINNING, Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.work import WorkPlan
    from bucketry.store.contract import ETag
    from bucketry.store.memory import _BytesStream

DAY = timedelta(days=1)


class Read(Bucket):
    """A bucket that notes which blobs are read, and whose clock stands where it is put."""

    def __init__(self, content: Bucket) -> None:
        self.at = BEGINNING
        super().__init__(clock=lambda: self.at)
        self.restore(content.snapshot())
        self.read: list[str] = []

    @contextmanager
    def open_range(self, key: str, start: int, stop: int, *, etag: ETag | None) -> Iterator[_BytesStream]:
        self.read.append(key)
        with super().open_range(key, start, stop, etag=etag) as stream:
            yield stream


@pytest.fixture
def bucket() -> Read:
    return Read(made(FEW))


@pytest.fixture
def session(bucket: Read) -> Session:
    return founder(bucket)


def run_shards(session: Session, plan: WorkPlan) -> None:
    for number in range(len(plan.shards)):
        assert not run_shard(session, plan.work, number).was_done


def blobs(bucket: Bucket) -> list[str]:
    return [entry.key for entry in bucket.list(keys.BLOBS) if isinstance(entry, Entry) and entry.size_bytes]


def alter(bucket: Bucket, key: str) -> bytes:
    before = bucket.get(key).body
    bucket.put(key, bytes(255 - byte for byte in before), Unconditional())
    return before


# The plan


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 40)), min_size=1, max_size=30),
    st.integers(1, 12),
)
def test_shards_hold_every_chunk_once_and_about_as_many_bytes_each(sizes: list[tuple[int, int]], shards: int) -> None:
    bucket = Bucket()
    pieces = []
    for number, (chunk_bytes, chunks) in enumerate(sizes):
        digests = tuple(digest_of(f"{number} {chunk}".encode()) for chunk in range(chunks))
        key = keys.blob(CHAT, 1, digest_of(str(number).encode()))
        pieces.append(Piece(key, "e", chunk_bytes * chunks, chunk_bytes, 0, digests))
    total_bytes = sum(piece.size_bytes for piece in pieces)
    cut = ShardCut(founder(bucket), "fsck-20261130t120000z-0a1b2c3d", shards, max(1, -(-total_bytes // shards)))
    for piece in pieces:
        cut.add(piece)
    planned = cut.finish()
    assert len(planned) == shards
    found = []
    for number, shard in enumerate(planned):
        body = bucket.get(keys.work_shard(cut.work, number)).body
        assert digest_of(body) == shard.sha256
        decoded = decode_shard(body, what="shard")
        assert sum(piece.stop - piece.start for piece in decoded) == shard.size_bytes
        found += [
            (piece.key, piece.first + index, digest) for piece in decoded for index, digest in enumerate(piece.sha256)
        ]
    assert found == [(piece.key, index, digest) for piece in pieces for index, digest in enumerate(piece.sha256)]
    largest_chunk = max(chunk_bytes for chunk_bytes, _ in sizes)
    assert max(shard.size_bytes for shard in planned) <= cut.target_bytes * 1.2 + 2 * largest_chunk


def test_a_plan_names_each_blob_that_a_version_needs_once(bucket: Read, session: Session) -> None:
    plan = plan_check(session, 3)
    planned = [piece.key for number in range(3) for piece in load_shard(session, plan, number)]
    assert sorted(planned) == sorted(blobs(bucket))
    assert plan.size_bytes == sum(len(bucket.get(key).body) for key in planned)
    assert [status.plan for status in list_work(session)] == [plan]
    assert check_registry(session).findings == ()


def test_a_plan_that_was_not_finished_is_none(bucket: Read, session: Session) -> None:
    plan = plan_check(session, 2)
    bucket.delete(keys.work_plan(plan.work))
    assert list_work(session) == []
    for work in (plan.work, "gc", "../heads", ""):
        with pytest.raises(NotFoundError, match="there is no plan"):
            run_shard(session, work, 0)


def test_more_shards_than_there_are_bytes_are_empty_ones(session: Session) -> None:
    plan = plan_check(session, 40)
    assert len(plan.shards) == 40
    run_shards(session, plan)
    assert collect_check(session, plan.work).findings == ()


def test_who_may_not_write_plans_nothing(session: Session) -> None:
    with pytest.raises(RejectedError):
        plan_check(replace(session, read_only=True), 2)
    with pytest.raises(UsageError):
        plan_check(session, 0)
    with pytest.raises(UsageError, match="has no shard 2"):
        run_shard(session, plan_check(session, 2).work, 2)


# The report


def test_sealed_versions_are_checked_and_what_shards_read_is_not_read_again() -> None:
    bucket = Read(made(SEALED))
    session = founder(bucket)
    plan = plan_check(session, 4)
    run_shards(session, plan)
    assert sorted(bucket.read) == sorted(blobs(bucket))
    bucket.read.clear()
    report = collect_check(session, plan.work)
    assert bucket.read == []
    assert report == check_registry(session, deep=True)
    assert report.versions > 100


def test_the_report_is_that_of_the_whole_check(bucket: Read, session: Session) -> None:
    altered, lost, *_ = blobs(bucket)
    alter(bucket, altered)
    bucket.delete(lost)
    plan = plan_check(session, 3)
    run_shards(session, plan)
    assert altered in bucket.read
    bucket.delete(first(bucket, keys.MANIFESTS))
    report = collect_check(session, plan.work)
    assert report == check_registry(session, deep=True)
    assert any(finding.key == altered and "chunk 1" in finding.message for finding in report.damage)


def test_damage_that_comes_after_a_shard_is_found(bucket: Read, session: Session) -> None:
    plan = plan_check(session, 2)
    run_shards(session, plan)
    key = blobs(bucket)[0]
    alter(bucket, key)
    assert [finding.key for finding in collect_check(session, plan.work).damage] == [key]


def test_damage_that_was_mended_since_is_none(bucket: Read, session: Session) -> None:
    key = blobs(bucket)[0]
    before = alter(bucket, key)
    plan = plan_check(session, 2)
    run_shards(session, plan)
    problems = [run_shard(session, plan.work, number).result.problems for number in range(2)]
    assert sum(map(len, problems)) == 1
    bucket.put(key, before, Unconditional())
    assert collect_check(session, plan.work).findings == ()


def test_a_version_that_is_younger_than_the_plan_is_read_by_whoever_collects(bucket: Read, session: Session) -> None:
    plan = plan_check(session, 2)
    run_shards(session, plan)
    known = set(blobs(bucket))
    register_version(
        session, PreparedVersion(make_manifest(CHAT, [CONTENTS[5]], notes="young")), Uploader(session, CHAT)
    )
    (young,) = set(blobs(bucket)) - known
    bucket.read.clear()
    assert collect_check(session, plan.work).findings == ()
    assert bucket.read == [young]
    alter(bucket, young)
    assert [finding.key for finding in collect_check(session, plan.work).damage] == [young]


# Shards


def test_shards_without_a_result_are_named_and_nothing_is_reported(session: Session) -> None:
    plan = plan_check(session, 3)
    run_shard(session, plan.work, 1)
    with pytest.raises(UnavailableError, match=r"2 of 3 shards of .+ have no result: 0, 2\n"):
        collect_check(session, plan.work)
    assert load_status(session, plan.work).missing == (0, 2)


def test_a_shard_that_is_done_is_not_done_again(bucket: Read, session: Session) -> None:
    plan = plan_check(session, 2)
    done = run_shard(session, plan.work, 0)
    bucket.read.clear()
    again = run_shard(replace(session, actor="other@example.org"), plan.work, 0)
    assert (again.was_done, again.result) == (True, done.result)
    assert bucket.read == []


def test_of_two_that_do_a_shard_at_once_the_first_result_counts(bucket: Read, session: Session) -> None:
    plan = plan_check(session, 1)
    both = threading.Barrier(2)

    def wait(_done: int, _total: int) -> None:
        if not both.broken:
            both.wait(10)
            both.abort()

    results = []

    def run(actor: str) -> None:
        try:
            results.append(run_shard(replace(session, actor=actor), plan.work, 0, wait))
        except threading.BrokenBarrierError:
            results.append(run_shard(replace(session, actor=actor), plan.work, 0))

    threads = [threading.Thread(target=run, args=(actor,)) for actor in ("a@example.org", "b@example.org")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there = json.loads(bucket.get(keys.work_result(plan.work, 0)).body)
    assert sorted(done.was_done for done in results) == [False, True]
    assert {done.result.by for done in results} == {there["by"]}
    assert collect_check(session, plan.work).findings == ()


def test_a_shard_that_somebody_changed_is_not_done(bucket: Read, session: Session) -> None:
    plan = plan_check(session, 1)
    key = keys.work_shard(plan.work, 0)
    document = json.loads(bucket.get(key).body)
    document["pieces"] = document["pieces"][1:]
    bucket.put(key, json.dumps(document).encode(), Unconditional())
    with pytest.raises(CorruptError, match="not what was planned"):
        run_shard(session, plan.work, 0)


def test_what_is_no_document_of_shared_work_is_a_stray(bucket: Read, session: Session) -> None:
    plan = plan_check(session, 1)
    key = f"{keys.work_results(plan.work)}one.json"
    bucket.put(key, b"{}", Unconditional())
    assert [(finding.kind, finding.key) for finding in check_registry(session).findings] == [(Kind.STRAY_KEY, key)]


# Collected


def kept(bucket: Bucket) -> Iterator[str]:
    return (entry.key for entry in bucket.list(keys.WORK) if isinstance(entry, Entry) and "/gc/" not in entry.key)


def test_work_that_is_done_goes_after_a_week_and_work_that_waits_after_a_month(bucket: Read, session: Session) -> None:
    done, waiting = plan_check(session, 2), plan_check(session, 2)
    run_shards(session, done)
    run_shard(session, waiting.work, 0)
    bucket.at += 6 * DAY
    assert plan_collection(session).found == ()
    bucket.at += 2 * DAY
    collected = apply_collection(session)
    assert {each.reason.value for each in collected.found} == {"finished-work"}
    assert all(waiting.work in key for key in kept(bucket))
    assert load_status(session, waiting.work).missing == (1,)
    bucket.at += 30 * DAY
    assert {each.reason.value for each in apply_collection(session).found} == {"abandoned-work"}
    assert list(kept(bucket)) == []


def test_work_that_was_half_planned_or_half_removed_goes_after_a_week(bucket: Read, session: Session) -> None:
    plan = plan_check(session, 2)
    bucket.delete(keys.work_plan(plan.work))
    bucket.at += 8 * DAY
    assert {each.reason.value for each in apply_collection(session).found} == {"finished-work"}
    assert list(kept(bucket)) == []
