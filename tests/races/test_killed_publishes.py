"""Does a publish that is killed at any moment leave a whole registry, and does the next run finish its work?"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.client import open_registry
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.registers import load_head
from bucketry.registry.serving.auditing import load_audit
from bucketry.schema import keys
from bucketry.schema.names import parse_model_name
from bucketry.store.folder.store import FolderStore
from races.moments import count_kills, iter_moments, seconds_taken_by
from races.processes import child
from races.worker import publish_once, write_model

if TYPE_CHECKING:
    from bucketry.client import Registry
    from bucketry.registry.core.session import Session

MODEL = "races/killed"
KILLS_OF_ONE_PUBLISH = 2
STAGED_FILES_OF_ONE_KILL = 8 + 1  # one for each connection, and one for a small document


def test_a_publish_killed_again_and_again_becomes_exactly_one_version(
    where: str, tmp_path: Path, *, is_deep: bool
) -> None:
    source = tmp_path / "source"
    write_model(source, seed=0)
    duration_seconds = seconds_taken_by(publish_once, where, MODEL, source, "key 0")
    moments = list(iter_moments(count_kills(is_deep=is_deep), duration_seconds, seed=1))
    hits = 0
    with open_registry(where, identity="publisher@races") as registry:
        for number, start in enumerate(range(0, len(moments), KILLS_OF_ONE_PUBLISH), start=1):
            shutil.rmtree(source)
            write_model(source, seed=number)
            hits += kill_one(registry, where, source, number, moments[start : start + KILLS_OF_ONE_PUBLISH])
            converge(where, source, number)
        assert hits > 0
        check_history(registry.session, versions=number + 1)
        check_garbage(registry.session, where, kills=hits)


def kill_one(registry: Registry, where: str, source: Path, number: int, moments: list[float]) -> int:
    """Publish the same folder with the same key as often as there are moments; return how many were killed."""
    hits = 0
    for moment in moments:
        before = versions_of(registry)
        with child(publish_once, where, MODEL, source, f"key {number}") as publisher:
            publisher.go()
            time.sleep(moment)
            hits += publisher.kill()
        assert versions_of(registry) in (before, number + 1)
        assert check_registry(registry.session).damage == ()
    return hits


def converge(where: str, source: Path, number: int) -> None:
    """Run once more to the end, and then in vain."""
    with child(publish_once, where, MODEL, source, f"key {number}") as publisher:
        publisher.go()
        first = publisher.result()
    with child(publish_once, where, MODEL, source, f"key {number}") as publisher:
        publisher.go()
        again = publisher.result()
    assert first.version == again.version == number + 1
    assert first.manifest == again.manifest
    assert not again.created


def versions_of(registry: Registry) -> int:
    head = load_head(registry.session, parse_model_name(MODEL)).state
    return head.next_version - 1 if head else 0


def check_history(session: Session, *, versions: int) -> None:
    audit = load_audit(session, parse_model_name(MODEL))
    assert audit.faults == ()
    published = Counter(int(e.record.target) for e in audit.entries if e.record.action == "publish")
    assert published == Counter(range(1, versions + 1))
    report = check_registry(session, deep=True)
    assert report.damage == ()
    assert report.versions == versions


def check_garbage(session: Session, where: str, *, kills: int) -> None:
    """What killed publishes leave is bounded by their number, named by the check, and can be removed."""
    unfinished = list(session.store.list_uploads(keys.BLOBS))
    assert len(unfinished) <= kills
    reported = [finding.key for finding in check_registry(session).garbage]
    assert not Counter(key for key, _, _ in unfinished) - Counter(reported)
    for key, upload, _ in unfinished:
        session.store.abort_upload(key, upload)
    assert list(session.store.list_uploads(keys.BLOBS)) == []
    staging = Path(where) / ".staging"
    if staging.is_dir():
        assert sum(path.is_file() for path in staging.iterdir()) <= kills * STAGED_FILES_OF_ONE_KILL
        FolderStore(where).sweep_staging(-60)
        assert [path for path in staging.rglob("*") if path.is_file()] == []
    assert check_registry(session, deep=True).damage == ()
