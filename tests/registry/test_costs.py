"""What do the common operations cost, in requests and in bytes?

`registry.json` is read once for each session and is not counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bucketry.registry.core.registers import load_alias, load_existing_head, load_head
from bucketry.registry.core.resolve import resolve
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.serving.aliases import promote
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import Record, Trail, continue_trail
from bucketry.schema.documents.head import LARGEST_HEAD_BYTES, Head, Row, SealedPages, encode_head
from bucketry.schema.documents.manifest import encode_manifest
from bucketry.schema.documents.pages import (
    Directory,
    Page,
    encode_directory,
    encode_page,
    entry_of,
)
from bucketry.schema.documents.states import State
from bucketry.schema.names import Digest, parse_reference
from bucketry.store.contract import IfAbsent, NotModifiedError, Unconditional
from simulation.actors import CHAT, CONTENTS, PRODUCTION, Uploader, make_manifest
from simulation.scenes import BEFORE_SEALING, FEW, REGISTRY, begin, founder, new_registry
from simulation.world import Bucket, SeededScript, World

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.store.contract import Condition, Entry, ETag, Object
    from simulation.scenes import Beginning

MANY_VERSIONS = 100_000
PAGE_ROWS = 64


class Counting(Bucket):
    """A bucket that counts requests by kind; a read answered 304 counts as "304"."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()
        self.largest_bytes = 0

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        try:
            found = super().get(key, unless=unless)
        except NotModifiedError:
            self.requests["304"] += 1
            raise
        if key != keys.REGISTRY:
            self.requests["get"] += 1
        return found

    def stat(self, key: str) -> Entry:
        self.requests["stat"] += 1
        return super().stat(key)

    def put(self, key: str, body: bytes, condition: Condition) -> ETag:
        self.requests["put"] += 1
        if key.startswith(keys.HEADS):
            self.largest_bytes = max(self.largest_bytes, len(body))
        return super().put(key, body, condition)


def made(beginning: Beginning) -> tuple[Counting, Session]:
    world, bucket = World(SeededScript(0)), Counting()
    begin(world, beginning)
    bucket.restore(world.bucket.snapshot())
    return bucket, founder(bucket)


def test_reading_an_alias_is_two_gets() -> None:
    bucket, session = made(FEW)
    resolved = resolve(session, parse_reference("acme/chat@production"))
    assert resolved.blob_keys()
    assert bucket.requests == {"get": 2}


def test_a_poll_of_an_alias_is_one_get_answered_304_while_others_publish() -> None:
    bucket, session = made(FEW)
    etag = load_alias(session, CHAT, PRODUCTION).etag
    _publish(founder(bucket))
    bucket.requests.clear()
    with pytest.raises(NotModifiedError):
        bucket.get(keys.alias(CHAT, PRODUCTION), unless=etag)
    assert bucket.requests == {"304": 1}


def test_a_poll_after_a_promotion_sees_it() -> None:
    bucket, session = made(FEW)
    etag = load_alias(session, CHAT, PRODUCTION).etag
    promote(founder(bucket), CHAT, 3, PRODUCTION)
    assert bucket.get(keys.alias(CHAT, PRODUCTION), unless=etag).etag != etag


def test_the_newest_64_versions_with_their_metrics_are_one_get() -> None:
    bucket, session = made(BEFORE_SEALING)
    for _ in range(4):
        _publish(session)  # the page is sealed on the way
    bucket.requests.clear()
    rows = load_existing_head(founder(bucket), CHAT).rows[::-1]
    assert bucket.requests == {"get": 1}
    assert len(rows) >= 64
    assert [row.version for row in rows[:64]] == list(range(130, 66, -1))
    assert rows[0].metrics == {"accuracy": 0.75}


def test_with_100_000_versions_the_head_stays_under_96_kib_and_the_costs_stay_the_same() -> None:
    bucket = Counting()
    session = new_registry(bucket)
    _make_many_versions(bucket, session)
    bucket.requests.clear()
    for _ in range(70):
        _publish(session)  # from 64 rows over a whole cycle of sealing
    assert 40 * 1024 < bucket.largest_bytes < LARGEST_HEAD_BYTES

    bucket.requests.clear()
    rows = load_existing_head(founder(bucket), CHAT).rows[::-1]
    assert bucket.requests == {"get": 1}
    assert len(rows) >= 64
    assert rows[0].version == MANY_VERSIONS + 70

    bucket.requests.clear()
    resolved = resolve(founder(bucket), parse_reference("acme/chat:1234"))
    assert resolved.version == 1234
    assert bucket.requests == {"get": 4}  # head, directory, page, manifest

    bucket.requests.clear()
    digest = _row(MANY_VERSIONS // 2, bucket).manifest
    assert resolve(founder(bucket), parse_reference(f"acme/chat@sha256:{digest}")).version == MANY_VERSIONS // 2
    assert bucket.requests["get"] <= 5  # one page in thousands is read in vain


def test_publishing_is_a_bounded_number_of_requests() -> None:
    bucket, session = made(FEW)
    _publish(session)
    writes = Counter(kind for kind in bucket.requests.elements() if kind == "put")
    assert writes == {"put": 2}  # manifest, head; blobs go through `put_blob`
    assert bucket.requests["get"] <= 6


def _publish(session: Session) -> None:
    manifest = make_manifest(CHAT, [CONTENTS[1]], notes=f"{session.clock.new_transaction()}")
    register_version(session, PreparedVersion(manifest, {"accuracy": 0.75}), Uploader(session, CHAT))


def _make_many_versions(bucket: Counting, session: Session) -> None:
    """Write a model as 100,000 publishes would have left it, without its audit history."""
    blob = keys.blob(CHAT, 1, Digest(hashlib.sha256(CONTENTS[1]).hexdigest()))
    bucket.put(blob, CONTENTS[1], Unconditional())
    entries, last_sealed = [], MANY_VERSIONS - PAGE_ROWS
    for first in range(1, last_sealed + 1, PAGE_ROWS):
        versions = range(first, min(first + PAGE_ROWS, last_sealed + 1))
        rows = tuple(_row(version, bucket) for version in versions)
        body = encode_page(Page(rows))
        bucket.put(keys.page(CHAT, digest_of(body)), body, Unconditional())
        entries.append(entry_of(rows, digest_of(body)))
    directory = encode_directory(Directory(tuple(entries)))
    bucket.put(keys.page(CHAT, digest_of(directory)), directory, IfAbsent())
    record = Record(0, session.clock.new_transaction(), session.clock.timestamp(), "a@example.org", "x", "", Digest(""))
    head = Head(
        REGISTRY,
        CHAT,
        next_version=MANY_VERSIONS + 1,
        rows=tuple(_row(version, bucket) for version in range(last_sealed + 1, MANY_VERSIONS + 1)),
        sealed=SealedPages(last_sealed, digest_of(directory)),
        trail=Trail((continue_trail(Trail(), record),)),
    )
    bucket.put(keys.head(CHAT), encode_head(head), IfAbsent())
    assert load_head(session, CHAT).state == head


def _row(version: int, bucket: Counting) -> Row:
    """Return the row of a version; the manifests of some exist."""
    manifest = replace(make_manifest(CHAT, [CONTENTS[1]], notes=f"version {version}"), created_by="a@example.org")
    if version in {1234, MANY_VERSIONS // 2} or version > MANY_VERSIONS - 200:
        body = encode_manifest(manifest)
        bucket.put(keys.manifest(CHAT, digest_of(body)), body, Unconditional())
        digest = digest_of(body)
    else:
        digest = Digest(hashlib.sha256(b"%d" % version).hexdigest())
    return Row(
        version=version,
        manifest=digest,
        placement=((1, 1),),
        size_bytes=manifest.size_bytes,
        created_at="2026-03-03T12:00:00.000Z",
        created_by="trainer@example.org",
        state=State.REGISTERED,
        metrics={"accuracy": 0.5, "loss": 1.25},
        idempotency=hashlib.sha256(b"key %d" % version).hexdigest()[:32],
    )
